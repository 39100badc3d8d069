"""Trabecular bone per level: attenuation inside the vertebral body, and its calibration to density."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.imaging.attenuation import Histogram
from paraspinal_assets.imaging.labels import body_label, rest_label, vertebra_labels
from paraspinal_assets.imaging.levels import LabelProfile
from paraspinal_assets.imaging.volume import Volume

TRABECULAR_WINDOW: Final = (1.0, 700.0)
"""HU of trabecular bone, both ends included: above it lies cortical bone, below it fat and air."""

_DTYPES: Final = {
    "level": "string",
    "voxels": "Int64",
    "region": "string",
    "trabecular_mean_hu": "float64",
    "trabecular_median_hu": "float64",
    "vbmd_mg_cm3": "float64",
    "reason": "string",
}


def measure_bone(
    ct: Volume,
    labels: Volume,
    levels: Sequence[str],
    *,
    window: tuple[float, float] = TRABECULAR_WINDOW,
    profile: LabelProfile | None = None,
) -> pd.DataFrame:
    """Measure the voxels of each vertebral body that lie within the attenuation window.

    Parameters
    ----------
    ct, labels
        Same shape ``(x, y, z)``, RAS+; whole images or one region of both.
    levels
        Levels to measure; each gives one row, present or not.
    window
        HU from and to, both included.
    profile
        `LabelProfile.of(labels)`, if it was counted already.

    Returns
    -------
    DataFrame
        level, voxels, region (``body``, or ``vertebra`` where the segmentation knows no bodies at all),
        trabecular_mean_hu, trabecular_median_hu, vbmd_mg_cm3 (null until `apply_calibration`), reason.
    """
    profile = LabelProfile.of(labels) if profile is None else profile
    region = "body" if profile.has_bodies else "vertebra"
    wanted = {body_label(level) if profile.has_bodies else rest_label(level): level for level in levels}
    values = _gather(ct, labels, tuple(wanted), profile)
    by_level = {wanted[label]: part for label, part in values.items()}
    rows: list[dict[str, Any]] = []
    for level in levels:
        row: dict[str, Any] = {"level": level}
        rows.append(row)
        if not len(profile.slices(vertebra_labels(level))):
            row["reason"] = "level_absent"
            continue
        row["region"] = region
        hu = Histogram.of(by_level[level]).within(*window)
        if not hu.n:
            row["reason"] = "no_body"
            continue
        row |= {"voxels": hu.n, "trabecular_mean_hu": hu.mean, "trabecular_median_hu": hu.percentile(50)}
    return pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)


def _gather(
    ct: Volume, labels: Volume, wanted: Sequence[int], profile: LabelProfile
) -> dict[int, NDArray[Any]]:
    """Values of every voxel of each label wanted, shape ``(n,)``, touching only the slices that hold it."""
    parts: dict[int, list[NDArray[Any]]] = {label: [np.empty(0, ct.data.dtype)] for label in wanted}
    for label in wanted:
        for z in profile.slices((label,)) - labels.offset[2]:
            mask = label == labels.data[:, :, z].T
            parts[label].append(ct.data[:, :, z].T[mask])
    return {label: np.concatenate(pieces) for label, pieces in parts.items()}


def apply_calibration(bone: pd.DataFrame, slope: float, intercept: float) -> pd.DataFrame:
    """Bone mineral density from attenuation: ``vbmd_mg_cm3 = slope * trabecular_mean_hu + intercept``.

    Returns a copy; raw attenuation stays beside the calibrated value, and what is null stays null.
    """
    return bone.assign(vbmd_mg_cm3=slope * bone["trabecular_mean_hu"] + intercept)
