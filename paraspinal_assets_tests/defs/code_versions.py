"""Which code is behind each asset, as digests that are committed beside its code version.

``make versions`` writes them anew. The code behind an asset is its function and everything of this package that
the function reaches by name: functions, classes and constants, in other modules too. Left out are docstrings and
comments, and modules that move values without making them (`INFRASTRUCTURE`).
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from paraspinal_assets.defs.rules import asset_rules

LOCK: Final = Path(__file__).with_suffix(".json")
PACKAGE: Final = "paraspinal_assets"
STAGES: Final = ("ingest", "segmentation", "measurement", "cohort", "analysis", "report")
INFRASTRUCTURE: Final = (
    *("paraspinal_assets.defs", "paraspinal_assets.errors", "paraspinal_assets.study.store"),
    *("paraspinal_assets.study.database", "paraspinal_assets.study.scan_merge"),
    "paraspinal_assets.study.settings",
)
"""Dagster's side, error types, files and settings; what a setting says is digested on every event instead."""
_NOT_CODE: Final = frozenset({"ctx", "type_comment", "type_params", "kind"})

Symbol = tuple[str, str]
"""Module, and name at its top level."""


def code_behind(functions: list[Callable[..., Any]]) -> dict[Symbol, str]:
    """Every symbol that functions reach, with the digest of its code."""
    reached: dict[Symbol, str] = {}
    waiting = [_symbol(function) for function in functions]
    while waiting:
        symbol = waiting.pop()
        if symbol in reached:
            continue
        nodes = _module(symbol[0]).definitions.get(symbol[1], [])
        reached[symbol] = hashlib.sha256("".join(map(_text, nodes)).encode()).hexdigest()
        waiting += [used for node in nodes for used in _used(symbol[0], node)]
    return reached


def _symbol(function: Callable[..., Any]) -> Symbol:
    """Where a function was written: its code knows, a wrapper's attributes are those of what it wraps."""
    return function.__globals__["__name__"], function.__code__.co_qualname.split(".")[0]


def behind(asset: str) -> dict[Symbol, str]:
    """The code behind an asset: its function, and what that wraps (see `code_behind`)."""
    wrapped = _wrapped(asset_rules()[asset].function)
    return code_behind([function for function in wrapped if _is_stage(_symbol(function)[0])])


def digest(asset: str) -> str:
    """One digest for all the code behind an asset."""
    lines = [f"{module}.{name} {code}" for (module, name), code in sorted(behind(asset).items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def current() -> dict[str, dict[str, str]]:
    """Code version and digest of every asset that is built here."""
    built = {name: rule for name, rule in asset_rules().items() if not rule.external}
    return {
        name: {"code_version": rule.code_version, "digest": digest(name)}
        for name, rule in sorted(built.items())
    }


def _wrapped(function: Callable[..., Any] | None) -> Iterator[Callable[..., Any]]:
    """A function and the ones that it wraps."""
    while function is not None:
        yield function
        function = getattr(function, "__wrapped__", None)


class _Module:
    """What a module defines and imports at its top level."""

    def __init__(self, name: str) -> None:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, Symbol] = {}
        for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
            _strip(node, decorators=_is_stage(name))
            self.imports.update(_imports(node))
            for defined in _names_defined(node):
                self.definitions.setdefault(defined, []).append(node)


_module = cache(_Module)


def _strip(node: ast.AST, *, decorators: bool) -> None:
    """Take docstrings out, and decorators where they declare assets."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef):
            first = inner.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                inner.body = inner.body[1:] or [ast.Pass()]
            if decorators:
                inner.decorator_list = []


def _imports(node: ast.AST) -> dict[str, Symbol]:
    """Local name -> symbol, for imports of this package (which are all ``from ... import ...``)."""
    if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(PACKAGE):
        return {}
    return {alias.asname or alias.name: (str(node.module), alias.name) for alias in node.names}


def _names_defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [
        leaf.id for target in targets if target for leaf in ast.walk(target) if isinstance(leaf, ast.Name)
    ]


def _used(module: str, node: ast.stmt) -> Iterator[Symbol]:
    """Symbols of this package whose names occur in a definition."""
    known = _module(module)
    imports = dict(known.imports)
    for inner in ast.walk(node):
        imports.update(_imports(inner))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            if inner.id in imports:
                yield from _symbols_of(imports[inner.id])
            elif inner.id in known.definitions:
                yield module, inner.id


def _symbols_of(symbol: Symbol) -> Iterator[Symbol]:
    """An imported symbol; all of a module where the import names a module."""
    module, name = symbol
    if find_spec(module).submodule_search_locations and find_spec(f"{module}.{name}"):  # type: ignore[union-attr]
        yield from ((f"{module}.{name}", defined) for defined in _module(f"{module}.{name}").definitions)
    elif _makes_values(module):
        yield from [_module(module).imports.get(name, symbol)]


def _is_stage(module: str) -> bool:
    return module.startswith(tuple(f"{PACKAGE}.defs.{stage}." for stage in STAGES))


def _makes_values(module: str) -> bool:
    if _is_stage(module):
        return True
    outside = module == PACKAGE or module.startswith(INFRASTRUCTURE)
    return not outside and not module.endswith("_settings")


def _text(node: Any) -> str:
    """A definition as text, the same in every Python version: no positions and no empty fields."""
    if isinstance(node, ast.AST):
        fields = {name: value for name, value in ast.iter_fields(node) if name not in _NOT_CODE}
        shown = [f"{name}={_text(value)}" for name, value in fields.items() if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(shown)})"
    return "[" + ", ".join(map(_text, node)) + "]" if isinstance(node, list) else repr(node)


def main() -> None:
    """Write the lock file."""
    LOCK.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
