"""Stacks among the images of a folder that may be the volume: by series and direction, copies left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from filecmp import cmp
from typing import Final

import numpy as np

from paraspinal_assets.imaging.dicom_codes import number
from paraspinal_assets.imaging.dicom_geometry import orientation
from paraspinal_assets.imaging.dicom_headers import SliceHeader, unnamed_os_errors
from paraspinal_assets.imaging.dicom_multiframe import frames_of
from paraspinal_assets.imaging.dicom_sidecar import short_text

_SAME_PLANE: Final = 0.9
"""Cosine between normals above which two slices are meant to lie in the same stack (26 degrees)."""

_PROJECTIONS: Final = frozenset(["MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "SUBTRACTION"])
"""Values of ImageType of what is computed from many slices, or from two volumes."""


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


def candidates(images: Sequence[SliceHeader]) -> list[Candidate]:
    """CT slices by series and orientation; localizers, and stacks of projections or subtractions, left out."""
    groups: dict[str, list[list[SliceHeader]]] = {}
    for image in images:
        for header in frames_of(image):
            if "LOCALIZER" in header.image_type:
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
        if not all(map(is_projection, stack))
    ]


def is_projection(header: SliceHeader) -> bool:
    """Whether the values are of no tissue at one place; what is DERIVED otherwise (reformatted) is a CT like any."""
    return not _PROJECTIONS.isdisjoint(header.image_type)


def _same_plane(one: SliceHeader, other: SliceHeader) -> bool:
    """Whether two images can lie in one stack; those without orientation, such as dose reports, do by themselves."""
    cosines = one.get("ImageOrientationPatient"), other.get("ImageOrientationPatient")
    if cosines[0] == cosines[1] or None in cosines:
        return bool(cosines[0] == cosines[1])
    return float(np.cross(*orientation(one)) @ np.cross(*orientation(other))) > _SAME_PLANE


def without_copies(candidate: Candidate) -> Candidate:
    """The slices without files that are byte for byte a copy of another."""
    seen: dict[tuple[object, int], list[SliceHeader]] = {}
    for header in candidate.slices:
        same = seen.setdefault((header.get("SOPInstanceUID"), header.frame), [])
        with unnamed_os_errors(header.name):
            if not any(cmp(header.path, other.path, shallow=False) for other in same):
                same.append(header)
    return Candidate(tuple(header for same in seen.values() for header in same))
