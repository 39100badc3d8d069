"""The 91 radiomics features of the published study's parameter file, per vertebral level.

Definitions and names are PyRadiomics' (original image, bin width 25 HU, no resampling, 26 neighbours at
distance 1), computed here with numpy and scipy alone. First order, co-occurrence, run length, size zone,
dependence and neighbouring tone; see `texture_matrices` for the choices that PyRadiomics makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.imaging.attenuation import Histogram
from paraspinal_assets.imaging.geometry import voxel_volume_mm3
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, vertebra_labels
from paraspinal_assets.imaging.levels import LabelProfile, SlabRule, level_slabs
from paraspinal_assets.imaging.mesh import mesh_volume_mm3
from paraspinal_assets.imaging.radiomics_names import (
    FEATURES,
    GLDM_NAMES,
    GLRLM_NAMES,
    GLSZM_NAMES,
    MESH_VOLUME,
    VOXEL_VOLUME,
)
from paraspinal_assets.imaging.texture_features import (
    entropy,
    glcm_features,
    ngtdm_features,
    size_features,
)
from paraspinal_assets.imaging.texture_matrices import (
    cooccurrence,
    dependences,
    present_levels,
    run_lengths,
    size_zones,
    tone_differences,
)
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import occupied_box

_FEWEST_VOXELS: Final = 2
"""PyRadiomics refuses a region of a single voxel."""


def measure_radiomics(
    ct: Volume,
    labels: Volume,
    levels: Sequence[str],
    *,
    bin_width: float = 25.0,
    slab: SlabRule = "vertebra",
    profile: LabelProfile | None = None,
) -> pd.DataFrame:
    """Features of the muscle (both sides) within each level's slab.

    Parameters
    ----------
    ct, labels
        Same shape ``(x, y, z)``, RAS+; whole images or one region of both.
    levels
        Levels to measure; each gives one row, present or not.
    bin_width
        Width of a grey level in HU.
    slab, profile
        As for `measure_muscle`.

    Returns
    -------
    DataFrame
        level, the names of `FEATURES`, original_shape_VoxelVolume and original_shape_MeshVolume in mm3, reason.
    """
    profile = LabelProfile.of(labels) if profile is None else profile
    slabs = level_slabs(labels, levels, rule=slab, profile=profile)
    rows: list[dict[str, Any]] = []
    for level in levels:
        row: dict[str, Any] = {"level": level}
        rows.append(row)
        if level not in slabs:
            present = len(profile.slices(vertebra_labels(level)))
            row["reason"] = "no_body" if present else "level_absent"
            continue
        start, stop = (z - labels.offset[2] for z in (slabs[level].start, slabs[level].stop))
        part = labels.data[:, :, start:stop]
        mask = ((part == AUTOCHTHON_LEFT) | (part == AUTOCHTHON_RIGHT)).T
        if mask.sum() < _FEWEST_VOXELS:
            row["reason"] = "too_few_voxels" if mask.any() else "no_muscle"
            continue
        box = tuple(slice(*span) for span in occupied_box(mask))
        row |= region_features(ct.data[:, :, start:stop].T[box], mask[box], ct.affine, bin_width)
    columns = {**dict.fromkeys((*FEATURES, VOXEL_VOLUME, MESH_VOLUME), "float64"), "reason": "string"}
    return pd.DataFrame(rows, columns=["level", *columns]).astype({"level": "string", **columns})


def region_features(
    hu: NDArray[Any], mask: NDArray[np.bool_], affine: NDArray[np.float64], bin_width: float
) -> dict[str, float]:
    """All features of one region; `hu` and `mask` have shape ``(z, y, x)``, `affine` is that of ``(x, y, z)``."""
    values = hu[mask]
    grey_values = discretise(values, bin_width)
    grey = np.zeros(mask.shape, np.min_scalar_type(int(grey_values.max())))
    grey[mask] = grey_values
    levels = present_levels(grey)
    tones = levels.astype(np.float64)
    voxel_mm3 = voxel_volume_mm3(affine)
    runs = [size_features(counts, tones, sizes, values.size) for counts, sizes in run_lengths(grey, levels)]
    zones = size_features(*_with_tones(size_zones(grey, levels), tones), values.size)
    dependence = size_features(*_with_tones(dependences(grey, levels), tones), values.size)
    families: dict[str, dict[str, float]] = {
        "firstorder": firstorder_features(values, grey_values, voxel_mm3),
        "glcm": glcm_features(cooccurrence(grey, levels), levels),
        "glrlm": {name: float(np.mean([run[key] for run in runs])) for name, key in GLRLM_NAMES.items()},
        "glszm": {name: zones[key] for name, key in GLSZM_NAMES.items()},
        "gldm": {name: dependence[key] for name, key in GLDM_NAMES.items()},
        "ngtdm": ngtdm_features(*tone_differences(grey, levels), levels),
    }
    found = {
        f"original_{family}_{name}": value for family, row in families.items() for name, value in row.items()
    }
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))[::-1]
    return found | {VOXEL_VOLUME: values.size * voxel_mm3, MESH_VOLUME: mesh_volume_mm3(mask, spacing)}


def _with_tones(
    matrix: tuple[NDArray[np.float64], NDArray[np.float64]], tones: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    counts, sizes = matrix
    return counts, tones, sizes


def discretise(values: NDArray[Any], bin_width: float) -> NDArray[np.intp]:
    """Grey level of each value from 1, in bins of fixed width that start at a multiple of the width."""
    low, high = float(values.min()), float(values.max())
    edges = np.arange(low - low % bin_width, high + 2 * bin_width, bin_width)
    return np.asarray(np.digitize(values, edges), np.intp)


def firstorder_features(values: NDArray[Any], grey: NDArray[np.intp], voxel_mm3: float) -> dict[str, float]:
    """First-order features of a region's values, shape ``(n,)``; kurtosis is not excess kurtosis."""
    hu = values.astype(np.float64)
    exact = Histogram.of(values)
    p10, p25, median, p75, p90 = (exact.percentile(q) for q in (10, 25, 50, 75, 90))
    centred = hu - hu.mean()
    squares = centred**2
    variance = squares.mean()
    robust = hu[(hu >= p10) & (hu <= p90)]
    counts = np.bincount(grey)
    p = counts[counts > 0] / hu.size
    energy = float((hu**2).sum())
    return {
        "10Percentile": p10,
        "90Percentile": p90,
        "Energy": energy,
        "Entropy": entropy(p),
        "InterquartileRange": p75 - p25,
        "Kurtosis": (squares**2).mean() / variance**2 if variance else 0.0,
        "Maximum": hu.max(),
        "MeanAbsoluteDeviation": np.abs(centred).mean(),
        "Mean": hu.mean(),
        "Median": median,
        "Minimum": hu.min(),
        "Range": hu.max() - hu.min(),
        "RobustMeanAbsoluteDeviation": np.abs(robust - robust.mean()).mean(),
        "RootMeanSquared": np.sqrt(energy / hu.size),
        "Skewness": (squares * centred).mean() / variance**1.5 if variance else 0.0,
        "TotalEnergy": energy * voxel_mm3,
        "Uniformity": (p**2).sum(),
        "Variance": variance,
    }
