"""Voxels named as a vertebra that lie apart from it: they lengthen its slab, and so the muscle measured in it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal_assets.imaging.anatomy import label_box
from paraspinal_assets.imaging.labels import vertebra_labels
from paraspinal_assets.imaging.quality_scan import Finding, SegmentedScan

PIECE: Final = 0.05
"""Share of a vertebra's voxels from which a piece is part of it, as an arch that thick slices cut off its body."""
STRAY_MM: Final = 10.0
"""Height of a slab without any such piece. A spinous process may lose its tip; a level is 20 mm or more high."""


def vertebra_in_pieces(scan: SegmentedScan) -> Finding:
    """Every slice of a vertebra's slab holds a real piece of it: one stray voxel two levels lower doubles the slab."""
    strays = [_stray_mm(scan, level) for level in scan.centroids_mm]
    longest = max(strays)
    return Finding("vertebra_gap" if longest > STRAY_MM else None, {"stray_mm": longest})


def _stray_mm(scan: SegmentedScan, level: str) -> float:
    """Height of the slices between the lowest and the highest voxel of a vertebra that hold no real piece of it."""
    shapes = [scan.shapes[label] for label in vertebra_labels(level) if label in scan.shapes]
    start, stop = min(shape.box[2].start for shape in shapes), max(shape.box[2].stop for shape in shapes)
    part = scan.labels[:, :, start:stop]
    held = _slices_of_pieces(np.isin(part, vertebra_labels(level)))
    return float((stop - start - held) * scan.spacing[2])


def _slices_of_pieces(mask: NDArray[np.bool_]) -> int:
    box = label_box(mask)
    if box is None:  # single voxels between those that are sampled
        return 0
    pieces, _ = ndimage.label(mask[box], np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    real = (sizes >= PIECE * sizes.sum())[pieces]
    return int(real.any(axis=(0, 1)).sum())
