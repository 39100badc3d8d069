"""Quality rules that read Hounsfield units: a CT at all, metal, contrast."""

from __future__ import annotations

from typing import Final

import numpy as np

from paraspinal_assets.imaging.quality_scan import Finding, SegmentedScan

MUSCLE_MEDIAN_HU: Final = (-100.0, 110.0)
"""From muscle replaced by fat to muscle in the venous phase. HU + 1024 and 0-255 images fall outside."""
VERTEBRA_P90_HU: Final = (60.0, 1500.0)
"""Brightest tenth of the vertebrae: osteoporotic bone is above 60 HU, cortical bone below 1500."""
EIGHT_BIT: Final = (0, 255)
"""Range of a picture that was exported from a CT and is no CT any more."""
METAL_HU: Final = 2500
"""Above dense cortical bone (about 2000 HU) and below the 3071 HU at which 12-bit scanners clip."""
METAL_MM3: Final = 150.0
"""Volume above `METAL_HU` beside the spine that disturbs the numbers: a screw is over 1000 mm3."""
VESSEL_HU: Final = (140, 700)
"""Enhanced blood; native blood is 30 to 60 HU."""
VESSEL_REGION_MM: Final = (40.0, 18.0, 58.0)
"""Half width, and nearest and farthest distance before the vertebral centre, of the region with the aorta."""
VESSEL_FRACTION: Final = 0.12
"""Share of soft tissue in that region at `VESSEL_HU`; an enhanced aorta alone is 0.2, calcium below 0.03."""
VESSEL_MIN_MM3: Final = 5000.0
"""Soft tissue needed in that region to judge; a tight crop has none."""


def not_ct_intensities(scan: SegmentedScan) -> Finding:
    """Muscle and bone have the attenuation of muscle and bone."""
    muscle = scan.ct[scan.muscle_mask]
    bone = scan.ct[np.isin(scan.labels, scan.vertebra_labels)]
    median = float(np.median(muscle)) if muscle.size else None
    bright = float(np.percentile(bone, 90)) if bone.size else None
    low, high = float(scan.ct.min()), float(scan.ct.max())
    bad = low >= EIGHT_BIT[0] and high <= EIGHT_BIT[1]
    bad |= median is not None and not MUSCLE_MEDIAN_HU[0] <= median <= MUSCLE_MEDIAN_HU[1]
    bad |= bright is not None and not VERTEBRA_P90_HU[0] <= bright <= VERTEBRA_P90_HU[1]
    bad |= median is not None and bright is not None and bright <= median
    return Finding(
        "not_ct_intensities" if bad else None, {"muscle_median_hu": median, "vertebra_p90_hu": bright}
    )


def metal(scan: SegmentedScan) -> Finding:
    """No implant in or beside the labelled spine and muscle."""
    volume = float((scan.ct > METAL_HU).sum()) * scan.voxel_mm3
    return Finding("metal" if volume > METAL_MM3 else None, {"metal_mm3": volume})


def contrast(scan: SegmentedScan) -> Finding:
    """The soft tissue before the spine, where the aorta runs, is not enhanced."""
    half, near, far = VESSEL_REGION_MM
    region = scan.beside_spine((-half, half), (near, far))[:, :, scan.slices_of_levels]
    ct = scan.ct[:, :, scan.slices_of_levels]
    labels = scan.labels[:, :, scan.slices_of_levels]
    soft = region & (labels == 0) & (ct > -30) & (ct < VESSEL_HU[1])
    total = int(soft.sum())
    if total * scan.voxel_mm3 < VESSEL_MIN_MM3:
        return Finding(None, {"bright_vessel_fraction": None})
    fraction = float((soft & (ct > VESSEL_HU[0])).sum()) / total
    return Finding("contrast" if fraction > VESSEL_FRACTION else None, {"bright_vessel_fraction": fraction})
