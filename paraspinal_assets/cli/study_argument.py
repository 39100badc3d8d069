"""The argument that names a study, alike in all commands."""

from __future__ import annotations

from pathlib import Path

import click

STUDY = click.argument("study", type=click.Path(path_type=Path))


def study_path(path: Path) -> Path:
    """The study file itself; a folder stands for the study.yaml in it."""
    return path / "study.yaml" if path.is_dir() else path
