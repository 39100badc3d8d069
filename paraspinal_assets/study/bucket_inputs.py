"""Inputs in a bucket. What came in is listed there, as a folder is; what was built never is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from paraspinal_assets.errors import StorageError
from paraspinal_assets.study.bucket import CONNECTIONS, Bucket, StoredObject
from paraspinal_assets.study.complete import scratch_folder
from paraspinal_assets.study.inputs import Input, Pattern

FILES: Final = (".nii", ".nii.gz")
"""A name with such an end is that of one object; any other is a folder of objects."""


class _Sum:
    """What objects contain, by their entity tags and sizes, whatever their names and order."""

    def __init__(self) -> None:
        self._sum = 0
        self.last_change = 0.0
        self.count = 0

    def add(self, found: StoredObject) -> None:
        digest = hashlib.sha256(f"{found.tag}\0{found.size}".encode()).digest()
        self._sum += int.from_bytes(digest)
        self.last_change = max(self.last_change, found.modified)
        self.count += 1

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.count}\0{self._sum}".encode()).hexdigest()


class BucketInput:
    """An object, or the objects below a name.

    Their entity tags stand for their content, so that nothing is fetched before it is converted. Storage that gives
    the same bytes another tag when they come again, such as an upload in other parts, makes the scan be converted
    again, and no more than that if the voxels are the same.

    Parameters
    ----------
    bucket
        The bucket of the study.
    name
        Relative to the bucket's address.
    scratch
        Folder on this machine for what is fetched.
    listed
        What a listing has just said of it.
    """

    def __init__(self, bucket: Bucket, name: str, scratch: Path, listed: _Sum | None = None) -> None:
        self._bucket = bucket
        self._name = name
        self._scratch = scratch
        self._listed = listed

    def __str__(self) -> str:
        return f"{self._bucket.url}/{self._name}"

    @cached_property
    def _objects(self) -> list[StoredObject]:
        if not self.is_folder():
            found = self._bucket.about(self._name)
            return [] if found is None else [found]
        listing = self._bucket.listing(f"{self._name}/")
        return [found for found in listing if not _is_hidden(found.name)]

    def _sum(self) -> _Sum:
        if self._listed is None:
            self._listed = _Sum()
            for found in self._objects:
                self._listed.add(found)
        return self._listed

    def exists(self) -> bool:
        """See `Input`."""
        return not self.is_empty()

    def is_folder(self) -> bool:
        """See `Input`: told from the name, without a request."""
        return not self._name.endswith(FILES)

    def is_empty(self) -> bool:
        """See `Input`."""
        return self._sum().count == 0

    def signature(self) -> tuple[str, float]:
        """See `Input`."""
        if self.is_empty():
            raise FileNotFoundError(2, "no such object", str(self))
        return self._sum().digest, self._sum().last_change

    def fingerprint(self) -> str:
        """See `Input`."""
        return self._sum().digest

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """See `Input`: fetched now, and deleted afterwards."""
        with scratch_folder(self._scratch) as folder:
            target = folder / PurePosixPath(self._name).name
            self._fetch(target)
            yield target

    def _fetch(self, target: Path) -> None:
        if not self.is_folder():
            self._bucket.download(self._name, target)
            return
        target.mkdir()
        paths = {found.name: target / self._below(found.name) for found in self._objects}
        for parent in {path.parent for path in paths.values()}:
            parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._bucket.download, paths, paths.values()))

    def _below(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name.removeprefix(f"{self._name}/"))
        if path.is_absolute() or ".." in path.parts:
            raise StorageError(
                "E-STORE-04",
                f"{self}: the object {str(path)!r} would be a file outside of its folder",
                "give it a name without '..' and without an empty part",
            )
        return path


class BucketFolder:
    """The inputs below a name in a bucket, found by one listing of all of them."""

    def __init__(self, bucket: Bucket, name: str, scratch: Path) -> None:
        self._bucket = bucket
        self._name = name
        self._start = f"{name}/" if name else ""
        self._scratch = scratch

    def __str__(self) -> str:
        return f"{self._bucket.url}/{self._name}"

    def exists(self) -> bool:
        """See `InputFolder`."""
        return next(self._bucket.listing(self._start), None) is not None

    def find(self, pattern: Pattern) -> Iterator[tuple[str, Input]]:
        """See `InputFolder`."""
        start = self._start + "".join(f"{part}/" for part in pattern.above)
        sums: dict[tuple[str, str], _Sum] = {}
        for found in self._bucket.listing(start):
            parts = found.name.removeprefix(start).split("/")
            name, depth = pattern.name(parts[0]), 1 + len(pattern.below)
            if name is None or tuple(parts[1:depth]) != pattern.below or _is_hidden(found.name):
                continue
            path = start + "/".join(parts[:depth])
            if (len(parts) > depth) == (not path.endswith(FILES)):
                sums.setdefault((name, path), _Sum()).add(found)
        for (name, path), listed in sorted(sums.items(), key=lambda item: item[0]):
            yield name, BucketInput(self._bucket, path, self._scratch, listed)


def _is_hidden(name: str) -> bool:
    """Whether an object is hidden, or stands for a folder (some tools make such objects)."""
    last = name.rpartition("/")[2]
    return not last or last.startswith(".")
