"""What comes in: a scan, a segmentation or a table, as a file or a folder on this machine or in the study's bucket."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from paraspinal_assets.imaging.fingerprint import fingerprint


class Input(Protocol):
    """One file, or all files below a folder; as text it is where that is, for people."""

    def exists(self) -> bool:
        """Whether it is there."""
        ...

    def is_folder(self) -> bool:
        """Whether it is a folder, such as one of DICOM slices or of class files."""
        ...

    def is_empty(self) -> bool:
        """Whether there is no file."""
        ...

    def signature(self) -> tuple[str, float]:
        """What can be told of its files without reading them, as a digest, and when one of them changed last.

        Equal signatures mean equal content. Raises OSError if it is not there.
        """
        ...

    def fingerprint(self) -> str:
        """What its files contain, as one digest, whatever their names and order."""
        ...

    def on_disk(self) -> AbstractContextManager[Path]:
        """Its file or folder on this machine, for as long as the context lasts."""
        ...


class InputFolder(Protocol):
    """A folder with inputs; as text it is where that is, for people."""

    def exists(self) -> bool:
        """Whether it is there."""
        ...

    def find(self, pattern: Pattern) -> Iterator[tuple[str, Input]]:
        """Names in place of ``{participant}`` and what they lead to, by name (OSError if it cannot be listed)."""
        ...


@dataclass(frozen=True)
class Pattern:
    """Where the inputs of a folder lie: ``{participant}`` in one part of a path stands for the name.

    Attributes
    ----------
    above, below
        Parts of the path above and below the one with the name.
    named
        Matches that part; its group is the name.
    """

    above: tuple[str, ...]
    named: re.Pattern[str]
    below: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """The pattern as the study file writes it."""
        parts = tuple(text.split("/"))
        depth = next(i for i, part in enumerate(parts) if "{participant}" in part)
        before, after = (re.escape(piece) for piece in parts[depth].split("{participant}"))
        return cls(parts[:depth], re.compile(f"{before}(.+){after}"), parts[depth + 1 :])

    def name(self, part: str) -> str | None:
        """The name in a part of a path, if it is one; hidden files have none."""
        match = None if part.startswith(".") else self.named.fullmatch(part)
        return match and match.group(1)


@dataclass(frozen=True)
class LocalInput:
    """A file or folder on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """See `Input`."""
        return self.path.exists()

    def is_folder(self) -> bool:
        """See `Input`."""
        return self.path.is_dir()

    def is_empty(self) -> bool:
        """See `Input`."""
        return not input_files(self.path)

    def signature(self) -> tuple[str, float]:
        """See `Input`: name, size, modification time, inode and *status-change time*.

        The last one cannot be set back by a copy tool, so that a file replaced in place with its old modification
        time has another signature. It is the file server's own clock and counts from the copy.
        """
        own = os.stat(self.path)
        digest = hashlib.sha256()
        last_change = own.st_ctime
        is_folder = stat.S_ISDIR(own.st_mode)
        for name, status in _files_below(str(self.path), "") if is_folder else [(self.path.name, own)]:
            last_change = max(last_change, status.st_ctime)
            if not stat.S_ISDIR(status.st_mode):
                digest.update(
                    f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0{status.st_ino}\n".encode()
                )
        return digest.hexdigest(), last_change

    def fingerprint(self) -> str:
        """See `Input`: every byte is read."""
        return fingerprint(input_files(self.path))

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """See `Input`."""
        yield self.path


@dataclass(frozen=True)
class LocalFolder:
    """A folder on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """See `InputFolder`."""
        return self.path.is_dir()

    def find(self, pattern: Pattern) -> Iterator[tuple[str, Input]]:
        """See `InputFolder`."""
        folder = self.path.joinpath(*pattern.above)
        for entry in sorted(os.listdir(folder)):
            name = pattern.name(entry)
            path = folder.joinpath(entry, *pattern.below)
            # A file has an ending, or it is a README beside the folders of the scans.
            if name is not None and path.exists() and (path.is_dir() or path.suffix):
                yield name, LocalInput(path)


def input_files(path: Path) -> list[Path]:
    """The files of an input: the file itself, or all files below a folder, sorted."""
    if path.is_file():
        return [path]
    found: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        found.extend(Path(folder, name) for name in sorted(names) if not name.startswith("."))
    return found


def _files_below(folder: str, prefix: str) -> Iterable[tuple[str, os.stat_result]]:
    """Files that `input_files` lists and folders, with their metadata; one listing and one look at each."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield f"{prefix}{entry.name}", entry.stat()
            if not entry.is_symlink():
                yield from _files_below(entry.path, f"{prefix}{entry.name}/")
        elif not entry.name.startswith("."):
            yield f"{prefix}{entry.name}", entry.stat()
