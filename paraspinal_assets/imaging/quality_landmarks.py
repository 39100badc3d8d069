"""Landmarks that show whether the names of the vertebrae are right: the top of the lungs and the first rib.

Both are given on the scale of the levels as they are named (1 is the centre of T1), so that they move by
exactly one when all names do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.imaging.quality_scan import SegmentedScan

LUNG_HU: Final = (-1000, -600)
"""Aerated lung."""
LUNG_REGION_MM: Final = (18.0, 60.0, -10.0, 45.0)
"""Beside the spine: from and to lateral distance, from and to distance before the vertebral centre."""
LUNG_AREA_MM2: Final = 150.0
"""Air in a slice of that region that counts as lung; the trachea is nearer to the midline."""
RIB_HU: Final = 150.0
"""Between muscle and bone, in voxels of `RIB_VOXEL_MM`. On a real CT, 97 % of what is found beside the spine is rib,
or touches it, in the published network's segmentation."""
RIB_VOXEL_MM: Final = 3.0
"""Smaller voxels are averaged to about this size: noise between the shoulders is no bone."""
RIB_REGION_MM: Final = (45.0, 75.0, -60.0, 25.0)
"""As `LUNG_REGION_MM`: beside the transverse processes (C7 and T1: up to 40 mm), nearer than the shoulder blade."""
RIB_AREA_MM2: Final = 40.0
"""Bone in a slice of one side of that region that counts as rib."""
RIB_LEVELS: Final = 3
"""The first rib is looked for from the centre of the level this far below the highest one upwards."""


def lung_apex_level(scan: SegmentedScan) -> float | None:
    """Height of the top of the lungs on the scale of the labelled thoracic levels (1 is the centre of T1).

    None where fewer than two thoracic levels or no lung are in view, or where the lung goes on to the top of
    the crop.
    """
    thoracic = {level: point for level, point in scan.centroids_mm.items() if level.startswith("T")}
    if len(thoracic) < 2:
        return None
    inner, outer, back, front = LUNG_REGION_MM
    region = scan.beside_spine((inner, outer), (back, front))
    region |= scan.beside_spine((-outer, -inner), (back, front))
    air = region & (scan.ct > LUNG_HU[0]) & (scan.ct < LUNG_HU[1])
    area = air.sum(axis=(0, 1)) * scan.spacing[0] * scan.spacing[1]
    slices = np.flatnonzero(area >= LUNG_AREA_MM2)
    if slices.size == 0 or slices[-1] >= scan.ct.shape[2] - 1:
        return None
    return _level_at(float(scan.z_mm[slices[-1]]), thoracic)


def first_rib_level(scan: SegmentedScan) -> float | None:
    """Height of the upper edge of the first rib beside the spine, as in `lung_apex_level`; the mean of both sides.

    None where the labelled levels begin below T3, or where no side shows a highest rib: none is in view, or it goes on
    to the top of the crop.
    """
    thoracic = {level: point for level, point in scan.centroids_mm.items() if level.startswith("T")}
    heights = [float(point[2]) for point in thoracic.values()]
    if len(heights) <= RIB_LEVELS or next(iter(thoracic)) not in ("T1", "T2", "T3"):
        return None
    above = slice(int(np.searchsorted(scan.z_mm, heights[RIB_LEVELS])), scan.ct.shape[2])
    found = []
    for side in ribs_beside_spine(scan, above):
        area = side.sum(axis=(0, 1)) * scan.spacing[0] * scan.spacing[1]
        slices = np.flatnonzero(area >= RIB_AREA_MM2)
        if slices.size and slices[-1] < area.size - 1:
            found.append(_level_at(float(scan.z_mm[above][slices[-1]]), thoracic))
    return float(np.mean(found)) if found else None


def ribs_beside_spine(scan: SegmentedScan, slices: slice) -> NDArray[np.bool_]:
    """Bone beside the spine that has no label, shape ``(2, x, y, slices)``: left, then right."""
    size = [max(round(RIB_VOXEL_MM / edge), 1) for edge in scan.spacing]
    bone = ndimage.uniform_filter(scan.ct[:, :, slices].astype(np.float32), size) > RIB_HU
    bone &= scan.labels[:, :, slices] == 0
    inner, outer, back, front = RIB_REGION_MM
    sides = ((-outer, -inner), (inner, outer))
    return np.array([scan.beside_spine(lateral, (back, front))[:, :, slices] & bone for lateral in sides])


def _level_at(height: float, centroids: dict[str, NDArray[np.float64]]) -> float:
    """World z on the scale of the levels' numbers, continued linearly beyond the first and last."""
    numbers = np.array([SPINE.index(level) - SPINE.index("T1") + 1.0 for level in centroids])
    heights = np.array([point[2] for point in centroids.values()])
    order = np.argsort(heights)
    numbers, heights = numbers[order], heights[order]
    inside = float(np.interp(height, heights, numbers))
    for end, next_to, sign in ((-1, -2, 1), (0, 1, -1)):
        beyond = sign * (height - heights[end])
        step = abs(heights[end] - heights[next_to])
        if beyond > 0 and step > 0:
            inside += beyond / step * (numbers[end] - numbers[next_to])
    return float(inside)
