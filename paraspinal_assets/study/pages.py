"""The pages of ``docs/`` that are made from the code, so that they cannot drift from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from paraspinal_assets.study.dictionary import tables_reference
from paraspinal_assets.study.reference import study_file_reference
from paraspinal_assets.study.store import StudyStore

PAGES: Final[dict[str, Callable[[], str]]] = {
    "study-file.md": study_file_reference,
    "tables.md": tables_reference,
}
"""File name -> function that makes the page."""


def write_pages(folder: Path) -> list[Path]:
    """Write all generated pages into a folder, usually ``docs``; returns the files."""
    store = StudyStore(folder)
    return [store.write_bytes(store.root / name, make().encode()) for name, make in PAGES.items()]
