"""Reading YAML as people write it: ids keep their zeros, words stay words, no key stands twice.

YAML 1.1 reads ``0012`` as 10, ``12:30`` as 750, ``no`` as false. Here, as in YAML 1.2's core schema, only plain
decimal numbers are numbers, and only true and false are truth values; dates stay text until a date is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

_SCALARS: Final = {
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:0|[1-9][0-9]*)?(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.|[eE][-+]?[0-9]+)",
        "-+.0123456789",
    ),
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", "~nN\0"),
    "tag:yaml.org,2002:merge": (r"<<", "<"),
}


class StudyLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of the module's description."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own class attribute)


for _tag, (_pattern, _first) in _SCALARS.items():
    StudyLoader.add_implicit_resolver(
        _tag, re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


def repeated_keys(node: yaml.Node, path: str = "", seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """A message for each key that stands twice in one mapping, which YAML would resolve in silence."""
    if id(node) in seen:  # an alias of something around it
        return
    seen |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from repeated_keys(child, path, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        place = f"{path}.{name}".lstrip(".")
        if name in first:
            yield f"line {line}: {place} is there twice (first on line {first[name]})"
        first.setdefault(name, line)
        yield from repeated_keys(value, place, seen)
