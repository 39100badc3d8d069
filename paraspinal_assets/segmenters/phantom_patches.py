"""Patches to train the phantom network on: the images that inference will show it, cut and disturbed at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.segmenters.resampling import resample_linear, resample_nearest
from paraspinal_assets.segmenters.results_folder import INTENSITIES
from paraspinal_assets.segmenters.weights import Role

LEVELS: Final = ("C6", "C7", *(f"T{i}" for i in range(1, 13)), "L1", "L2")
CLASSES: Final = (*(f"vertebrae_{level}" for level in LEVELS), "autochthon_left", "autochthon_right")
"""Trained outputs 1 to 18: more than are wanted, because neighbours have to compete."""

_WANTED: Final = [CLASSES.index(f"vertebrae_T{i}") + 1 for i in range(1, 11)] + [
    len(CLASSES) - 1,
    len(CLASSES),
]
_CROP_MM: Final = 20.0

Patch = tuple[NDArray[np.float32], NDArray[np.uint8]]
Image = NDArray[Any]


class TrainingScan:
    """A synthetic scan at the resolutions that the networks see.

    Parameters
    ----------
    ct
        HU, RAS+.
    labels
        Values of `imaging.labels`, same grid.
    """

    def __init__(self, ct: Volume, labels: Volume) -> None:
        table = np.zeros(256, np.uint8)
        for output, level in enumerate(LEVELS, start=1):
            table[[body_label(level), rest_label(level)]] = output
        table[AUTOCHTHON_LEFT], table[AUTOCHTHON_RIGHT] = len(LEVELS) + 1, len(LEVELS) + 2
        bodies = np.isin(labels.data, [body_label(level) for level in LEVELS]).astype(np.uint8)
        self._at: dict[float, tuple[Image, Image, Image]] = {}
        for spacing in (6.0, 3.0):
            image = resample_linear(ct.data, ct.affine, spacing).data.astype(np.int16)
            truth = resample_nearest(table[labels.data], image.shape)
            self._at[spacing] = (image, truth, resample_nearest(bodies, image.shape))

    def at(self, spacing: float) -> tuple[Image, Image, Image]:
        """CT, trained outputs and mask of bodies, shape ``(x, y, z)``, at 6 or 3 mm."""
        return self._at[spacing]


def draw_patch(
    scan: TrainingScan, role: Role, patch: tuple[int, int, int], rng: np.random.Generator
) -> Patch:
    """A normalised image patch and its classes, both of shape `patch` (z, y, x).

    Parameters
    ----------
    scan
        Where it is cut from.
    role
        Network: decides resolution, classes, and how the field of view is cut.
    patch
        Shape along z, y, x.
    rng
        Source of place, noise and scale.
    """
    image, truth, bodies = scan.at(6.0 if role == "rough" else 3.0)
    if role == "bodies":
        box = _window(
            image.shape, _anywhere_in(bodies if rng.random() < 0.7 else None, image.shape, rng), patch
        )
        image, truth = image[box], bodies[box]
    elif role == "rough":
        box = _shorter(image.shape, rng, 0.35)
        image, truth = image[box], truth[box]
        centre = np.argwhere(truth > 0).mean(axis=0) + rng.uniform(-14, 14, 3)
        box = _window(image.shape, centre, (image.shape[2], patch[1], patch[2]))
        image, truth = image[box], truth[box]
    else:
        box = _shorter(image.shape, rng, 0.3)
        image, truth = image[box], truth[box]
        box = _around(np.isin(truth, _WANTED), rng)
        image, truth = image[box], truth[box]
        if role == "vertebrae" and rng.random() < 0.75:
            image = _there_and_back(image)
    values = _normalised(image) * rng.uniform(0.95, 1.05) + rng.normal(0, 0.02)
    if rng.random() < 0.5:
        values = values + rng.normal(0, rng.uniform(0, 0.02), values.shape)
    start = [int(rng.integers(max(1, n - p + 1))) for n, p in zip(image.shape, patch[::-1], strict=True)]
    return (
        _fitted(values.astype(np.float32), start, patch),
        _fitted(np.asarray(truth, np.uint8), start, patch),
    )


def _normalised(image: Image) -> NDArray[np.float32]:
    clipped = np.clip(
        image.astype(np.float32), INTENSITIES["percentile_00_5"], INTENSITIES["percentile_99_5"]
    )
    return np.asarray((clipped - INTENSITIES["mean"]) / INTENSITIES["std"], np.float32)


def _shorter(shape: Sequence[int], rng: np.random.Generator, chance: float) -> tuple[slice, ...]:
    """The whole image, or with this chance one that is cut at head and feet."""
    if rng.random() >= chance:
        return (slice(None),) * 3
    n = shape[2]
    low, high = int(rng.integers(int(n * 0.2))), n - int(rng.integers(max(1, int(n * 0.12))))
    return (slice(None), slice(None), slice(low, high))


def _around(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[slice, ...]:
    """Box of the wanted classes with about the margin of inference, at 3 mm."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return (slice(None),) * 3
    margins = _CROP_MM / 3.0 + rng.uniform(-2.5, 2.5, (2, 3))
    return tuple(
        slice(max(0, int(s.start - low)), min(n, int(s.stop + high)))
        for s, n, low, high in zip(found[0], mask.shape, margins[0], margins[1], strict=True)
    )


def _anywhere_in(mask: Image | None, shape: Sequence[int], rng: np.random.Generator) -> NDArray[np.float64]:
    """A random voxel, of the mask where there is one."""
    if mask is None or not mask.any():
        return np.array([rng.integers(n) for n in shape], np.float64)
    voxels = np.argwhere(mask)
    return np.asarray(voxels[rng.integers(len(voxels))] + rng.integers(-12, 13, 3), np.float64)


def _window(
    shape: Sequence[int], centre: NDArray[np.float64], patch: tuple[int, int, int]
) -> tuple[slice, ...]:
    """Slices of a patch (z, y, x) around a centre (x, y, z), moved into the image."""
    box = []
    for n, size, middle in zip(shape, patch[::-1], centre, strict=True):
        start = int(np.clip(middle - size / 2, 0, max(0, n - size)))
        box.append(slice(start, start + size))
    return tuple(box)


def _there_and_back(image: Image) -> Image:
    """The blur of TotalSegmentator's resampling to 1.5 mm and nnU-Net's back to 3 mm."""
    from torch import from_numpy
    from torch.nn.functional import interpolate

    fine = ndimage.zoom(image, 2, order=1, mode="nearest", output=np.float32)
    back: Image = interpolate(from_numpy(fine)[None, None], image.shape, mode="trilinear")[0, 0].numpy()
    return back


def _fitted(image: Image, start: Sequence[int], patch: tuple[int, int, int]) -> Any:
    """Image (x, y, z) cut from `start`, or padded evenly with 0 as nnU-Net does, as (z, y, x)."""
    fitted = np.zeros(patch[::-1], image.dtype)
    source, target = [], []
    for n, size, first in zip(image.shape, fitted.shape, start, strict=True):
        before = max(0, (size - n) // 2)
        source.append(slice(first, first + min(n, size)))
        target.append(slice(before, before + min(n, size)))
    fitted[tuple(target)] = image[tuple(source)]
    return np.ascontiguousarray(fitted.transpose(2, 1, 0))
