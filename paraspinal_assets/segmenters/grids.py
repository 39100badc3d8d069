"""Whether a segmentation lies on the grid of its CT, and nearest-neighbour resampling where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import SegmentationError

AFFINE_TOLERANCE_MM: Final = 1e-2
"""Allowed difference of voxel positions at the corners of two grids that count as one.

NIfTI keeps sform in float32 and qform as quaternions; both round by far less than 0.01 mm on a chest CT.
"""


@dataclass(frozen=True)
class Grid:
    """Shape ``(x, y, z)`` and affine ``(4, 4)`` of an image in RAS+ orientation."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def describe(self) -> str:
        """Shape and affine on one line, as error messages show them."""
        rows = "; ".join(" ".join(f"{v:.4g}" for v in row) for row in self.affine[:3])
        return f"shape {'x'.join(map(str, self.shape))}, affine [{rows}]"


def corner_distance_mm(first: Grid, second: Grid) -> float:
    """Largest distance in mm between equal voxel indices of two grids; infinite where shapes differ."""
    if first.shape != second.shape:
        return float("inf")
    difference = _corners(first.shape) @ (first.affine - second.affine).T
    return float(np.linalg.norm(difference[:, :3], axis=1).max())


def fit_to_grid(
    data: NDArray[Any], found: Grid, expected: Grid, *, names: tuple[Path, Path], resample: bool
) -> NDArray[Any]:
    """Labels on the CT's grid: as they are where they lie on it voxel by voxel.

    Parameters
    ----------
    data
        Labels of shape ``found.shape``.
    found, expected
        Grid of the labels and of the CT.
    names
        Files of the segmentation and of the CT, for messages.
    resample
        Bring labels of another grid to the CT's by nearest neighbour, 0 outside of them.

    Raises
    ------
    SegmentationError
        E-SEG-22; the message shows both shapes and affines.
    """
    distance = corner_distance_mm(found, expected)
    if distance <= AFFINE_TOLERANCE_MM:
        return data
    covered = covered_fraction(found, expected)
    if resample and covered > 0:
        return resample_nearest(data, found, expected)
    apart = "shapes differ" if np.isinf(distance) else f"voxels lie up to {distance:.3g} mm apart"
    if covered == 0:
        apart += ", and the two do not overlap at all"
    raise SegmentationError(
        "E-SEG-22",
        f"{names[0]} is not on the grid of its CT ({apart}).\n"
        f"  segmentation: {found.describe()}\n  CT {names[1]}: {expected.describe()}",
        "check that the segmentation belongs to this CT"
        if covered == 0
        else "segment this CT again, or set `segmentation.resample: true` in the study file",
    )


def resample_nearest(data: NDArray[Any], source: Grid, target: Grid) -> NDArray[Any]:
    """Labels of shape ``source.shape`` on another grid, by nearest neighbour; 0 outside of the source."""
    from scipy import ndimage

    to_source = np.linalg.inv(source.affine) @ target.affine
    resampled: NDArray[Any] = ndimage.affine_transform(
        data, to_source[:3, :3], to_source[:3, 3], output_shape=target.shape, order=0, mode="constant", cval=0
    )
    return resampled


def covered_fraction(source: Grid, target: Grid) -> float:
    """Share of the target's bounding box in the world that the source's box covers; 0 if they are apart."""
    (low_a, high_a), (low_b, high_b) = _world_box(source), _world_box(target)
    common = np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0, None)
    return float(np.prod(common) / np.prod(high_b - low_b))


def _world_box(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner in mm, voxel edges included."""
    world = (_corners(grid.shape, edge=0.5) @ grid.affine.T)[:, :3]
    return world.min(axis=0), world.max(axis=0)


def _corners(shape: tuple[int, int, int], *, edge: float = 0.0) -> NDArray[np.float64]:
    """The eight corners in voxel indices, homogeneous, shape ``(8, 4)``."""
    ends = [(-edge, n - 1 + edge) for n in shape]
    return np.array([[i, j, k, 1.0] for i in ends[0] for j in ends[1] for k in ends[2]])
