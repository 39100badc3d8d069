"""The argument that names a study, alike in all commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from paraspinal_assets.study.place import StudyPlace


class _Study(click.ParamType[StudyPlace]):
    name = "study"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> StudyPlace:
        return value if isinstance(value, StudyPlace) else StudyPlace.of(str(value))


STUDY_TYPE: Final = _Study()
"""A study file, a folder with study.yaml in it, or the address of either in a bucket."""
STUDY: Final[Callable[..., Callable[..., None]]] = click.argument("study", type=STUDY_TYPE)
