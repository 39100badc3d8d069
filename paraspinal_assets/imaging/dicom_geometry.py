"""Where the slices of a series lie: sorted, evenly spaced, square to their normal, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import DicomError
from paraspinal_assets.imaging.dicom_codes import dicom_error, number, some
from paraspinal_assets.imaging.dicom_headers import SliceHeader

ORIENTATION_TOLERANCE: Final = 1e-3
"""Largest difference of a direction cosine: from unit length, from a right angle, between slices."""
SAME_SPACING: Final = 1e-4
"""Relative difference of pixel spacing between slices that is rounding."""
SPACING_FLOOR_MM: Final = 0.01
"""Positions are decimal strings; deviations up to this are rounding."""
SHEAR_MM: Final = 0.1
"""Sideways shift of a slice against the first that is still rounding, or ..."""
SHEAR_SLOPE: Final = 1e-3
"""... this fraction of the distance between the two (0.06 degrees)."""
TILT_DEGREES: Final = 0.5
"""A gantry tilt above this must be visible in the orientation of the slices."""

_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """Slices in order along their normal, with the affine of the stack.

    Attributes
    ----------
    slices
        From the lowest to the highest projection on the normal (row direction x column direction).
    affine
        Shape ``(4, 4)``: index (column, row, slice) to millimetres, RAS+.
    """

    slices: tuple[SliceHeader, ...]
    affine: NDArray[np.float64]


def stack_slices(slices: Sequence[SliceHeader], *, spacing_tolerance: float) -> Stack:
    """Sort slices by position and check that they make one even, rectangular grid.

    Parameters
    ----------
    slices
        At least two slices of one series and orientation.
    spacing_tolerance
        How far a slice may lie from its regular place, as a fraction of the slice spacing.

    Raises
    ------
    DicomError
        E-DICOM-05 missing or uneven, -06 doubled, -07 tilted, -09 no geometry, -10 unequal slices.

    Source: DICOM PS3.3 C.7.6.2.1.1 (Image Plane Module).
    """
    _check_equal(slices)
    row, column = orientation(slices[0])
    normal = np.cross(row, column)
    positions = np.array([position(header) for header in slices])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    ordered = tuple(slices[i] for i in order)
    positions, along = positions[order], along[order]
    spacing = _even_spacing(ordered, along, spacing_tolerance)
    _check_shear(ordered, positions, along, normal)
    _check_tilt(ordered[0], normal)
    between_rows, between_columns = pixel_spacing(slices[0])
    affine = np.eye(4)
    affine[:3, 0] = row * between_columns
    affine[:3, 1] = column * between_rows
    affine[:3, 2] = normal * spacing
    affine[:3, 3] = positions[0]
    return Stack(ordered, _LPS_TO_RAS @ affine)


def orientation(header: SliceHeader) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors (LPS) along a row and along a column of a slice."""
    cosines = _numbers(header, "ImageOrientationPatient", 6)
    row, column = cosines[:3], cosines[3:]
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    off = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column)))
    if not off <= ORIENTATION_TOLERANCE:
        raise dicom_error(
            "E-DICOM-09", f"{header.name}: ImageOrientationPatient {_show(cosines)} is not orthonormal"
        )
    row = row / lengths[0]
    column = column - row * float(row @ column)
    return row, column / np.linalg.norm(column)


def position(header: SliceHeader) -> NDArray[np.float64]:
    """Centre of the first voxel of a slice, mm, LPS."""
    return _numbers(header, "ImagePositionPatient", 3)


def pixel_spacing(header: SliceHeader) -> NDArray[np.float64]:
    """Distance between rows and between columns, mm."""
    spacing = _numbers(header, "PixelSpacing", 2)
    if not (spacing > 0).all():
        raise dicom_error("E-DICOM-09", f"{header.name}: PixelSpacing {_show(spacing)} is not positive")
    return spacing


def _numbers(header: SliceHeader, keyword: str, count: int) -> NDArray[np.float64]:
    value: Any = header.get(keyword)
    if value is None:
        raise dicom_error("E-DICOM-09", f"{header.name} has no {keyword}")
    try:
        numbers = np.array([float(item) for item in value])
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise dicom_error("E-DICOM-09", f"{header.name}: {keyword} is not {count} numbers")
    return numbers


def _check_equal(slices: Sequence[SliceHeader]) -> None:
    """Every slice has the size, pixel spacing and orientation of the first."""
    first = slices[0]
    shape = (first.get("Rows"), first.get("Columns"))
    for header in slices:
        if (header.get("Rows"), header.get("Columns")) != shape:
            mine, others = (f"{number(h.get('Rows'))}x{number(h.get('Columns'))}" for h in (header, first))
            raise dicom_error("E-DICOM-10", f"{header.name} has {mine} pixels, {first.name} {others}")
    spacing = np.array([_numbers(header, "PixelSpacing", 2) for header in slices])
    odd = np.flatnonzero((np.abs(spacing / pixel_spacing(first) - 1) > SAME_SPACING).any(axis=1))
    if odd.size:
        mine, others = _show(spacing[odd[0]]), _show(spacing[0])
        raise dicom_error(
            "E-DICOM-10", f"{slices[odd[0]].name} has PixelSpacing {mine}, {first.name} {others}"
        )
    cosines = np.array([_numbers(header, "ImageOrientationPatient", 6) for header in slices])
    turned = np.flatnonzero((np.abs(cosines - cosines[0]) > ORIENTATION_TOLERANCE).any(axis=1))
    if turned.size:
        what = f"{slices[turned[0]].name} is turned against {first.name} (ImageOrientationPatient)"
        raise dicom_error("E-DICOM-10", what)


def _even_spacing(slices: Sequence[SliceHeader], along: NDArray[np.float64], tolerance: float) -> float:
    steps = np.diff(along)
    typical = float(np.median(steps))
    doubled = [
        f"{slices[i].name} = {slices[i + 1].name}" for i in map(int, np.flatnonzero(steps < SPACING_FLOOR_MM))
    ]
    if doubled:
        what = f"{len(doubled)} of {len(slices)} slices lie at the place of another: {some(doubled)}"
        raise dicom_error("E-DICOM-06", what)
    index = np.arange(len(along))
    off = np.abs(along - np.polyval(np.polyfit(index, along, 1), index))
    allowed = max(tolerance * typical, SPACING_FLOOR_MM)
    if off.max() > allowed:
        gaps = [i for i in range(len(steps)) if abs(steps[i] - typical) > 2 * allowed]
        where = [f"{slices[i].name} to {slices[i + 1].name}: {steps[i]:.3f} mm" for i in gaps]
        raise dicom_error(
            "E-DICOM-05",
            f"slice spacing varies from {steps.min():.3f} to {steps.max():.3f} mm over {len(slices)} slices "
            f"(typically {typical:.3f} mm; a slice may be {allowed:.3f} mm off its place): {some(where)}",
        )
    return float(along[-1] - along[0]) / (len(along) - 1)


def _check_shear(
    slices: Sequence[SliceHeader],
    positions: NDArray[np.float64],
    along: NDArray[np.float64],
    normal: NDArray[np.float64],
) -> None:
    shift = positions - positions[0]
    sideways = np.linalg.norm(shift - np.outer(along - along[0], normal), axis=1)
    allowed = np.maximum(SHEAR_MM, SHEAR_SLOPE * (along - along[0]))
    worst = int(np.argmax(sideways - allowed))
    if sideways[worst] > allowed[worst]:
        degrees = np.degrees(np.arctan2(sideways[worst], along[worst] - along[0]))
        raise dicom_error(
            "E-DICOM-07",
            f"slices are shifted sideways: {slices[worst].name} by {sideways[worst]:.2f} mm "
            f"({degrees:.1f} degrees from the normal; gantry tilt or a moved table)",
        )


def _check_tilt(header: SliceHeader, normal: NDArray[np.float64]) -> None:
    """A tilted gantry whose slices claim to be axial: one of the two is wrong."""
    tilt = abs(_tilt(header))
    axial = abs(normal[2]) > np.cos(np.radians(TILT_DEGREES))
    if tilt > TILT_DEGREES and axial and "DERIVED" not in header.image_type:
        raise dicom_error(
            "E-DICOM-07", f"GantryDetectorTilt is {tilt:g} degrees, but the slices claim to be axial"
        )


def _tilt(header: SliceHeader) -> float:
    """Gantry tilt of a slice, degrees; 0 where the header has none."""
    try:
        tilt = float(header.get("GantryDetectorTilt", 0.0))
    except (DicomError, TypeError, ValueError):
        tilt = np.nan
    if not np.isfinite(tilt):
        raise dicom_error("E-DICOM-09", f"{header.name}: GantryDetectorTilt is not a number")
    return tilt


def _show(numbers: NDArray[np.float64]) -> str:
    return "\\".join(f"{number:g}" for number in numbers)
