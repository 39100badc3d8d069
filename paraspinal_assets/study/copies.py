"""Copies of objects on this machine, so that an asset need not fetch again what the one before it had."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

IN_USE_S: Final = 600.0
"""A copy that was asked for so recently may be about to be read: it is not removed to make room.

What is asked for is opened at once; tables ask for all their files first. Longer, and a GPU's hour of CTs would stay.
"""


class Copies:
    """A folder of copies, each under the name of its object and the tag that the storage gave to its content.

    So a copy of an earlier object is never taken for one of the present object.

    Parameters
    ----------
    folder
        Where they are; it can be deleted when nothing runs.
    limit
        Bytes that those not in use may take.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self._folder = folder
        self._limit = limit
        self._new = limit  # bytes since the last look at the size of the folder; look soon

    def path(self, name: str, tag: str) -> Path:
        """Where the copy is, or will be. Its name ends like the object's, which says what format it has."""
        return self._path(name, hashlib.sha256(tag.encode()).hexdigest()[:16])

    def draft(self, name: str) -> Path:
        """Where to prepare an object that has no tag yet; if its process is killed, it goes as copies go."""
        return self._path(name, secrets.token_hex(8))

    def any_of(self, name: str) -> bool:
        """Whether there has been a copy of an object of this name."""
        return (self._folder / name).is_dir()

    def _path(self, name: str, mark: str) -> Path:
        return self._folder / name / f"{mark}-{name.rpartition('/')[2]}"

    def use(self, copy: Path) -> bool:
        """Whether a copy is there; it counts as used now."""
        try:
            os.utime(copy)
        except FileNotFoundError:
            return False
        return True

    def written(self, draft: Path, copy: Path) -> None:
        """Keep a draft as a copy. Nobody has asked for it, so it may be removed to make room at once."""
        used = time.time() - IN_USE_S
        try:
            os.utime(draft, (used, used))
            os.replace(draft, copy)
        except FileNotFoundError:
            return  # removed to make room, in an upload that took long
        self.make_room(copy)

    def make_room(self, added: Path) -> None:
        """Remove the copies that were not used for longest, once so much was added that it may matter."""
        self._new += added.stat().st_size
        if self._new < self._limit / 10:
            return
        self._new = 0
        copies: list[tuple[float, int, Path]] = []
        for path in self._folder.rglob("*-*"):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # another process makes room as well
            if path.is_file():
                copies.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in copies)
        for used, size, path in sorted(copies):
            if total <= self._limit or used > time.time() - IN_USE_S:
                return
            path.unlink(missing_ok=True)
            total -= size
