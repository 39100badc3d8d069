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
"""Level -> `QUANTITIES`, null where they could not be measured."""


def spine_profile(scan: SegmentedScan) -> Profile:
    """The profile of a scan, for every level that was found, from head to foot."""
    spacing = {
        upper: round(float(np.linalg.norm(scan.centroids_mm[upper] - scan.centroids_mm[lower])), 2)
        for upper, lower in itertools.pairwise(scan.centroids_mm)
        if SPINE.index(lower) - SPINE.index(upper) == 1
    }
    return {
        level: dict(
            zip(
                QUANTITIES,
                (*_muscle(scan, float(centre[2])), spacing.get(level)),
                strict=True,
            )
        )
        for level, centre in scan.centroids_mm.items()
    }


def _muscle(scan: SegmentedScan, height: float) -> tuple[float | None, float | None]:
    near = np.abs(scan.z_mm - height) <= BAND_MM
    mask = scan.muscle_mask[:, :, near]
    if not mask.any():
        return None, None
    pixel = float(scan.spacing[0] * scan.spacing[1])
    area = float(mask.sum()) * pixel / int(near.sum())
    return round(area, 1), round(float(np.median(scan.ct[:, :, near][mask])), 1)
