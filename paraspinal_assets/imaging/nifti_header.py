"""NIfTI headers that are believed only after they were checked, and the one header that we write.

Sources: NIfTI-1.1 and NIfTI-2 header definitions (nifti.nimh.nih.gov).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import VolumeError
from paraspinal_assets.imaging.geometry import disk_affine, quaternion_of

RECONVERT: Final = "convert the scan again from its DICOM series"
"""What to do about most broken files."""

_MAX_EXTENSION_BYTES: Final = 16 * 1024**2
_VOXEL_TYPES: Final = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_MILLIMETRES: Final = (0, 2)
"""`xyzt_units` codes read as millimetres: unknown (what most writers leave) and mm."""


@dataclass(frozen=True)
class Header:
    """What a NIfTI file says of itself, after the checks.

    Attributes
    ----------
    shape
        Voxels along the three axes as they lie in the file (first axis fastest).
    dtype
        Stored voxel type with the file's byte order.
    slope, intercept
        Value = stored * slope + intercept.
    affine
        Shape ``(4, 4)``: stored voxel index to millimetres (RAS+).
    data_offset
        Byte at which the voxels start.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    affine: NDArray[np.float64]
    data_offset: int

    @property
    def data_bytes(self) -> int:
        """Size of the voxel block in bytes, in exact integers."""
        return self.shape[0] * self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether stored values have to be scaled to give Hounsfield units."""
        return (self.slope, self.intercept) != (1.0, 0.0)


def parse_header(raw: bytes, path: Path) -> Header:
    """Read and check the fixed header (348 bytes of NIfTI-1, 540 of NIfTI-2)."""
    if raw[:4] == b"NRRD":
        raise VolumeError(
            "E-VOL-01", f"{path}: an NRRD file, not NIfTI", "export it as NIfTI (.nii.gz), as 3D Slicer can"
        )
    order = next((o for o in "<>" if struct.unpack(o + "i", raw[:4])[0] in (348, 540)), None)
    if order is None:
        raise VolumeError(
            "E-VOL-01", f"{path}: not a NIfTI file (header size is neither 348 nor 540)", RECONVERT
        )
    if struct.unpack(order + "i", raw[:4])[0] == 348:
        magic, dim, (datatype, bitpix) = raw[344:348], _get(order, raw, "8h", 40), _get(order, raw, "2h", 70)
        pixdim, offset = _get(order, raw, "8f", 76), _get(order, raw, "f", 108)[0]
        slope, inter = _get(order, raw, "2f", 112)
        units, codes, quaternion = raw[123], _get(order, raw, "2h", 252), _get(order, raw, "6f", 256)
        srows, end = _get(order, raw, "12f", 280), 348
    else:
        magic, (datatype, bitpix), dim = raw[4:8], _get(order, raw, "2h", 12), _get(order, raw, "8q", 16)
        pixdim, offset = _get(order, raw, "8d", 104), float(_get(order, raw, "q", 168)[0])
        slope, inter = _get(order, raw, "2d", 176)
        units, codes = _get(order, raw, "i", 500)[0], _get(order, raw, "2i", 344)
        quaternion, srows, end = _get(order, raw, "6d", 352), _get(order, raw, "12d", 400), 540
    if magic[:3] not in (b"n+1", b"n+2"):
        raise VolumeError("E-VOL-01", f"{path}: not a single-file NIfTI (wrong magic)", RECONVERT)
    if units & 7 not in _MILLIMETRES:
        raise VolumeError(
            "E-VOL-01", f"{path}: lengths are not in millimetres (units {units & 7})", RECONVERT
        )
    if not (np.isfinite(offset) and offset == int(offset) and end <= offset <= _MAX_EXTENSION_BYTES):
        raise VolumeError("E-VOL-01", f"{path}: the header puts the voxels at byte {offset}", RECONVERT)
    return Header(
        shape=_shape(dim, path),
        dtype=_voxel_type(datatype, bitpix, order, path),
        **_scaling(slope, inter, path),
        affine=disk_affine(pixdim, codes, quaternion, srows, dim[1:4], path),
        data_offset=int(offset),
    )


def _get(order: str, raw: bytes, fields: str, at: int) -> tuple[Any, ...]:
    return struct.unpack_from(order + fields, raw, at)


def _shape(dim: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    axes = [int(n) for n in dim[1 : 1 + dim[0]]] if 1 <= dim[0] <= 7 else []
    if len(axes) < 3 or any(n < 1 for n in axes) or any(n != 1 for n in axes[3:]):
        raise VolumeError(
            "E-VOL-05",
            f"{path}: needs exactly three dimensions, the header says {list(dim)}",
            "give one 3-D volume",
        )
    return axes[0], axes[1], axes[2]


def _voxel_type(datatype: int, bitpix: int, order: str, path: Path) -> np.dtype[Any]:
    if datatype not in _VOXEL_TYPES:
        raise VolumeError(
            "E-VOL-07", f"{path}: voxel type {datatype} is no real number type", "save it as int16 or float32"
        )
    dtype = np.dtype(order + _VOXEL_TYPES[datatype])
    if bitpix != 8 * dtype.itemsize:
        raise VolumeError("E-VOL-01", f"{path}: voxel type {dtype} does not have {bitpix} bits", RECONVERT)
    return dtype


def _scaling(slope: float, inter: float, path: Path) -> dict[str, float]:
    if slope == 0 or (np.isnan(slope) and np.isnan(inter)):  # both mean "stored values are the values"
        return {"slope": 1.0, "intercept": 0.0}
    if not (np.isfinite(slope) and np.isfinite(inter)):
        raise VolumeError("E-VOL-01", f"{path}: intensity scaling is {slope} * value + {inter}", RECONVERT)
    return {"slope": float(slope), "intercept": float(inter)}


_FREE_FIELDS: Final = ((4, 40), (56, 70), (124, 252), (328, 344), (348, 352))
"""Bytes of a NIfTI-1 header that can hold text or further data (names, description, auxiliary file, intent,
extensions); `header_block` leaves all of them zero."""


def foreign_content(raw: bytes) -> bool:
    """Whether the first 352 bytes of a NIfTI-1 file hold anything beside geometry, voxel type and scaling."""
    return any(any(raw[start:end]) for start, end in _FREE_FIELDS) or not any(raw[:4])


def header_block(shape: tuple[int, ...], dtype: np.dtype[Any], affine: NDArray[np.float64]) -> bytes:
    """The 352 bytes before the voxels of a little-endian NIfTI-1 file: sform and qform set, mm, no scaling."""
    datatype = next(code for code, name in _VOXEL_TYPES.items() if np.dtype(name) == dtype)
    edges, handedness, quaternion = quaternion_of(affine)
    raw = bytearray(352)
    struct.pack_into("<i", raw, 0, 348)
    struct.pack_into("<8h2h", raw, 40, 3, *shape, 1, 1, 1, 1, 0, 0)
    struct.pack_into("<2h", raw, 70, datatype, 8 * dtype.itemsize)
    struct.pack_into("<8f", raw, 76, handedness, *edges, 0, 0, 0, 0)
    struct.pack_into("<3f", raw, 108, 352, 1, 0)
    raw[123] = 2  # mm
    struct.pack_into("<2h", raw, 252, 1, 1)  # both forms give scanner coordinates
    struct.pack_into("<6f", raw, 256, *quaternion, *affine[:3, 3])
    struct.pack_into("<12f", raw, 280, *affine[:3].ravel())
    raw[344:348] = b"n+1\0"
    return bytes(raw)
