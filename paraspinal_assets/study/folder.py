"""Artifacts as files in a folder, by the names that objects have in a `Bucket`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from paraspinal_assets.study.complete import complete


class Folder:
    """The files below one folder; the methods are those of `Bucket`.

    Parameters
    ----------
    root
        Names are relative to it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, name: str, writer: Callable[[Path], object]) -> None:
        """Write what `writer` puts into a temporary file."""
        with complete(self._root / name) as temporary:
            writer(temporary)

    def fetch(self, name: str) -> Path:
        """The file itself; opening it says whether it is there."""
        return self._root / name

    def beginning(self, name: str, size: int) -> bytes | None:
        """The first bytes of a file; None if it is not there."""
        try:
            with open(self._root / name, "rb") as file:
                return file.read(size)
        except FileNotFoundError:
            return None

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self._root / name).exists()

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        (self._root / name).unlink(missing_ok=True)
