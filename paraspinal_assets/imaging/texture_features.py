"""Texture features from their matrices, under PyRadiomics' names.

Source: Zwanenburg et al., Image Biomarker Standardisation Initiative (arXiv:1612.07003); names and the small
constant inside logarithms as in PyRadiomics 3.1.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.imaging.radiomics_names import GLCM_NAMES

EPSILON: Final = float(np.spacing(1))
"""Added inside every logarithm, so that an empty cell gives 0."""

Array = NDArray[np.float64]


def entropy(p: NDArray[Any]) -> float:
    """Entropy of probabilities in bits."""
    return float(-(p * np.log2(p + EPSILON)).sum())


def glcm_features(matrices: Iterable[Array], levels: NDArray[np.intp]) -> dict[str, float]:
    """Co-occurrence features, each averaged over the directions' matrices; NaN where there are none."""
    every = list(matrices)
    if not every:
        return dict.fromkeys(GLCM_NAMES, float("nan"))
    return {name: float(values.mean()) for name, values in _glcm(np.stack(every), levels).items()}


def _glcm(p: Array, levels: NDArray[np.intp]) -> dict[str, Array]:
    """Features of each matrix of a stack, shape ``(directions, levels, levels)``; each of shape ``(directions,)``."""
    top = int(levels[-1])
    i, k = levels.astype(np.float64), np.arange(top, dtype=np.float64)
    cells = p.reshape(len(p), -1)
    row, column = p.sum(axis=2), p.sum(axis=1)
    by_sum = _gathered(cells, (levels[:, None] + levels[None, :]).ravel(), 2 * top + 1)[:, 2:]
    by_difference = _gathered(cells, np.abs(levels[:, None] - levels[None, :]).ravel(), top)
    mean_i, mean_j, mean_difference = row @ i, column @ i, by_difference @ k
    off_i, off_j = i - mean_i[:, None], i - mean_j[:, None]
    variance_i, variance_j = (row * off_i**2).sum(axis=1), (column * off_j**2).sum(axis=1)
    covariance = (p * off_i[:, :, None] * off_j[:, None, :]).sum(axis=(1, 2))
    deviation = np.sqrt(variance_i * variance_j)
    joint, product = _entropies(cells), (row[:, :, None] * column[:, None, :]).reshape(cells.shape)
    log_product = np.log2(product + EPSILON)
    hxy1, hxy2 = -(cells * log_product).sum(axis=1), -(product * log_product).sum(axis=1)
    marginal = np.maximum(_entropies(row), _entropies(column))
    centred = (off_i[:, :, None] + off_j[:, None, :]).reshape(cells.shape)
    second = centred**2
    weighted = cells * second
    return {
        "Autocorrelation": (p * i[:, None] * i).sum(axis=(1, 2)),
        "JointAverage": mean_i,
        "ClusterProminence": (weighted * second).sum(axis=1),
        "ClusterShade": (weighted * centred).sum(axis=1),
        "ClusterTendency": weighted.sum(axis=1),
        "Contrast": by_difference @ k**2,
        "Correlation": _ratio(covariance, deviation, 1.0),
        "DifferenceAverage": mean_difference,
        "DifferenceEntropy": _entropies(by_difference),
        "DifferenceVariance": (by_difference * (k - mean_difference[:, None]) ** 2).sum(axis=1),
        "JointEnergy": (cells**2).sum(axis=1),
        "JointEntropy": joint,
        "Imc1": _ratio(joint - hxy1, marginal, 0.0),
        "Imc2": np.sqrt(np.maximum(0.0, 1 - np.exp(-2 * (hxy2 - joint)))),
        "Idm": by_difference @ (1 / (1 + k**2)),
        "Idmn": by_difference @ (1 / (1 + k**2 / top**2)),
        "Id": by_difference @ (1 / (1 + k)),
        "Idn": by_difference @ (1 / (1 + k / top)),
        "InverseVariance": by_difference[:, 1:] @ (1 / k[1:] ** 2),
        "MaximumProbability": cells.max(axis=1),
        "SumEntropy": _entropies(by_sum),
        "SumSquares": variance_i,
    }


def _entropies(p: Array) -> Array:
    """Entropy in bits of each row of probabilities."""
    return np.asarray(-(p * np.log2(p + EPSILON)).sum(axis=1))


def _gathered(cells: Array, place: NDArray[np.intp], width: int) -> Array:
    """Sums over the cells that share a place, for each row of `cells`."""
    rows = width * np.arange(len(cells))[:, None]
    sums: Array = np.bincount((rows + place).ravel(), cells.ravel(), width * len(cells)).astype(np.float64)
    return sums.reshape(-1, width)


def _ratio(one: Array, other: Array, limit: float) -> Array:
    """Quotients, and `limit` where the divisor is zero."""
    return np.divide(one, other, out=np.full_like(one, limit), where=other != 0)


def size_features(counts: Array, grey: Array, sizes: Array, voxels: int) -> dict[str, float]:
    """What run lengths, size zones and dependences have in common, by neutral names.

    Parameters
    ----------
    counts
        Shape ``(levels, sizes)``.
    grey, sizes
        Grey level of each row, size of each column.
    voxels
        Number of voxels in the region.
    """
    n = counts.sum()
    by_grey, by_size = counts.sum(axis=1), counts.sum(axis=0)
    i2, j2 = grey**2, sizes**2
    mean_grey, mean_size = (by_grey * grey).sum() / n, (by_size * sizes).sum() / n
    return {
        "small": (by_size / j2).sum() / n,
        "large": (by_size * j2).sum() / n,
        "low_grey": (by_grey / i2).sum() / n,
        "high_grey": (by_grey * i2).sum() / n,
        "small_low_grey": ((1 / i2) @ counts @ (1 / j2)) / n,
        "small_high_grey": (i2 @ counts @ (1 / j2)) / n,
        "large_low_grey": ((1 / i2) @ counts @ j2) / n,
        "large_high_grey": (i2 @ counts @ j2) / n,
        "grey_nonuniformity": (by_grey**2).sum() / n,
        "grey_nonuniformity_normalized": (by_grey**2).sum() / n**2,
        "size_nonuniformity": (by_size**2).sum() / n,
        "size_nonuniformity_normalized": (by_size**2).sum() / n**2,
        "percentage": n / voxels,
        "grey_variance": (by_grey * (grey - mean_grey) ** 2).sum() / n,
        "size_variance": (by_size * (sizes - mean_size) ** 2).sum() / n,
        "entropy": entropy(counts / n),
    }


def ngtdm_features(voxels: Array, distances: Array, levels: NDArray[np.intp]) -> dict[str, float]:
    """Features of the neighbouring grey tone differences; the limits for a flat region are PyRadiomics'."""
    i, n = levels.astype(np.float64), voxels.sum()
    p = voxels / n
    pi, pj = p[:, None], p[None, :]
    difference = i[:, None] - i[None, :]
    roughness = (p * distances).sum()
    contrast_of_levels = np.abs((i * p)[:, None] - (i * p)[None, :]).sum()
    shared = (pi * distances[:, None] + pj * distances[None, :]) / (pi + pj)
    pairs = len(i) * (len(i) - 1)
    return {
        "Busyness": roughness / contrast_of_levels if contrast_of_levels else 0.0,
        "Coarseness": 1 / roughness if roughness else 1e6,
        "Complexity": (np.abs(difference) * shared).sum() / n,
        "Contrast": (pi * pj * difference**2).sum() / pairs * distances.sum() / n if pairs else 0.0,
        "Strength": ((pi + pj) * difference**2).sum() / distances.sum() if distances.sum() else 0.0,
    }
