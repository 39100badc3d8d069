"""Stored values of one slice: straight from the file where it is uncompressed, else by a decoder.

Compressed data is decoded by pylibjpeg (JPEG, JPEG-LS, JPEG 2000, RLE) through pydicom. The decoders
believe what they are given; so it is checked here that the data is whole, and that the codestream and the
header agree on the sign of the values.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from paraspinal_assets.imaging.dicom_codes import dicom_error, number
from paraspinal_assets.imaging.dicom_codestream import check_encapsulation, codestream
from paraspinal_assets.imaging.dicom_headers import SliceHeader, unnamed_os_errors

NATIVE: Final = {str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian), str(ExplicitVRBigEndian)}
_UNDEFINED_LENGTH: Final = 0xFFFFFFFF


class PixelReader:
    """Stored values of slices; opens a multi-frame file once. Safe to share between threads."""

    def __init__(self) -> None:
        self._datasets: dict[Path, Dataset] = {}
        self._lock = threading.Lock()

    def read(self, header: SliceHeader) -> NDArray[Any]:
        """Stored values, shape ``(row, column)``, int16 or uint16 in the byte order of the machine.

        Raises
        ------
        DicomError
            E-DICOM-02 cut off, E-DICOM-12 unsupported or contradictory.
        """
        allocated, stored = int(header.get("BitsAllocated", 0)), int(header.get("BitsStored", 0))
        if allocated != 16 or not 1 < stored <= 16 or int(header.get("HighBit", stored - 1)) != stored - 1:
            what = f"{stored} bits stored of {allocated}, high bit {number(header.get('HighBit'))}"
            raise dicom_error("E-DICOM-12", f"{header.name}: {what}; a CT slice has up to 16 bits of 16")
        with unnamed_os_errors(header.name):
            if header.transfer_syntax in NATIVE:
                values = _native(header)
            elif header.transfer_syntax == DeflatedExplicitVRLittleEndian:
                values = _inflated(header, self._dataset(header))
            else:
                values = _decoded(header, self._dataset(header))
        if stored < allocated:
            _check_range(header, values)
        return values

    def _dataset(self, header: SliceHeader) -> Dataset:
        if header.frames == 1:
            return _whole_dataset(header)
        with self._lock:
            if header.path not in self._datasets:
                self._datasets[header.path] = _whole_dataset(header)
            return self._datasets[header.path]


def _whole_dataset(header: SliceHeader) -> Dataset:
    if header.transfer_syntax != DeflatedExplicitVRLittleEndian:
        check_encapsulation(header)
    try:
        dataset = dcmread(header.path, force=True)
        length = len(dataset.PixelData)
    except Exception as error:  # pydicom and zlib raise whatever a broken file provokes
        raise dicom_error(
            "E-DICOM-02", f"{header.name} cannot be read to its end ({_kind(error)})"
        ) from error
    if length == 0:
        raise dicom_error("E-DICOM-02", f"{header.name} has no pixel data")
    return dataset


def _kind(error: Exception) -> str:
    """What a library complained of; not its text, which may quote the header."""
    return type(error).__name__


def _shape(header: SliceHeader) -> tuple[int, int]:
    return int(header.get("Rows")), int(header.get("Columns"))


def _is_signed(header: SliceHeader) -> bool:
    return bool(int(header.get("PixelRepresentation", 0)))


def _native(header: SliceHeader) -> NDArray[Any]:
    """Uncompressed values, read at their place in the file (PS3.5 section 8.2, annex A.1-A.3)."""
    rows, columns = _shape(header)
    order = "big" if header.transfer_syntax == ExplicitVRBigEndian else "little"
    size = 2 * rows * columns
    explicit = header.transfer_syntax != ImplicitVRLittleEndian
    with header.path.open("rb", buffering=0) as file:
        file.seek(header.pixel_offset or 0)
        element = file.read(12 if explicit else 8)
        length = int.from_bytes(element[-4:], order)  # type: ignore[arg-type]
        needed = size * header.frames
        if length == _UNDEFINED_LENGTH or not needed <= length <= needed + 1:
            what = f"{length} bytes of pixel data, {header.frames} frames of {rows}x{columns} need {needed}"
            raise dicom_error("E-DICOM-12", f"{header.name}: {what}")
        file.seek(header.frame * size, 1)
        kind = f"{'>' if order == 'big' else '<'}{'i' if _is_signed(header) else 'u'}2"
        values = np.fromfile(file, dtype=kind, count=rows * columns)
    if values.size != rows * columns:
        raise dicom_error(
            "E-DICOM-02", f"{header.name} is cut off: {2 * values.size} of {size} bytes of a slice"
        )
    return values.astype(values.dtype.newbyteorder("="), copy=False).reshape(rows, columns)


def _inflated(header: SliceHeader, dataset: Dataset) -> NDArray[Any]:
    rows, columns = _shape(header)
    needed = 2 * rows * columns * header.frames
    if not needed <= len(dataset.PixelData) <= needed + 1:
        raise dicom_error(
            "E-DICOM-02", f"{header.name}: {len(dataset.PixelData)} of {needed} bytes of pixel data"
        )
    kind = f"<{'i' if _is_signed(header) else 'u'}2"
    count = rows * columns
    values = np.frombuffer(dataset.PixelData, kind, count, 2 * count * header.frame)
    return values.astype(values.dtype.newbyteorder("=")).reshape(rows, columns)


def _decoded(header: SliceHeader, dataset: Dataset) -> NDArray[Any]:
    try:
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        values, _ = decoder.as_array(dataset, index=header.frame, decoding_plugin="pylibjpeg")
        frame = get_frame(dataset.PixelData, header.frame, number_of_frames=header.frames)
    except NotImplementedError as error:
        syntax = dataset.file_meta.TransferSyntaxUID
        # A UID that the standard does not know is its own name, and may be any text.
        name = f" {syntax.name}" if syntax.name != syntax else ""
        raise dicom_error("E-DICOM-12", f"{header.name}: no decoder for its transfer syntax{name}") from error
    except Exception as error:  # a decoder raises whatever a broken stream provokes
        raise dicom_error("E-DICOM-02", f"{header.name} cannot be decoded ({_kind(error)})") from error
    if values.shape != _shape(header):
        raise dicom_error("E-DICOM-12", f"{header.name}: the codestream holds {values.shape} pixels")
    values = np.asarray(values).astype(np.int16 if _is_signed(header) else np.uint16, copy=False)
    return values if header.transfer_syntax == RLELossless else _settle_sign(header, values, frame)


def _settle_sign(header: SliceHeader, values: NDArray[Any], frame: bytes) -> NDArray[Any]:
    """Values with the header's sign, where the codestream has another one or cannot say.

    JPEG and JPEG-LS carry no sign; JPEG 2000 does, and some writers declare signed values unsigned. The
    sign is then the top bit of the codestream's precision; that is right only if the codestream has at
    least the header's number of bits (with more of them, the range check tells a sign lower down).
    """
    stream = codestream(frame)
    signed, stored = _is_signed(header), int(header.get("BitsStored"))
    if stream is None:
        raise dicom_error("E-DICOM-12", f"{header.name}: the codestream has no header")
    if stream.is_signed == signed:
        return values
    if signed and stream.family == "jpeg" and stream.precision < 16:
        unused = 16 - stream.precision
        values = (values << unused) >> unused
    top_bit = bool((values.view(np.uint16) >> (stream.precision - 1) & 1).any())
    if not top_bit:
        return values
    if not signed or stream.precision < stored:
        theirs = "signed" if stream.is_signed else "unsigned"
        what = f"{theirs} with {stream.precision} bits, the header says {'' if signed else 'un'}signed with {stored}"
        raise dicom_error("E-DICOM-12", f"{header.name}: the codestream is {what}")
    if stream.is_signed is not None:
        _check_plausible(header, values)
    return values


def _check_plausible(header: SliceHeader, values: NDArray[Any]) -> None:
    """Refuse a sign that turns dense tissue into values below air; one padding value may lie there."""
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    below_air = values[values < (-1100 - intercept) / slope] if slope > 0 else values[:0]
    if below_air.size and below_air.min() != below_air.max():
        what = "the codestream is unsigned, the header signed, and neither gives Hounsfield units of a body"
        raise dicom_error("E-DICOM-12", f"{header.name}: {what}")


def stored_range(header: SliceHeader) -> tuple[int, int]:
    """Smallest and largest value that the stored bits of a slice can hold."""
    bits = int(header.get("BitsStored"))
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if _is_signed(header) else (0, (1 << bits) - 1)


def _check_range(header: SliceHeader, values: NDArray[Any]) -> None:
    low, high = stored_range(header)
    if not low <= int(values.min()) <= int(values.max()) <= high:
        what = (
            f"values from {values.min()} to {values.max()} do not fit {number(header.get('BitsStored'))} bits"
        )
        raise dicom_error("E-DICOM-12", f"{header.name}: {what} ({low} to {high})")
