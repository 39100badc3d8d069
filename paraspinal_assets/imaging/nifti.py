"""NIfTI files as streams of planes, with every gzip stream read to its end.

A reader that trusts a header allocates what a corrupt file claims; a reader that stops at the last voxel
never sees the checksum. Here the header is checked against the file before anything is allocated, and a
`PlaneStream` is only done when the stream's CRC-32 and length have been verified.

Sources: RFC 1951 and RFC 1952 for deflate and gzip.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import numpy as np
from isal import igzip, igzip_lib
from numpy.typing import NDArray

from paraspinal_assets.errors import VolumeError
from paraspinal_assets.imaging.nifti_header import RECONVERT, Header, parse_header

DEFAULT_MAX_BYTES: Final = 4 * 1024**3
"""Largest voxel block a header may claim: about 8,000 int16 slices of 512x512."""

_MAX_INFLATION: Final = 1032
"""A deflate stream cannot grow by more than this factor (RFC 1951: 258 bytes from 2 bits)."""

_CHUNK_BYTES: Final = 1 << 20
"""Planes are inflated in pieces of about this size, so that they are still in cache when looked at."""

_open_gzip: Final[Any] = igzip.open
_ISAL_ERRORS: Final = cast("tuple[type[Exception], ...]", (igzip_lib.IsalError,))


class PlaneStream:
    """One NIfTI file, opened and checked, read plane by plane along its slowest axis.

    Iterating `planes` to its end is what verifies a gzip stream; values taken from it before that are
    not to be used. Nothing of the volume's full size is allocated here.
    """

    def __init__(self, path: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.path = _single_file(path)
        try:
            with self.path.open("rb") as file:
                self._gzip = file.read(2) == b"\x1f\x8b"
            self._file: Any = _open_gzip(self.path, "rb") if self._gzip else self.path.open("rb", buffering=0)
        except OSError as error:
            raise VolumeError(
                "E-VOL-13", f"{self.path}: cannot be read ({error})", "check its permissions"
            ) from error
        try:
            self.header = self._checked_header(max_bytes)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def planes(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield ``(k, plane)`` for every stored plane, then verify the end of the file.

        Yields
        ------
        k
            Index along the file's slowest axis.
        plane
            Shape ``(second axis, first axis)``, read-only.

        Raises
        ------
        VolumeError
            E-VOL-02 if the file ends early or goes on too long, E-VOL-03 if the gzip stream is damaged.
        """
        nx, ny, nz = self.header.shape
        plane_bytes = nx * ny * self.header.dtype.itemsize
        per_chunk = max(1, min(nz, _CHUNK_BYTES // plane_bytes))
        for start in range(0, nz, per_chunk):
            count = min(per_chunk, nz - start)
            block = self._read(count * plane_bytes)
            if len(block) < count * plane_bytes:
                raise self._wrong_size("less")
            stack = np.frombuffer(block, self.header.dtype).reshape(count, ny, nx)
            for i in range(count):
                yield start + i, stack[i]
        if self._read(1):  # asking for more is what makes the gzip reader compare checksum and length
            raise self._wrong_size("more")

    def _checked_header(self, max_bytes: int) -> Header:
        start = self._read(348)
        if len(start) < 348:
            raise VolumeError("E-VOL-02", f"{self.path}: ends within its header", RECONVERT)
        if b"n+2" in start[4:8]:
            start += self._read(540 - 348)
        header = parse_header(start.ljust(540, b"\0"), self.path)
        size, claimed = self.path.stat().st_size, header.data_offset + header.data_bytes
        if header.data_bytes > max_bytes:
            raise VolumeError(
                "E-VOL-04",
                f"{self.path}: the header claims {header.data_bytes:,} bytes of voxels (limit {max_bytes:,})",
                "crop or resample the scan, or exclude it",
            )
        inflated = self._inflated_size(size, claimed) if self._gzip else size
        if claimed != inflated:
            raise self._wrong_size("less" if claimed > inflated else "more")
        self._read(header.data_offset - len(start))
        return header

    def _inflated_size(self, size: int, claimed: int) -> int:
        """Size of the gzip stream's content, as far as it takes to believe or refuse the claim, in no memory."""
        if claimed > size * _MAX_INFLATION:
            return 0
        with self.path.open("rb") as file:
            file.seek(max(0, size - 4))
            last_member = int.from_bytes(file.read(4), "little")
        if last_member == claimed % 2**32:
            return claimed
        count = 0  # several members, or a lie: count
        with _gzip_errors(self.path), _open_gzip(self.path, "rb") as stream:
            while count <= claimed and (part := len(stream.read(_CHUNK_BYTES))):
                count += part
        return count

    def _read(self, count: int) -> bytes:
        """`count` bytes, or fewer at the end of the file."""
        with _gzip_errors(self.path):
            block: bytes = self._file.read(count)
            while 0 < len(block) < count and (part := self._file.read(count - len(block))):
                block += part
        return block

    def _wrong_size(self, how: str) -> VolumeError:
        shape = getattr(getattr(self, "header", None), "shape", None)
        claim = f" {shape}" if shape else ""
        return VolumeError(
            "E-VOL-02",
            f"{self.path}: holds {how} data than its header{claim} claims",
            "copy or convert the file again",
        )


class _gzip_errors:  # noqa: N801 - reads as the statement it is
    """Turn the ways in which a gzip stream can be broken into one error."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (OSError, EOFError, zlib.error, *_ISAL_ERRORS)):
            raise VolumeError(
                "E-VOL-03",
                f"{self.path}: the compressed data is damaged ({error})",
                "copy or convert the file again",
            ) from error


def _single_file(path: Path) -> Path:
    """The path itself, if it is there and has no twin that another program would read in its place."""
    if not path.is_file():
        raise VolumeError("E-VOL-13", f"{path}: no such file", "check the path")
    name = path.name
    twin = path.with_name(name[:-3]) if name.endswith(".nii.gz") else path.with_name(name + ".gz")
    if name.endswith((".nii", ".nii.gz")) and twin.exists():
        raise VolumeError(
            "E-VOL-10",
            f"{path}: {twin.name} lies beside it; programs differ in which of the two they read",
            "keep one of the two files",
        )
    return path
