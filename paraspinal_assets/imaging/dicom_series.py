"""From the headers of a folder to the slices of one volume, by the study's rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from paraspinal_assets.imaging.dicom_candidates import Candidate, candidates, without_copies
from paraspinal_assets.imaging.dicom_codes import dicom_error, some
from paraspinal_assets.imaging.dicom_geometry import Stack, stack_slices
from paraspinal_assets.imaging.dicom_headers import CT_CLASSES, SliceHeader
from paraspinal_assets.imaging.dicom_one_series import check_complete, check_one_acquisition, is_acquired

_MODALITIES: Final = frozenset(
    ["CR", "CT", "DX", "KO", "MG", "MR", "NM", "OT", "PR", "PT", "SC", "SEG", "SR", "US", "XA"]
)


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
    every = [without_copies(candidate) for candidate in candidates(images)]
    chosen = _select(every, rule)
    check_complete(chosen, every, rule.acquisition)
    check_one_acquisition(chosen)
    return stack_slices(chosen.slices, spacing_tolerance=rule.spacing_tolerance)


def _select(every: list[Candidate], rule: SeriesRule) -> Candidate:
    left = every
    if rule.acquisition is not None:
        kept = [tuple(s for s in c.slices if is_acquired(s, rule.acquisition)) for c in left]
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


def _is_ct(header: SliceHeader) -> bool:
    sop_class = header.get("SOPClassUID")
    return header.get("Modality") == "CT" if sop_class is None else str(sop_class) in CT_CLASSES


def _modality(header: SliceHeader) -> str:
    """A defined term (PS3.3 C.7.3.1.1.1) of what else lies in such folders; any other text is not repeated."""
    modality = header.get("Modality")
    return modality if modality in _MODALITIES else "another modality"
