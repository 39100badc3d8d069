"""What a perfect measurement of a phantom gives, counted on its exact labels and noise-free image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.phantom.parameters import PhantomParameters


@dataclass(frozen=True)
class MuscleTruth:
    """Muscle in a slab, both sides; attenuation of the noise-free image in HU, null without a voxel."""

    voxels: int
    volume_mm3: float
    left_volume_mm3: float
    right_volume_mm3: float
    mean_hu: float | None
    median_hu: float | None
    fat_fraction: float | None


@dataclass(frozen=True)
class LevelTruth:
    """One level: its slab as slices of the image (stop exclusive), muscle, bone and body heights.

    Heights in mm are means over the columns of the middle third of the body (left to right), in its anterior,
    middle and posterior third. `deformity` is the shape drawn, ``none`` without one.
    """

    level: str
    first_slice: int
    stop_slice: int
    touches_border: bool
    muscle: MuscleTruth
    trabecular_hu: float | None
    anterior_mm: float | None
    middle_mm: float | None
    posterior_mm: float | None
    deformity: str
    deformity_loss: float


@dataclass(frozen=True)
class PhantomTruth:
    """Truth of a phantom: its levels in the field of view, their union, and the mean over their bodies."""

    levels: tuple[LevelTruth, ...]
    union: MuscleTruth
    trabecular_hu: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries for JSON; numbers rounded to 1e-4."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded

    def level(self, name: str) -> LevelTruth:
        """One level by name; KeyError if it is not in the field of view."""
        return {entry.level: entry for entry in self.levels}[name]


def labels_per_slice(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which label values each axial slice holds; shape ``(256, z)``."""
    nz = labels.shape[2]
    used = labels.any(axis=2)
    codes = labels[used].astype(np.int32) * nz + np.arange(nz, dtype=np.int32)
    return np.bincount(codes.ravel(), minlength=256 * nz).reshape(256, nz) > 0


def describe(
    image: NDArray[np.float32],
    labels: NDArray[np.uint8],
    parameters: PhantomParameters,
    voxel_mm3: float,
    levels: Sequence[str],
) -> PhantomTruth:
    """Count the truth of `levels` on the noise-free image and its labels, both of shape ``(x, y, z)``."""
    x, y, z = np.nonzero((labels == AUTOCHTHON_LEFT) | (labels == AUTOCHTHON_RIGHT))
    hu = np.rint(image[x, y, z])
    right = labels[x, y, z] == AUTOCHTHON_RIGHT
    present = labels_per_slice(labels)
    union = np.zeros(labels.shape[2], bool)
    entries = []
    for level in levels:
        slices = np.flatnonzero(present[body_label(level)] | present[rest_label(level)])
        if slices.size == 0:
            continue
        slab = slice(int(slices[0]), int(slices[-1]) + 1)
        union[slab] = True
        within = (z >= slab.start) & (z < slab.stop)
        muscle = _muscle(hu[within], right[within], voxel_mm3)
        entries.append(_level(image, labels, parameters, level, slab, muscle))
    within = union[z]
    bodies = [entry.trabecular_hu for entry in entries if entry.trabecular_hu is not None]
    return PhantomTruth(
        tuple(entries),
        _muscle(hu[within], right[within], voxel_mm3),
        float(np.mean(bodies)) if bodies else None,
    )


def _muscle(hu: NDArray[Any], right: NDArray[np.bool_], voxel_mm3: float) -> MuscleTruth:
    n, n_right = int(hu.size), int(right.sum())
    return MuscleTruth(
        voxels=n,
        volume_mm3=n * voxel_mm3,
        left_volume_mm3=(n - n_right) * voxel_mm3,
        right_volume_mm3=n_right * voxel_mm3,
        mean_hu=float(hu.mean(dtype=np.float64)) if n else None,
        median_hu=float(np.median(hu)) if n else None,
        fat_fraction=float(((hu >= -190) & (hu <= -30)).mean()) if n else None,
    )


def _level(
    image: NDArray[np.float32],
    labels: NDArray[np.uint8],
    parameters: PhantomParameters,
    level: str,
    slab: slice,
    muscle: MuscleTruth,
) -> LevelTruth:
    part = labels[:, :, slab]
    body = part == body_label(level)
    anterior = middle = posterior = trabecular = None
    if body.any():
        trabecular = float(np.rint(image[:, :, slab][body]).mean(dtype=np.float64))
        posterior, middle, anterior = _heights(body.sum(axis=2), parameters.spacing[2])
    deformity = parameters.deformities.get(level)
    return LevelTruth(
        level=level,
        first_slice=slab.start,
        stop_slice=slab.stop,
        touches_border=slab.start == 0 or slab.stop == labels.shape[2],
        muscle=muscle,
        trabecular_hu=trabecular,
        anterior_mm=anterior,
        middle_mm=middle,
        posterior_mm=posterior,
        deformity=deformity.shape if deformity else "none",
        deformity_loss=deformity.loss if deformity else 0.0,
    )


def _heights(columns: NDArray[np.int64], slice_mm: float) -> list[float]:
    """Mean height in mm of the posterior, middle and anterior third; `columns` counts voxels, ``(x, y)``."""
    x, y = np.nonzero(columns)
    third = (x.max() - x.min() + 1) / 3
    central = columns[int(x.min() + third) : int(np.ceil(x.max() + 1 - third))]
    thirds = np.array_split(np.arange(y.min(), y.max() + 1), 3)
    return [float(central[:, rows][central[:, rows] > 0].mean() * slice_mm) for rows in thirds]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
