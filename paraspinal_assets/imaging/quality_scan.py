"""What the quality rules look at: the labelled region of a scan with its geometry worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.imaging.anatomy import LabelShape, label_box, label_shapes, level_centroids, to_world
from paraspinal_assets.imaging.geometry import shifted
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, SPINE, vertebra_labels
from paraspinal_assets.imaging.volume import Volume

MARGIN_MM: Final = (40.0, 60.0, 10.0)
"""Tissue kept around the labels (x, y, z): lungs beside, great vessels before the spine."""


EXTRAPOLATE_MM: Final = 40.0
"""How far beyond the last level the spine's course is continued; farther out it stays where it is."""
COARSE_MM: Final = 1.5
"""In-plane pixels below this are sampled (every second, third ...): the rules look at cubic centimetres."""


@dataclass(frozen=True)
class Finding:
    """Outcome of one rule: a reason code if it objects, and what it measured."""

    reason: str | None
    measures: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class SegmentedScan:
    """The region around the labels.

    Attributes
    ----------
    ct, labels
        Shape ``(x, y, z)``, RAS+, the same crop, sampled in plane where pixels are finer than `COARSE_MM`.
    affine
        Of the sampled crop.
    levels
        The study's levels from head to foot.
    shapes
        Every label's size, box and centroid, in indices of the crop before sampling.
    centroids_mm
        World position of each level found, head to foot.
    offset, image_shape
        Place of the crop in the whole image, before sampling.
    """

    ct: NDArray[Any]
    labels: NDArray[Any]
    affine: NDArray[np.float64]
    levels: tuple[str, ...]
    shapes: dict[int, LabelShape]
    centroids_mm: dict[str, NDArray[np.float64]]
    offset: tuple[int, int, int]
    image_shape: tuple[int, int, int]

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel edges in mm, shape ``(3,)``."""
        return np.asarray(np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0)))

    @cached_property
    def voxel_mm3(self) -> float:
        """Volume of a voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @cached_property
    def x_mm(self) -> NDArray[np.float64]:
        """World x of each column, shape ``(x,)``, in the crop's middle row and slice."""
        return self._axis_mm(0)

    @cached_property
    def z_mm(self) -> NDArray[np.float64]:
        """World z of each slice, shape ``(z,)``, in the crop's middle row and column."""
        return self._axis_mm(2)

    def _axis_mm(self, axis: int) -> NDArray[np.float64]:
        middle = np.tile([(n - 1) / 2 for n in self.ct.shape], (self.ct.shape[axis], 1))
        middle[:, axis] = np.arange(self.ct.shape[axis])
        return np.asarray(to_world(Volume(self.ct, self.affine), middle)[:, axis])

    @cached_property
    def vertebra_labels(self) -> tuple[int, ...]:
        """Labels of the study's vertebrae that are present."""
        wanted = [label for level in self.levels for label in vertebra_labels(level)]
        return tuple(label for label in wanted if label in self.shapes)

    @cached_property
    def muscle_mask(self) -> NDArray[np.bool_]:
        """Muscle of both sides, within the slices of the study's levels."""
        mask = (self.labels == AUTOCHTHON_LEFT) | (self.labels == AUTOCHTHON_RIGHT)
        mask[:, :, : self.slices_of_levels.start] = False
        mask[:, :, self.slices_of_levels.stop :] = False
        return np.asarray(mask)

    @cached_property
    def slices_of_levels(self) -> slice:
        """From the lowest to the highest slice with a vertebra of the study."""
        boxes = [self.shapes[label].box[2] for label in self.vertebra_labels]
        return slice(min(box.start for box in boxes), max(box.stop for box in boxes))

    def column_counts(self, label: int) -> NDArray[np.int64]:
        """Voxels of a label in each column and slice, shape ``(x, z)``."""
        return np.asarray((self.labels == label).sum(axis=1), dtype=np.int64)

    def spine_x_mm(self) -> NDArray[np.float64]:
        """World x of the spine in each slice, shape ``(z,)``: linear between the levels and a little beyond."""
        return self._spine(0)

    def spine_index(self, axis: int) -> NDArray[np.intp]:
        """Column (axis 0) or row (axis 1) of the spine in each slice, shape ``(z,)``."""
        world = self._spine(axis)
        index = (world - self._axis_mm(axis)[0]) / self.spacing[axis]
        return np.asarray(np.clip(np.rint(index), 0, self.ct.shape[axis] - 1), dtype=np.intp)

    def _spine(self, axis: int) -> NDArray[np.float64]:
        points = np.array(sorted(self.centroids_mm.values(), key=lambda point: float(point[2])))
        path = np.asarray(np.interp(self.z_mm, points[:, 2], points[:, axis]))
        if len(points) > 1:  # the spine goes on beyond the last level as it did before it
            for end, before, sign in ((points[-1], points[-2], 1), (points[0], points[1], -1)):
                beyond = np.clip(sign * (self.z_mm - end[2]), 0, EXTRAPOLATE_MM)
                path += beyond * (end[axis] - before[axis]) / max(abs(end[2] - before[2]), 1.0)
        return path

    def beside_spine(self, lateral: tuple[float, float], before: tuple[float, float]) -> NDArray[np.bool_]:
        """Mask of the voxels at a lateral distance (mm, right positive) and a distance before the spine.

        Shape ``(x, y, z)``; a band that follows the spine's curve from slice to slice.
        """
        x = np.arange(self.ct.shape[0])[:, None] - self.spine_index(0)[None, :]
        y = np.arange(self.ct.shape[1])[:, None] - self.spine_index(1)[None, :]
        wide = _within(x * self.spacing[0], lateral)
        deep = _within(y * self.spacing[1], before)
        return np.asarray(wide[:, None, :] & deep[None, :, :])

    def touches(self, label: int, axes: Sequence[int]) -> bool:
        """Whether a label reaches the edge of the whole image along any of the axes."""
        shape = self.shapes.get(label)
        if shape is None:
            return False
        return any(
            shape.box[axis].start + self.offset[axis] == 0
            or shape.box[axis].stop + self.offset[axis] == self.image_shape[axis]
            for axis in axes
        )


def segmented_scan(ct: Volume, labels: Volume, levels: Sequence[str]) -> SegmentedScan | None:
    """Crop to the labels with a margin and find every structure; None where nothing is labelled."""
    margin = [round(mm / edge) for mm, edge in zip(MARGIN_MM, labels.spacing, strict=True)]
    box = label_box(labels.data, margin)
    if box is None:
        return None
    affine = shifted(labels.affine, [part.start for part in box])
    cut = labels.data[box]
    shapes = label_shapes(cut)
    ordered = tuple(sorted(levels, key=SPINE.index))
    centroids = level_centroids(shapes, ordered)
    crop = Volume(cut, affine)
    every = [max(int(COARSE_MM / edge), 1) for edge in labels.spacing[:2]]
    sampled = affine @ np.diag([every[0], every[1], 1.0, 1.0])
    return SegmentedScan(
        ct=np.asfortranarray(ct.data[box][:: every[0], :: every[1]]),
        labels=np.asfortranarray(cut[:: every[0], :: every[1]]),
        affine=sampled,
        levels=ordered,
        shapes=shapes,
        centroids_mm={level: to_world(crop, index) for level, index in centroids.items()},
        offset=(
            labels.offset[0] + box[0].start,
            labels.offset[1] + box[1].start,
            labels.offset[2] + box[2].start,
        ),
        image_shape=labels.image_shape,
    )


def _within(values: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((values >= limits[0]) & (values <= limits[1]))
