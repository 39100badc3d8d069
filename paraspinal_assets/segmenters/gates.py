"""Gates around a segmenter: which CT may enter, and what of the result may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, SPINE, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.segmenters.grids import Grid
from paraspinal_assets.segmenters.machine import memory_bytes

MINIMUM_EXTENT_MM: Final = 100.0
"""Smallest field of view along each axis in which vertebrae can be told from each other by their place."""

AIR_HU: Final = -500
"""Air and lung lie below; a scan of the chest has at least `AIR_SHARE` of it."""
AIR_SHARE: Final = 0.01
SOFT_TISSUE_HU: Final = (-200, 200)
"""Fat, muscle and blood lie within; at least `SOFT_TISSUE_SHARE` of what is not air."""
SOFT_TISSUE_SHARE: Final = 0.3
_SAMPLE: Final = 200_000


def check_size(name: str, grid: Grid, *, limit_bytes: int | None = None) -> None:
    """Refuse, before anything is read, a field of view that is too small or a scan that memory cannot hold.

    Parameters
    ----------
    name
        Scan, for messages.
    grid
        Grid of the CT, from its header.
    limit_bytes
        Memory for one scan; `memory_for_scans` when None.

    Raises
    ------
    SegmentationError
        E-SEG-14 (too small), E-SEG-15 (too large).
    """
    edges = np.sqrt((grid.affine[:3, :3] ** 2).sum(axis=0))
    extent = edges * grid.shape
    size = "x".join(f"{e:.0f}" for e in extent)
    if extent.min() < MINIMUM_EXTENT_MM:
        raise SegmentationError(
            "E-SEG-14",
            f"{name}: field of view of {size} mm, expected at least {MINIMUM_EXTENT_MM:.0f} mm along each axis",
            "exclude the scan, or give the series that covers the thorax",
        )
    needed = memory_estimate(grid)
    limit = limit_bytes or memory_for_scans()
    if needed > limit:
        shape = "x".join(map(str, grid.shape))
        raise SegmentationError(
            "E-SEG-15",
            f"{name}: {shape} voxels would need about {needed / 1e9:.1f} GB, of {limit / 1e9:.1f} GB allowed",
            "resample the series to 0.5 mm or more, or segment it on a machine with more memory"
            " (`paraspinal run --retry-failed`)",
        )


def memory_for_scans() -> int:
    """Bytes for all scans in work at once: 80 % of what this process may use."""
    return int(0.8 * memory_bytes())


def memory_estimate(grid: Grid) -> int:
    """Bytes for one scan, from above: CT twice, masks, and at 1.5 mm the scores of 30 classes."""
    voxels = float(np.prod(grid.shape, dtype=np.float64))
    volume_mm3 = voxels * abs(float(np.linalg.det(grid.affine[:3, :3])))
    return int(voxels * (2 * 2 + 3) + volume_mm3 / 1.5**3 * (8 + 4 + 2 * 4 + 30 * 2))


def check_intensities(name: str, ct: Volume) -> None:
    """Refuse voxels that are not Hounsfield units of a chest: shifted by 1024, windowed, or not a CT at all.

    Networks give plausible, wrong masks for them instead of an error.

    Raises
    ------
    SegmentationError
        E-SEG-12.
    """
    # Every so many along each axis: every so many of the whole can all lie in one column.
    every = max(1, round((ct.data.size / _SAMPLE) ** (1 / 3)))
    values = ct.data[::every, ::every, ::every]
    low, middle, high = (float(v) for v in np.percentile(values, [1, 50, 99]))
    air = float(np.mean(values < AIR_HU))
    rest = values[values >= AIR_HU]
    soft = float(np.mean((rest >= SOFT_TISSUE_HU[0]) & (rest <= SOFT_TISSUE_HU[1]))) if rest.size else 0.0
    if air >= AIR_SHARE and soft >= SOFT_TISSUE_SHARE:
        return
    raise SegmentationError(
        "E-SEG-12",
        f"{name}: intensities are not Hounsfield units of a chest CT: percentiles 1, 50, 99 are {low:.0f}, "
        f"{middle:.0f}, {high:.0f}; {air:.1%} air, {soft:.0%} of the rest soft tissue",
        "convert the series again with its rescale slope and intercept",
    )


def output_verdict(
    labels: NDArray[np.uint8], levels: Sequence[str], *, within: tuple[slice, slice, slice] | None = None
) -> tuple[str | None, tuple[str, ...]]:
    """What is wrong with a segmentation.

    Parameters
    ----------
    labels
        Shape ``(x, y, z)``, RAS+, values of `imaging.labels`.
    levels
        Levels of the study, any order.
    within
        Box outside which all labels are known to be 0.

    Returns
    -------
    The reason why nothing can be measured, or None; and the findings that are not fatal. Both are codes of
    `imaging.reasons`.
    """
    part = labels if within is None else labels[within]  # places are compared with each other only
    indices = np.nonzero(part)
    values = part[indices]
    counts = np.bincount(values, minlength=256)
    present = [level for level in levels if counts[body_label(level)] + counts[rest_label(level)]]
    left, right = int(counts[AUTOCHTHON_LEFT]), int(counts[AUTOCHTHON_RIGHT])
    if not present:
        return ("no_vertebrae" if left or right else "empty_segmentation"), ()
    if not left and not right:
        return "no_muscle", ()
    sums = [np.bincount(values, weights=axis, minlength=256).astype(np.float64) for axis in indices]
    findings = {
        "missing_level": len(present) < len(levels),
        "no_muscle_side": not left or not right,
        "level_order": _out_of_order(sums[2], counts, present),
        "sides_swapped": _sides_swapped(sums[0], counts, present),
        "touches_fov_border": _cut_by_border(labels),
    }
    return None, tuple(code for code, found in findings.items() if found)


def _labels_of(levels: Sequence[str]) -> list[int]:
    return [label for level in levels for label in (body_label(level), rest_label(level))]


def _out_of_order(sum_z: NDArray[np.float64], counts: NDArray[np.int64], levels: Sequence[str]) -> bool:
    """Whether the vertebrae's centres do not go down from level to level."""
    ordered = sorted(levels, key=SPINE.index)
    heights = [sum_z[_labels_of([level])].sum() / counts[_labels_of([level])].sum() for level in ordered]
    return bool(np.any(np.diff(heights) >= 0))


def _sides_swapped(sum_x: NDArray[np.float64], counts: NDArray[np.int64], levels: Sequence[str]) -> bool:
    """Whether a muscle's centre lies on the wrong side of the vertebrae's; x increases to the right."""
    spine = sum_x[_labels_of(levels)].sum() / counts[_labels_of(levels)].sum()
    wrong = [
        side * (sum_x[label] / counts[label] - spine) <= 0
        for label, side in ((AUTOCHTHON_LEFT, -1), (AUTOCHTHON_RIGHT, 1))
        if counts[label]
    ]
    return any(wrong)


def _cut_by_border(labels: NDArray[np.uint8]) -> bool:
    """Whether a vertebra reaches any face of the image, or a muscle one of its four sides.

    A muscle that goes on beyond the top and bottom slice is the rule: it spans more than the thorax.
    """
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    ends = (labels[:, :, 0], labels[:, :, -1])
    return any(bool(face.any()) for face in sides) or any(
        bool((face > AUTOCHTHON_RIGHT).any()) for face in ends
    )
