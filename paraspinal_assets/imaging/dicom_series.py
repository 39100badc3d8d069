"""From the headers of a folder to the slices of one volume, by the study's rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from filecmp import cmp
from itertools import chain, pairwise
from typing import Final, Literal

import numpy as np

from paraspinal_assets.imaging.dicom_codes import dicom_error, number, some
from paraspinal_assets.imaging.dicom_geometry import Stack, orientation, position, stack_slices
from paraspinal_assets.imaging.dicom_headers import CT_CLASSES, SliceHeader, unnamed_os_errors
from paraspinal_assets.imaging.dicom_multiframe import frames_of
from paraspinal_assets.imaging.dicom_sidecar import short_text

_SAME_PLANE: Final = 0.9
"""Cosine between normals above which two slices are meant to lie in the same stack (26 degrees)."""

_PROJECTIONS: Final = frozenset(["MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "SUBTRACTION"])
"""Values of ImageType of what is computed from many slices, or from two volumes."""
_MODALITIES: Final = (
    "CR",
    "CT",
    "DX",
    "KO",
    "MG",
    "MR",
    "NM",
    "OT",
    "PR",
    "PT",
    "SC",
    "SEG",
    "SR",
    "US",
    "XA",
)

_ACROSS: Final = 0.1
"""Cosine between normals below which an image lies across the slices, as a scout does (84 degrees)."""


@dataclass(frozen=True)
class SeriesRule:
    """How the volume of a scan is chosen among the series of its folder.

    Attributes
    ----------
    series_description
        Regular expression searched in SeriesDescription, case-insensitive.
    kernel
        Convolution kernels accepted, in order of preference: the first that is there is taken.
    slice_thickness_mm
        Smallest and largest SliceThickness accepted.
    acquisition
        AcquisitionNumber to keep where a series holds several.
    min_slices
        Fewer slices than this are not a volume (scouts, dose screens, bolus monitoring).
    choose
        What to do when several series remain: refuse and list them, or take the one with the most
        slices or the thinnest ones. A draw is refused.
    spacing_tolerance
        How far a slice may lie from its regular place, as a fraction of the slice spacing.
    allow_lossy
        Whether lossy compressed series are accepted.
    max_bytes
        Largest volume accepted, in bytes of 16-bit voxels.
    """

    series_description: str | None = None
    kernel: tuple[str, ...] = ()
    slice_thickness_mm: tuple[float, float] | None = None
    acquisition: int | None = None
    min_slices: int = 3
    choose: Literal["error", "most_slices", "thinnest"] = "error"
    spacing_tolerance: float = 0.01
    allow_lossy: bool = False
    max_bytes: int = 4 * 2**30

    def __post_init__(self) -> None:
        """Refuse a rule that cannot be applied (E-DICOM-17)."""
        if self.choose not in ("error", "most_slices", "thinnest"):
            raise dicom_error("E-DICOM-17", f"choose is {self.choose!r}: not error, most_slices or thinnest")
        if self.slice_thickness_mm is not None and self.slice_thickness_mm[0] > self.slice_thickness_mm[1]:
            raise dicom_error("E-DICOM-17", f"slice_thickness_mm {self.slice_thickness_mm} is not in order")
        if not 0 < self.spacing_tolerance < 0.5:
            raise dicom_error(
                "E-DICOM-17", f"spacing_tolerance {self.spacing_tolerance} is not between 0 and 0.5"
            )
        try:
            re.compile(self.series_description or "")
        except re.error as error:
            raise dicom_error(
                "E-DICOM-17", f"series_description {self.series_description!r}: {error}"
            ) from error


@dataclass(frozen=True)
class Candidate:
    """Slices of one series in one orientation."""

    slices: tuple[SliceHeader, ...]

    @property
    def thickness_mm(self) -> float | None:
        """SliceThickness of the first slice."""
        value = self.slices[0].get("SliceThickness")
        return None if value is None else float(value)

    @property
    def kernel(self) -> str:
        """ConvolutionKernel of the first slice; several values are joined by a backslash."""
        value = self.slices[0].get("ConvolutionKernel", "")
        return value if isinstance(value, str) else "\\".join(value)

    def describe(self) -> str:
        """The series by what a sidecar may hold and its number; its description is free text."""
        first = self.slices[0]
        parts = [f"series {number(first.get('SeriesNumber'))}", f"{len(self.slices)} slices"]
        if self.kernel:
            parts.append(f"kernel {short_text(self.kernel)}")
        if self.thickness_mm is not None:
            parts.append(f"{self.thickness_mm:g} mm")
        return ", ".join(parts)


def choose_stack(headers: Sequence[SliceHeader], rule: SeriesRule) -> Stack:
    """The one volume that a rule finds among headers, sorted and checked.

    Raises
    ------
    DicomError
        E-DICOM-03 nothing fits, -04 several fit, -08 mixed acquisitions, -10 slices of the series that
        lie in another direction, -15 several patients, and the geometry errors of `stack_slices`.
    """
    images = [header for header in headers if _is_ct(header)]
    if not images:
        kinds = sorted({_modality(header) for header in headers})
        raise dicom_error(
            "E-DICOM-03", f"none of the {len(headers)} DICOM files is a CT image (found: {some(kinds)})"
        )
    patients = {str(header.get("PatientID", "")) for header in images}
    if len(patients) > 1:
        raise dicom_error("E-DICOM-15", f"the folder holds images of {len(patients)} patients")
    every = [_without_copies(candidate) for candidate in candidates(images)]
    chosen = _select(every, rule)
    _check_complete(chosen, every, rule)
    _check_one_acquisition(chosen)
    return stack_slices(chosen.slices, spacing_tolerance=rule.spacing_tolerance)


def candidates(images: Sequence[SliceHeader]) -> list[Candidate]:
    """CT slices by series and orientation; localizers, and stacks of projections or subtractions, left out."""
    groups: dict[str, list[list[SliceHeader]]] = {}
    for image in images:
        for header in frames_of(image):
            if _is_localizer(header):
                continue
            stacks = groups.setdefault(str(header.get("SeriesInstanceUID", "")), [])
            for stack in stacks:
                if _same_plane(stack[0], header):
                    stack.append(header)
                    break
            else:
                stacks.append([header])
    return [
        Candidate(tuple(stack))
        for stacks in groups.values()
        for stack in stacks
        if not all(map(_is_projection, stack))
    ]


def _is_ct(header: SliceHeader) -> bool:
    sop_class = header.get("SOPClassUID")
    return header.get("Modality") == "CT" if sop_class is None else str(sop_class) in CT_CLASSES


def _modality(header: SliceHeader) -> str:
    """A defined term (PS3.3 C.7.3.1.1.1) of what else lies in such folders; any other text is not repeated."""
    modality = header.get("Modality")
    return modality if modality in _MODALITIES else "another modality"


def _is_localizer(header: SliceHeader) -> bool:
    return "LOCALIZER" in _image_type(header)


def _is_projection(header: SliceHeader) -> bool:
    """Whether the values are of no tissue at one place; what is DERIVED otherwise (reformatted) is a CT like any."""
    return not _PROJECTIONS.isdisjoint(_image_type(header))


def _image_type(header: SliceHeader) -> list[str]:
    """Values of ImageType, upper case. Source: DICOM PS3.3 C.7.6.1.1.2, C.8.2.1.1.1, C.8.16.1."""
    value = header.get("ImageType", [])
    return [str(item).strip().upper() for item in ([value] if isinstance(value, str) else value)]


def _same_plane(one: SliceHeader, other: SliceHeader) -> bool:
    """Whether two images can lie in one stack; those without orientation, such as dose reports, do by themselves."""
    cosines = one.get("ImageOrientationPatient"), other.get("ImageOrientationPatient")
    if cosines[0] == cosines[1] or None in cosines:
        return bool(cosines[0] == cosines[1])
    return float(np.cross(*orientation(one)) @ np.cross(*orientation(other))) > _SAME_PLANE


def _select(every: list[Candidate], rule: SeriesRule) -> Candidate:
    left = every
    if rule.acquisition is not None:
        kept = [tuple(s for s in c.slices if _is_acquired(s, rule)) for c in left]
        left = [Candidate(slices) for slices in kept if slices]
    left = [candidate for candidate in left if len(candidate.slices) >= max(2, rule.min_slices)]
    if rule.series_description is not None:
        pattern = re.compile(rule.series_description, re.IGNORECASE)
        left = [c for c in left if pattern.search(str(c.slices[0].get("SeriesDescription", "")))]
    if rule.slice_thickness_mm is not None:
        thinnest, thickest = rule.slice_thickness_mm
        left = [c for c in left if c.thickness_mm is not None and thinnest <= c.thickness_mm <= thickest]
    if rule.kernel:
        present = next((kernel for kernel in rule.kernel if any(c.kernel == kernel for c in left)), None)
        left = [candidate for candidate in left if candidate.kernel == present]
    if not left:
        listed = (
            some([f"({candidate.describe()})" for candidate in every]) or "localizers and projections only"
        )
        raise dicom_error("E-DICOM-03", f"no series fits the rule; found: {listed}")
    if rule.choose == "most_slices":
        most = max(len(candidate.slices) for candidate in left)
        left = [candidate for candidate in left if len(candidate.slices) == most]
    elif rule.choose == "thinnest":
        thin = min((c.thickness_mm for c in left if c.thickness_mm is not None), default=None)
        left = [candidate for candidate in left if candidate.thickness_mm == thin]
    if len(left) > 1:
        listed = some([f"({candidate.describe()})" for candidate in left], 12)
        raise dicom_error("E-DICOM-04", f"{len(left)} series could be the volume: {listed}")
    return left[0]


def _without_copies(candidate: Candidate) -> Candidate:
    """The slices without files that are byte for byte a copy of another."""
    seen: dict[tuple[object, int], list[SliceHeader]] = {}
    for header in candidate.slices:
        same = seen.setdefault((header.get("SOPInstanceUID"), header.frame), [])
        with unnamed_os_errors(header.name):
            if not any(cmp(header.path, other.path, shallow=False) for other in same):
                same.append(header)
    return Candidate(tuple(header for same in seen.values() for header in same))


def _check_complete(chosen: Candidate, every: Sequence[Candidate], rule: SeriesRule) -> None:
    """Refuse a stack whose series has slices in another direction: the volume would lack them without a word."""
    first = chosen.slices[0]
    others = [candidate for candidate in every if not any(header is first for header in candidate.slices)]
    rest = [
        header
        for header in chain.from_iterable(candidate.slices for candidate in others)
        if header.get("SeriesInstanceUID") == first.get("SeriesInstanceUID")
        and _is_acquired(header, rule)
        and not _is_scout(header, first)
    ]
    if not rest:
        return
    for header in (first, *rest):
        orientation(header)  # what has none is refused for that
    what = f"{len(rest)} of {len(rest) + len(chosen.slices)} slices of the series lie in another direction"
    raise dicom_error("E-DICOM-10", f"{what}: {some([header.name for header in rest])}")


def _is_acquired(header: SliceHeader, rule: SeriesRule) -> bool:
    return rule.acquisition is None or bool(header.get("AcquisitionNumber") == rule.acquisition)


def _is_scout(header: SliceHeader, slice_: SliceHeader) -> bool:
    """Whether an image is certainly no slice of the same volume: of another matrix, and across it or without place."""
    if all(header.get(keyword) == slice_.get(keyword) for keyword in ("Rows", "Columns")):
        return False
    if header.get("ImageOrientationPatient") is None:
        return True
    return abs(float(np.cross(*orientation(header)) @ np.cross(*orientation(slice_)))) < _ACROSS


def _check_one_acquisition(candidate: Candidate) -> None:
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
    return "\\".join([*_image_type(header)[:3], "projection" if _is_projection(header) else ""])


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
