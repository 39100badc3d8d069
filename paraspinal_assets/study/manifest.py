"""Finding the scans of a study: which exist, where they lie, and what they contain."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paraspinal_assets.errors import StudyError
from paraspinal_assets.imaging.fingerprint import fingerprint
from paraspinal_assets.study.scan import Scan, check_participant
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.withdrawn import Withdrawn


@dataclass(frozen=True)
class Manifest:
    """Scans and existing segmentations found in the exams' folders, and what was wrong with the others."""

    scans: dict[Scan, Path]
    segmentations: dict[Scan, Path]
    problems: tuple[StudyError, ...]
    unlisted: frozenset[str] = frozenset()
    """Exams of which a folder could not be listed: that nothing was found there says nothing."""


class StillChangingError(Exception):
    """An input that changed a moment ago and may still be copied."""

    def __init__(self, seconds: float, quiet_s: float) -> None:
        super().__init__(
            f"changed {max(0.0, seconds):.0f} s ago and may still be copied (quiet period {quiet_s:.0f} s)"
        )


def find_scans(study: Study, root: Path) -> Manifest:
    """All scans of all exams, ordered by exam and participant, without those of participants who withdrew.

    A folder whose name is no participant id becomes a problem (E-STUDY-10) and never a scan; an exam
    whose folder is absent or cannot be listed becomes a problem (E-STUDY-13). Neither stops the others.
    """
    scans: dict[Scan, Path] = {}
    segmentations: dict[Scan, Path] = {}
    problems: list[StudyError] = []
    unlisted: set[str] = set()
    withdrawn = Withdrawn.of_study(root)
    for exam, settings in study.exams.items():
        places = [(settings.imaging, settings.pattern, scans)]
        if settings.segmentations is not None:
            places.append((settings.segmentations, settings.segmentation_pattern, segmentations))
        for folder, pattern, found in places:
            base = root / folder
            if not base.is_dir():
                problems.append(
                    StudyError(
                        "E-STUDY-13", f"{exam}: no folder {base}", f"create it or correct exams.{exam}"
                    )
                )
                unlisted.add(exam)
                continue
            try:
                matches = list(_matches(base, pattern))
            except OSError as error:
                problems.append(
                    StudyError(
                        "E-STUDY-13",
                        f"{exam}: cannot list {error.filename}: {error.strerror}",
                        f"correct its permissions or exams.{exam}",
                    )
                )
                unlisted.add(exam)
                continue
            for name, path in matches:
                try:
                    scan = Scan(exam, check_participant(name, where=str(base / name)))
                except StudyError as error:
                    problems.append(error)
                    continue
                if scan.participant not in withdrawn:
                    found[scan] = path
    return Manifest(scans, segmentations, tuple(problems), frozenset(unlisted))


def _matches(base: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    """Names in place of ``{participant}`` and the paths they lead to, sorted by name."""
    parts = pattern.split("/")
    depth = next(i for i, part in enumerate(parts) if "{participant}" in part)
    before, after = (re.escape(text) for text in parts[depth].split("{participant}"))
    named = re.compile(f"{before}(.+){after}")
    folder = base.joinpath(*parts[:depth])
    for entry in sorted(os.listdir(folder)):
        match = named.fullmatch(entry)
        if match is None or entry.startswith("."):
            continue
        path = folder.joinpath(entry, *parts[depth + 1 :])
        if path.exists():
            yield match.group(1), path


def input_files(path: Path) -> list[Path]:
    """The files of an incoming scan: the file itself, or all files below a folder, sorted."""
    if path.is_file():
        return [path]
    found: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        found.extend(Path(folder, name) for name in sorted(names) if not name.startswith("."))
    return found


class FingerprintCache:
    """Content fingerprints of inputs, read again only when a file's metadata changed.

    The pre-check compares name, size, modification time, inode and *status-change time*: the last one
    cannot be set back by a copy tool, so that a file replaced in place with its old modification time is
    still read again.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=60)
        # A commit for each input must not wait for the disk; what a power cut takes is read again.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS fingerprints"
            " (input TEXT PRIMARY KEY, signature TEXT, fingerprint TEXT)"
        )

    def __enter__(self) -> FingerprintCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fingerprint(self, path: Path, quiet_s: float = 0.0) -> str:
        """Content fingerprint of a file or of all files below a folder.

        Files that cannot be read have a fingerprint that says so: reading the scan then names the error, the
        other scans go on, and the fingerprint changes once the files can be read.

        Raises
        ------
        StillChangingError
            If the input is not as it was last read and a file or folder of it changed less than `quiet_s`
            seconds ago, or while it was read.
        """
        try:
            return self._known_or_read(path, quiet_s)
        except OSError as error:
            return f"unreadable: {error.strerror or type(error).__name__}"

    def _known_or_read(self, path: Path, quiet_s: float) -> str:
        signature, last_change = _signature(path)
        name = str(path)
        row = self._connection.execute(
            "SELECT fingerprint FROM fingerprints WHERE input = ? AND signature = ?", (name, signature)
        ).fetchone()
        if row is not None:
            return str(row[0])
        since = time.time() - last_change
        if quiet_s and since < quiet_s:
            raise StillChangingError(since, quiet_s)
        content = fingerprint(input_files(path))
        if _signature(path)[0] != signature:
            raise StillChangingError(0, quiet_s)
        self._connection.execute(
            "INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?)", (name, signature, content)
        )
        # At once: another process must not wait for the lock while this one reads its next scans.
        self._connection.commit()
        return content


def _signature(path: Path) -> tuple[str, float]:
    """What the metadata of an input's files say, as a digest, and when a file or folder of it changed last.

    The status-change time is the file server's own clock and counts from the copy, where a copy tool sets
    the modification time back to that of the original.
    """
    own = os.stat(path)
    digest = hashlib.sha256()
    last_change = own.st_ctime
    is_folder = stat.S_ISDIR(own.st_mode)
    for name, status in _files_below(str(path), "") if is_folder else [(path.name, own)]:
        last_change = max(last_change, status.st_ctime)
        if not stat.S_ISDIR(status.st_mode):
            digest.update(
                f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\0{status.st_ino}\n".encode()
            )
    return digest.hexdigest(), last_change


def _files_below(folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
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
