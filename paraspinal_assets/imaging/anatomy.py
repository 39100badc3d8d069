"""Where the labelled structures lie: bounding boxes and centroids, found in one pass over a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal_assets.imaging.labels import body_label, vertebra_labels
from paraspinal_assets.imaging.volume import Volume

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class LabelShape:
    """One label's place in an array.

    Attributes
    ----------
    voxels
        Number of voxels.
    box
        Bounding box as slices, stop exclusive.
    centroid
        Mean voxel index, shape ``(3,)``.
    """

    voxels: int
    box: Box
    centroid: NDArray[np.float64]


def label_box(labels: NDArray[Any], margin: Sequence[int] = (0, 0, 0)) -> Box | None:
    """Bounding box of everything labelled, grown by `margin` voxels and clipped; None if nothing is.

    Three reductions along whole axes: about 50 ms for 512 x 512 x 400 uint8, with no copy of the volume.
    """
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        present = np.flatnonzero(labels.max(axis=others)) if labels.size else np.empty(0, int)
        if present.size == 0:
            return None
        start = max(int(present[0]) - margin[axis], 0)
        stop = min(int(present[-1]) + 1 + margin[axis], labels.shape[axis])
        box.append(slice(start, stop))
    return (box[0], box[1], box[2])


def label_shapes(labels: NDArray[Any]) -> dict[int, LabelShape]:
    """Size, box and centroid of every label present in an integer array of shape ``(x, y, z)``."""
    whole = label_box(labels)
    if whole is None:
        return {}
    origin = [part.start for part in whole]
    shapes: dict[int, LabelShape] = {}
    cut = labels[whole]
    # Turned round, so that it goes through memory in order: six times faster for volumes as they are read.
    boxes: Sequence[tuple[slice, ...] | None] = ndimage.find_objects(cut.T)
    for value, turned in enumerate(boxes, start=1):
        if turned is None:
            continue
        found = turned[::-1]
        mask = cut[found] == value
        voxels = int(mask.sum())
        box = tuple(
            slice(part.start + shift, part.stop + shift) for part, shift in zip(found, origin, strict=True)
        )
        centroid = np.array(
            [
                mask.sum(axis=tuple(other for other in range(3) if other != axis))
                @ np.arange(box[axis].start, box[axis].stop)
                / voxels
                for axis in range(3)
            ],
            dtype=np.float64,
        )
        shapes[value] = LabelShape(voxels, (box[0], box[1], box[2]), centroid)
    return shapes


def vertebra_voxels(shapes: dict[int, LabelShape], level: str) -> int:
    """Voxels of a level's vertebra, body and rest together; 0 where it is absent."""
    return sum(shapes[value].voxels for value in vertebra_labels(level) if value in shapes)


def level_centroids(shapes: dict[int, LabelShape], levels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Centroid of each level present, in voxel indices, shape ``(3,)`` each.

    The vertebral body's centroid where every level present has its body labelled, otherwise that of the
    whole vertebra: the two differ by about 2 cm front to back, so they are never mixed in one spine.
    """
    present = [level for level in levels if vertebra_voxels(shapes, level)]
    if all(body_label(level) in shapes for level in present):
        return {level: shapes[body_label(level)].centroid for level in present}
    centroids = {}
    for level in present:
        parts = [shapes[value] for value in vertebra_labels(level) if value in shapes]
        weights = np.array([part.voxels for part in parts], dtype=np.float64)
        centroids[level] = np.average([part.centroid for part in parts], axis=0, weights=weights)
    return centroids


def to_world(volume: Volume, index: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxel indices, shape ``(..., 3)``, as RAS+ millimetres of the same shape."""
    return np.asarray(index @ volume.affine[:3, :3].T + volume.affine[:3, 3], dtype=np.float64)
