"""Pixel data of sorted slices, decoded and rescaled to Hounsfield units in one 16-bit array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless
from scipy import ndimage

from paraspinal_assets.imaging.dicom_codes import dicom_error, number
from paraspinal_assets.imaging.dicom_decode import NATIVE, PixelReader, stored_range
from paraspinal_assets.imaging.dicom_headers import SliceHeader

AIR_HU: Final = -1024
"""What padding outside the reconstruction becomes where it would otherwise look like tissue."""
_TISSUE_HU: Final = -1000
_INT16: Final = np.iinfo(np.int16)
_LOSSY: Final = {str(JPEGBaseline8Bit), str(JPEGExtended12Bit), str(JPEGLSNearLossless)}


def read_hounsfield(
    slices: Sequence[SliceHeader],
    *,
    row_step: int,
    column_step: int,
    allow_lossy: bool,
    max_bytes: int,
) -> NDArray[np.int16]:
    """Hounsfield units, shape ``(slice, row, column)``, slices in the order given; a step of -1 reverses an axis.

    Every slice is rescaled with its own slope and intercept; values that are not integral after that are
    rounded to the nearest unit. Padding (PixelPaddingValue) keeps its value where that lies below air;
    where it would look like tissue, what of it touches the edge of the slice becomes `AIR_HU`.

    Raises
    ------
    DicomError
        E-DICOM-02 cut off, -11 not Hounsfield units, -12 pixel format, -13 beyond 16 bits, -14 too large,
        -16 lossy.

    Source: DICOM PS3.3 C.11.1 (Modality LUT), C.8.2.1 (CT Image), C.7.5.1.1.2 (Pixel Padding Value).
    """
    rows, columns = int(slices[0].get("Rows", 0)), int(slices[0].get("Columns", 0))
    size = 2 * rows * columns * len(slices)
    if not 0 < size <= max_bytes:
        raise dicom_error("E-DICOM-14", f"{len(slices)} slices of {rows}x{columns} pixels need {size} bytes")
    for header in slices:
        _check_units(header)
        _check_present(header)
        if not allow_lossy and _is_lossy(header):
            raise dicom_error("E-DICOM-16", f"{header.name} was compressed with loss")
    volume = np.empty((len(slices), rows, columns), np.int16)
    reader = PixelReader()

    def fill(index: int) -> None:
        target = volume[index, ::row_step, ::column_step]
        _rescale(slices[index], reader.read(slices[index]), target)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, range(len(slices))))
    return volume


def _check_units(header: SliceHeader) -> None:
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if slope is None or intercept is None or not np.isfinite([slope, intercept]).all() or slope == 0:
        raise dicom_error(
            "E-DICOM-11", f"{header.name}: RescaleSlope {number(slope)}, RescaleIntercept {number(intercept)}"
        )
    if str(header.get("RescaleType", "HU")).upper() != "HU":
        raise dicom_error("E-DICOM-11", f"{header.name}: values are not in HU (RescaleType)")
    photometric, samples = (
        header.get("PhotometricInterpretation", "MONOCHROME2"),
        header.get("SamplesPerPixel", 1),
    )
    if photometric not in ("MONOCHROME2", "MONOCHROME1") or samples != 1:
        what = f"a picture ({number(samples)} samples, PhotometricInterpretation), not a CT slice"
        raise dicom_error("E-DICOM-11", f"{header.name} is {what}")


def _check_present(header: SliceHeader) -> None:
    """Pixel data must be there and, where uncompressed, fit its file, before anything is allocated."""
    if header.pixel_offset is None:
        return
    pixels = 2 * int(header.get("Rows", 0)) * int(header.get("Columns", 0)) * header.frames
    needed = header.pixel_offset + (pixels if header.transfer_syntax in NATIVE else 1)
    if needed > header.file_size:
        raise dicom_error("E-DICOM-02", f"{header.name} is cut off: {header.file_size} of {needed} bytes")


def _is_lossy(header: SliceHeader) -> bool:
    return str(header.get("LossyImageCompression", "00")) == "01" or header.transfer_syntax in _LOSSY


def _rescale(header: SliceHeader, stored: NDArray[Any], target: NDArray[np.int16]) -> None:
    slope, intercept = float(header.get("RescaleSlope")), float(header.get("RescaleIntercept"))
    outside = _padding(header, stored, slope, intercept)
    if outside is not None:
        if outside.all():
            target[...] = AIR_HU
            return
        stored = np.where(outside, stored[~outside].min(), stored)
    # The range of the stored bits settles most slices without a look at the voxels.
    if not _fits(*stored_range(header), slope, intercept) and not _fits(
        stored.min(), stored.max(), slope, intercept
    ):
        low, high = sorted((float(stored.min()) * slope + intercept, float(stored.max()) * slope + intercept))
        raise dicom_error("E-DICOM-13", f"{header.name}: attenuation from {low:g} to {high:g} HU")
    if slope == 1 and intercept == int(intercept):
        # Modulo 2**16 the sum is exact whatever the sign of the stored type, and the result fits.
        np.add(stored.view(np.int16), _wrap(int(intercept)), out=target)
    else:
        np.copyto(target, np.rint(stored * slope + intercept), casting="unsafe")
    if outside is not None:
        target[outside] = AIR_HU


def _fits(low: int, high: int, slope: float, intercept: float) -> bool:
    ends = np.rint([int(low) * slope + intercept, int(high) * slope + intercept])
    return bool((ends >= _INT16.min).all() and (ends <= _INT16.max).all())


def _padding(
    header: SliceHeader, stored: NDArray[Any], slope: float, intercept: float
) -> NDArray[np.bool_] | None:
    """Where padding must become air; None where it may stay as it is."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return None
    limits = sorted(_as_stored(header, v) for v in (value, header.get("PixelPaddingRangeLimit", value)))
    attenuation = sorted(limit * slope + intercept for limit in limits)
    if attenuation[1] <= _TISSUE_HU and attenuation[0] >= _INT16.min:
        return None
    pieces, count = ndimage.label((stored >= limits[0]) & (stored <= limits[1]))
    edge = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    touching = np.zeros(count + 1, np.bool_)
    touching[edge] = True
    touching[0] = False
    return np.asarray(touching[pieces]) if touching.any() else None


def _as_stored(header: SliceHeader, value: Any) -> int:
    """A padding value with the sign of the pixels; writers mix US and SS, and implicit VR cannot say."""
    number = int.from_bytes(value[:2], "little") if isinstance(value, bytes) else int(value) & 0xFFFF
    signed = int(header.get("PixelRepresentation", 0)) == 1
    return _wrap(number).item() if signed else number


def _wrap(value: int) -> np.int16:
    return np.int16(((value + 0x8000) & 0xFFFF) - 0x8000)
