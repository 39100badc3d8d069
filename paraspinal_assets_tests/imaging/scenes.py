"""Small label scenes with the study's label table, whole in RAS+, and files that store them in other ways."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume

LEVELS = ("T1", "T2", "T3")


def trunk(spacing=(1.5, 1.25, 2.0), shape=(22, 20, 18), bodies=True, seed=0) -> tuple[Volume, Volume]:
    """Two muscles of unequal size beside three vertebrae whose processes hang into the next level."""
    rng = np.random.default_rng(seed)
    ct = rng.integers(-200, 900, shape).astype(np.int16)
    labels = np.zeros(shape, np.uint8)
    labels[3:9, 2:8, 1:17] = AUTOCHTHON_LEFT  # left is where x is small in RAS+
    labels[13:18, 2:7, 1:17] = AUTOCHTHON_RIGHT
    for n, level in enumerate(LEVELS):
        top = 16 - 5 * n
        labels[10:12, 4:9, max(1, top - 6) : top - 2] = rest_label(level)
        labels[9:13, 10:16, top - 4 : top] = body_label(level) if bodies else rest_label(level)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-14, -30, 100)
    return Volume(ct, affine), Volume(labels, affine)


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    """Write through nibabel, an implementation that is not ours."""
    nib.save(nib.Nifti1Image(data, affine, dtype=data.dtype), path)
    return path


def stored_as(
    volume: Volume, source: tuple[int, ...], back: tuple[bool, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The same image with its axes permuted and reversed, and the affine that says so."""
    steps = tuple(slice(None, None, -1) if b else slice(None) for b in back)
    data = volume.data[steps].transpose(source)
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for stored, axis in enumerate(source):
        turn[axis, stored] = -1 if back[axis] else 1
        turn[axis, 3] = volume.data.shape[axis] - 1 if back[axis] else 0
    return np.ascontiguousarray(data), volume.affine @ turn
