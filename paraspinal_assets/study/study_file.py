"""Reading study.yaml: one message per problem, with its line."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.study_yaml import StudyLoader, repeated_keys


class StudyFileError(StudyError):
    """A study file with one or more problems; `problems` holds a message for each."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(
            "E-STUDY-02",
            f"{path} has {len(problems)} problem{'s' if len(problems) > 1 else ''}:\n  "
            + "\n  ".join(problems),
            "correct these lines; docs/study-file.md lists every key",
        )
        self.problems = problems


def load_study(path: Path) -> Study:
    """The validated study of a study file.

    Raises
    ------
    StudyError
        E-STUDY-01 if the file is absent or not YAML; `StudyFileError` (E-STUDY-02) with a line for every
        unknown key, wrong type or broken rule.
    """
    if not path.is_file():
        raise StudyError(
            "E-STUDY-01", f"no study file at {path}", "name one, or make one with `paraspinal init FOLDER`"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StudyError("E-STUDY-01", f"{path} is not UTF-8 text: {error}", "save it as UTF-8") from error
    return _study(path, text)


@lru_cache(maxsize=8)
def _study(path: Path, text: str) -> Study:
    """The study of a text; kept, since every run of a process opens it and some name thousands of scans."""
    try:
        loader = StudyLoader(text)
        node = loader.get_single_node()
        content = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, ValueError) as error:
        raise StudyError("E-STUDY-01", f"{path} is not YAML: {_where(error)}", "correct the file") from error
    if not isinstance(content, dict) or node is None:
        raise StudyError(
            "E-STUDY-01", f"{path} is empty or not a table of keys", "start from `paraspinal init FOLDER`"
        )
    problems = list(repeated_keys(node))
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        problems += _described(node, error)
        raise StudyFileError(path, problems) from error
    if problems:
        raise StudyFileError(path, problems)
    return study


def _where(error: Exception) -> str:
    """Line and cause of a syntax error, without the parser's own picture of it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)


def _described(node: yaml.Node, error: ValidationError) -> list[str]:
    """One message per key, in the order of lines; the branches of a union are one problem."""
    found: dict[tuple[int, str], list[str]] = {}
    for problem in error.errors(include_url=False):
        location = tuple(part for part in problem["loc"] if not _UNION_BRANCH.search(str(part)))
        known, line = _line_of(node, location)
        name = ".".join(str(part) for part in location) or "study"
        text = _sentence(name, problem["type"], problem["msg"], _shown(problem.get("input")) if known else "")
        found.setdefault((line, name), []).append(text)
    return [
        f"line {line}: " + " or ".join([texts[0], *(text.removeprefix(f"{name}: ") for text in texts[1:])])
        for (line, name), texts in sorted(found.items())
    ]


_PASSWORD: Final = re.compile(r"//[^/@]*@")
"""User and password of an address, which no message repeats."""

_UNION_BRANCH: Final = re.compile(r"\[.*\]$")
"""Parts of a location that pydantic adds and the file does not have, such as ``tuple[str, ...]``."""


def _sentence(name: str, kind: str, message: str, shown: str) -> str:
    if kind == "extra_forbidden":
        return f"unknown key {name}"
    if kind == "missing":
        return f"{name} is required"
    return f"{name}: {message.removeprefix('Value error, ')}{shown}"


def _shown(value: Any) -> str:
    """The value that was found, if it is short enough to be shown."""
    if value is None:
        return " (found nothing)"
    if isinstance(value, dict | list):
        return ""
    return f" (found {_PASSWORD.sub('//...@', repr(value))})"


def _line_of(node: yaml.Node, location: tuple[int | str, ...]) -> tuple[bool, int]:
    """Line of the deepest part of a location that the file has, counted from 1."""
    line = node.start_mark.line + 1
    for part in location:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    child, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            return False, line
        node = child
    return True, line


def settings_digest(value: object) -> str:
    """Short digest of any part of a study, independent of key order."""
    dumped = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(dumped.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    return str(value)
