"""The reference of the study file, generated from the settings models."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from paraspinal_assets.study.markdown import cell, table_lines
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.settings_base import Settings

MAX_DEFAULT: Final = 60
"""Longer defaults are printed below their table."""

_PLAIN: Final[dict[Any, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "date",
}

_INTRODUCTION: Final = """# The study file

`study.yaml` holds everything that a person decides about a study. Paths are relative to the folder of the
file. Unknown keys and wrong values are errors that name the line; `paraspinal check` finds all of them at
once. A key without a default must be there. Each result depends on the part of the file that it uses:
another formula makes no scan stale.

`paraspinal init FOLDER` writes a commented file to start from. A complete short one:
"""


@dataclass(frozen=True)
class Section:
    """One block of the study file: where it stands, such as ``exams.NAME``, and its model."""

    path: str
    model: type[Settings]


def study_file_reference() -> str:
    """The page ``docs/study-file.md``."""
    example = (files("paraspinal_assets.study") / "templates" / "example.yaml").read_text(encoding="utf-8")
    lines = [_INTRODUCTION, "```yaml", example.rstrip(), "```", ""]
    for section in sections(Study):
        lines += _section_lines(section)
    return "\n".join(lines).rstrip() + "\n"


def sections(model: type[Settings], path: str = "") -> Iterator[Section]:
    """A model and the models inside it, depth first, in the order of their keys."""
    yield Section(path, model)
    for key, field in keys(model).items():
        for inner, place in _models(field.annotation):
            yield from sections(inner, f"{path}.{key}{place}".lstrip("."))


def keys(model: type[Settings]) -> dict[str, FieldInfo]:
    """Key as written in the file -> field."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _section_lines(section: Section) -> list[str]:
    rows, long_defaults = [], []
    for key, field in keys(section.model).items():
        default = _default(field)
        if len(default) > MAX_DEFAULT:
            long_defaults += ["", f"Default of `{key}`:", "", "```yaml", _block(field), "```"]
            default = "below"
        rows.append(
            (f"`{key}`", cell(_type_with_limits(field, section, key)), default, cell(field.description or ""))
        )
    heading = f"`{section.path}`" if section.path else "Top level"
    lines = [f"## {heading}", "", (section.model.__doc__ or "").strip(), ""]
    return [*lines, *table_lines(("Key", "Type", "Default", "Meaning"), rows), *long_defaults, ""]


def _type_with_limits(field: FieldInfo, section: Section, key: str) -> str:
    inner = [place for _, place in _models(field.annotation)]
    if inner:
        path = f"{section.path}.{key}{inner[0]}".lstrip(".")
        many = {"": "section", ".NAME": "one section per name", "[]": "list of sections"}[inner[0]]
        return f"{many}, see [{path}](#{_anchor(path)})"
    return ", ".join([_type(field.annotation), *_limits(field)])


def _anchor(path: str) -> str:
    """The anchor that a Markdown renderer gives the heading of a section."""
    return "".join(c for c in path.lower() if c.isalnum() or c in "_-")


def _models(annotation: Any) -> Iterator[tuple[type[Settings], str]]:
    """Settings models inside a type, with how they are reached: directly, by name, or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation, ""
    elif get_origin(annotation) is dict:
        yield from ((model, f".NAME{place}") for model, place in _models(get_args(annotation)[1]))
    elif get_origin(annotation) in {Union, types.UnionType}:
        for part in get_args(annotation):
            yield from _models(part)
    elif get_origin(annotation) is tuple:
        yield from ((model, f"[]{place}") for model, place in _models(get_args(annotation)[0]))


def _type(annotation: Any) -> str:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(part) for part in arguments if part is not type(None))
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {_plural(_type(arguments[0]))}"
    if origin is tuple:
        return f"[{', '.join(_type(part) for part in arguments)}]"
    if origin is dict:
        return f"names with {_plural(_type(arguments[1]))}"
    raise TypeError(f"no words for the type {annotation}")


def _plural(text: str) -> str:
    return f"{text}s" if text.endswith("number") else text


def _limits(field: FieldInfo) -> list[str]:
    found = []
    for limit in field.metadata:
        match limit:
            case Gt():
                found.append(f"over {limit.gt}")
            case Ge():
                found.append(f"at least {limit.ge}")
            case Lt():
                found.append(f"under {limit.lt}")
            case Le():
                found.append(f"at most {limit.le}")
            case MaxLen() if MinLen(limit.max_length) in field.metadata:
                found.append(f"exactly {limit.max_length} character{'s' if limit.max_length > 1 else ''}")
            case MinLen() if limit.min_length > 1:
                found.append(f"at least {limit.min_length} characters")
            case MaxLen():
                found.append(f"at most {limit.max_length} characters")
    return found


def _value(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = _value(field)
    if value is None or isinstance(value, Settings) or (isinstance(value, list) and not value):
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    shown = text.removesuffix("...\n").strip()
    return f"`{shown}`"


def _block(field: FieldInfo) -> str:
    return yaml.safe_dump(_value(field), width=100, sort_keys=False).strip()
