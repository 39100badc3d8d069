"""Whether a chosen stack is one reconstruction of one scan, and all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Final

import numpy as np

from paraspinal_assets.imaging.dicom_candidates import Candidate, is_projection
from paraspinal_assets.imaging.dicom_codes import dicom_error, number, some
from paraspinal_assets.imaging.dicom_geometry import orientation, position
from paraspinal_assets.imaging.dicom_headers import SliceHeader
from paraspinal_assets.imaging.dicom_sidecar import short_text

_ACROSS: Final = 0.1
"""Cosine between normals below which an image lies across the slices, as a scout does (84 degrees)."""


def check_complete(chosen: Candidate, every: Sequence[Candidate], acquisition: int | None) -> None:
    """Refuse a stack whose series has slices in another direction: the volume would lack them without a word."""
    first = chosen.slices[0]
    others = [candidate for candidate in every if not any(header is first for header in candidate.slices)]
    rest = [
        header
        for header in chain.from_iterable(candidate.slices for candidate in others)
        if header.get("SeriesInstanceUID") == first.get("SeriesInstanceUID")
        and is_acquired(header, acquisition)
        and not _is_scout(header, first)
    ]
    if not rest:
        return
    for header in (first, *rest):
        orientation(header)  # what has none is refused for that
    what = f"{len(rest)} of {len(rest) + len(chosen.slices)} slices of the series lie in another direction"
    raise dicom_error("E-DICOM-10", f"{what}: {some([header.name for header in rest])}")


def is_acquired(header: SliceHeader, acquisition: int | None) -> bool:
    """Whether a slice is of the acquisition that is asked for, if any is."""
    return acquisition is None or bool(header.get("AcquisitionNumber") == acquisition)


def _is_scout(header: SliceHeader, slice_: SliceHeader) -> bool:
    """Whether an image is certainly no slice of the same volume: of another matrix, and across it or without place."""
    if all(header.get(keyword) == slice_.get(keyword) for keyword in ("Rows", "Columns")):
        return False
    if header.get("ImageOrientationPatient") is None:
        return True
    return abs(float(np.cross(*orientation(header)) @ np.cross(*orientation(slice_)))) < _ACROSS


def check_one_acquisition(candidate: Candidate) -> None:
    """Refuse slices of several acquisitions or settings; blocks that follow each other are one scan."""
    for keyword, setting in _SETTINGS.items():
        values = {setting(header) for header in candidate.slices}
        if len(values) > 1:
            shown = f": {some(sorted(values))}" if keyword in _SHOWN else ""
            raise dicom_error("E-DICOM-08", f"slices of one series differ in {keyword}{shown}")
    numbers = [header.get("AcquisitionNumber") for header in candidate.slices]
    if len(set(numbers)) == 1:
        return
    normal = np.cross(*orientation(candidate.slices[0]))
    along = [float(position(header) @ normal) for header in candidate.slices]
    in_order = [numbers[i] for i in np.argsort(along, kind="stable")]
    changes = sum(one != other for one, other in pairwise(in_order))
    if changes > len(set(numbers)) - 1:
        listed = some([f"{number(n)}: {numbers.count(n)} slices" for n in sorted(set(numbers), key=str)])
        raise dicom_error("E-DICOM-08", f"one series holds interleaved acquisitions ({listed})")


def _thickness(header: SliceHeader) -> str:
    """SliceThickness, mm, without the last digits, which writers round in their own ways."""
    value = header.get("SliceThickness")
    return number(None if value is None else round(float(value), 2))


def _kind(header: SliceHeader) -> str:
    """What ImageType says in the values that the standard defines, or whether it is a projection.

    Values behind the third are the manufacturer's, who may write them for each slice.
    """
    return "\\".join([*header.image_type[:3], "projection" if is_projection(header) else ""])


_SETTINGS: Final[dict[str, Callable[[SliceHeader], str]]] = {
    "StudyInstanceUID": lambda header: str(header.get("StudyInstanceUID")),
    "FrameOfReferenceUID": lambda header: str(header.get("FrameOfReferenceUID")),
    "KVP": lambda header: number(header.get("KVP")),
    "ConvolutionKernel": lambda header: short_text(header.get("ConvolutionKernel")) or "none",
    "SliceThickness": _thickness,
    "ImageType": _kind,
}
"""What is the same in every slice of one reconstruction: keyword -> its value as far as it matters."""
_SHOWN: Final = ("KVP", "ConvolutionKernel", "SliceThickness")
"""Those that a sidecar may hold, so that messages may give them."""
