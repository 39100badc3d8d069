"""How muscle and spine change from level to level in one scan: what a level can be recognised by."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.imaging.quality_scan import SegmentedScan

BAND_MM: Final = 5.0
"""Area and attenuation are those of the slices within this distance of the vertebra's centre."""
QUANTITIES: Final = ("area_mm2", "median_hu", "spacing_mm")
"""Muscle area of both sides, its median attenuation, and the distance to the centre of the level below."""

Profile = dict[str, dict[str, float | None]]
"""Of `QUANTITIES`: level, from head to foot, -> value; null where it could not be measured."""


def spine_profile(scan: SegmentedScan) -> Profile:
    """The profile of a scan, for every level that was found."""
    muscle = {level: _muscle(scan, float(centre[2])) for level, centre in scan.centroids_mm.items()}
    spacing = {level: round(distance, 2) for level, distance in neighbour_distances(scan).items()}
    return {
        "area_mm2": {level: area for level, (area, _) in muscle.items()},
        "median_hu": {level: median for level, (_, median) in muscle.items()},
        "spacing_mm": {level: spacing.get(level) for level in muscle},
    }


def neighbour_distances(scan: SegmentedScan) -> dict[str, float]:
    """Level -> mm to the centre of the level below it in the spine; absent levels break the chain."""
    return {
        upper: float(np.linalg.norm(scan.centroids_mm[upper] - scan.centroids_mm[lower]))
        for upper, lower in itertools.pairwise(scan.centroids_mm)
        if SPINE.index(lower) - SPINE.index(upper) == 1
    }


def _muscle(scan: SegmentedScan, height: float) -> tuple[float | None, float | None]:
    """Area in mm2 and median attenuation in HU around a height."""
    near = np.abs(scan.z_mm - height) <= BAND_MM
    mask = scan.muscle_mask[:, :, near]
    if not mask.any():
        return None, None
    pixel = float(scan.spacing[0] * scan.spacing[1])
    area = float(mask.sum()) * pixel / int(near.sum())
    return round(area, 1), round(float(np.median(scan.ct[:, :, near][mask])), 1)
