"""Segmentations as a cluster script leaves them: one file per class, near the truth but not equal to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.phantom.parameters import MEASURED_LEVELS, PHANTOM_LEVELS

BOUNDARY_ERROR: Final = 0.1
"""Share of voxels that take over a neighbour's label: what automatic segmentation gets wrong at edges."""

_BODIES: Final = np.isin(np.arange(256), [body_label(level) for level in PHANTOM_LEVELS])


def perturb(
    labels: NDArray[np.uint8], rng: np.random.Generator, share: float = BOUNDARY_ERROR
) -> NDArray[np.uint8]:
    """Labels with frayed edges: a random share of voxels takes the label of a neighbour in its slice.

    Inside a structure that changes nothing. No slice gains a structure, so slabs stay what they are; a
    vertebral body gains or loses whole columns, so that its height stays what it is.
    """
    changed = labels.copy()
    inner = (slice(1, -1), slice(1, -1))
    draw = rng.integers(0, 256, labels[inner].shape, dtype=np.uint8)
    columns = rng.integers(0, 256, (*draw.shape[:2], 1), dtype=np.uint8)
    neighbours = [np.roll(labels, move, axis)[inner] for axis, move in ((0, 1), (0, -1), (1, 1), (1, -1))]
    at_body = _BODIES[labels[inner]]
    for neighbour in neighbours:
        at_body |= _BODIES[neighbour]
    draw = np.where(at_body, columns, draw)
    step = max(1, round(share * 256 / 4))
    for k, neighbour in enumerate(neighbours):
        np.copyto(changed[inner], neighbour, where=(draw >= k * step) & (draw < (k + 1) * step))
    return changed


def class_masks(
    labels: NDArray[np.uint8], levels: Sequence[str] = MEASURED_LEVELS, names: Mapping[str, str] | None = None
) -> dict[str, NDArray[np.uint8]]:
    """Binary masks by TotalSegmentator's class names: both muscles, each level, and all vertebral bodies.

    `names` renames levels, for a segmentation that is off by one.
    """
    masks = {
        "autochthon_left": (labels == AUTOCHTHON_LEFT).view(np.uint8),
        "autochthon_right": (labels == AUTOCHTHON_RIGHT).view(np.uint8),
    }
    for level in levels:
        vertebra = (labels == body_label(level)) | (labels == rest_label(level))
        masks[f"vertebrae_{(names or {}).get(level, level)}"] = vertebra.view(np.uint8)
    masks["vertebrae_body"] = _BODIES[labels].view(np.uint8)
    return masks


def write_masks(folder: Path, masks: Mapping[str, NDArray[np.uint8]], affine: NDArray[np.float64]) -> None:
    """Write ``<class>.nii.gz`` for each mask; the folder is created if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mask in masks.items():
        write_volume(folder / f"{name}.nii.gz", Volume(mask, affine))
