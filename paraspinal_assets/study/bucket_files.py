"""Artifacts in a bucket as DuckDB reads them, without an extension that it would download."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.spec import AbstractFileSystem

from paraspinal_assets.study.bucket import CONNECTIONS, Bucket


class BucketFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system for the addresses of one bucket; what is read are the copies that the bucket keeps.

    It lists nothing, and every request for one of its files gets the same copy, even if the object is replaced
    meanwhile.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self._bucket = bucket
        self._start = f"{self._strip_protocol(bucket.url)}/"
        self._copies: dict[str, Path] = {}

    def take(self, addresses: Iterable[str]) -> None:
        """Fetch the files that will be read, many at once."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self._copy, addresses))

    def _copy(self, address: str) -> Path:
        name = self._strip_protocol(address).removeprefix(self._start)
        if name not in self._copies:
            self._copies[name] = self._bucket.fetch(name)
        return self._copies[name]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size and kind of a file."""
        size = self._copy(path).stat().st_size
        return {"name": path, "size": size, "type": "file"}

    def modified(self, path: str) -> dt.datetime:
        """When the copy was used last; DuckDB asks, and nothing follows from it."""
        return dt.datetime.fromtimestamp(self._copy(path).stat().st_mtime, dt.UTC)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        return open(self._copy(path), "rb")
