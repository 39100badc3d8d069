"""Agreement between two readings: overlap and surface distance of masks, Bland-Altman and ICC of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, stats

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.anatomy import label_box

LIMITS_OF_AGREEMENT_Z: Final = float(stats.norm.ppf(0.975))
FEWEST_PAIRS: Final = 3


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two surfaces in mm, both directions pooled; null where a mask is empty."""

    mean_mm: float | None
    p95_mm: float | None


@dataclass(frozen=True)
class BlandAltman:
    """Bland and Altman, Lancet 1986;327:307.

    Attributes
    ----------
    n, bias, sd
        Pairs, mean and standard deviation (n - 1) of the differences first minus second.
    lower, upper
        95 % limits of agreement, bias -/+ 1.96 sd.
    """

    n: int
    bias: float
    sd: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Icc:
    """ICC(2,1): two-way random effects, absolute agreement, single reading, with its confidence interval."""

    icc: float
    ci_low: float
    ci_high: float


def dice(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Dice coefficient of two boolean masks of one shape; null where both are empty."""
    a, b, both = _overlap(first, second)
    return 2 * both / (a + b) if a + b else None


def iou(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Intersection over union of two boolean masks of one shape; null where both are empty."""
    a, b, both = _overlap(first, second)
    return both / (a + b - both) if a + b else None


def _overlap(first: NDArray[Any], second: NDArray[Any]) -> tuple[int, int, int]:
    _same_shape(first, second)
    a, b = first.astype(bool, copy=False), second.astype(bool, copy=False)
    return int(np.count_nonzero(a)), int(np.count_nonzero(b)), int(np.count_nonzero(a & b))


def _same_shape(first: NDArray[Any], second: NDArray[Any]) -> None:
    if first.shape != second.shape:
        raise ParaspinalError(
            "E-AGREE-01",
            f"the two masks have shapes {first.shape} and {second.shape}",
            "bring both to one grid before comparing them",
        )


def surface_distances(
    first: NDArray[Any], second: NDArray[Any], spacing: tuple[float, float, float]
) -> SurfaceDistances:
    """Average and 95th percentile symmetric surface distance.

    A mask's surface are its voxels with a 6-neighbour outside; each surface voxel of either mask has its
    distance to the other surface, and both directions are pooled (definition of Taha and Hanbury, BMC Med
    Imaging 2015;15:29, for the average; HD95 as the percentile of the pooled distances).

    Parameters
    ----------
    first, second
        Masks, shape ``(x, y, z)``.
    spacing
        Voxel edges in mm.
    """
    _same_shape(first, second)
    a, b = first.astype(bool, copy=False), second.astype(bool, copy=False)
    box = label_box((a | b).view(np.uint8), margin=(1, 1, 1))
    if box is None or not a.any() or not b.any():
        return SurfaceDistances(None, None)
    surface_a, surface_b = _surface(a[box]), _surface(b[box])
    to_b = ndimage.distance_transform_edt(~surface_b, sampling=spacing)[surface_a]
    to_a = ndimage.distance_transform_edt(~surface_a, sampling=spacing)[surface_b]
    pooled = np.concatenate([to_b, to_a])
    return SurfaceDistances(float(pooled.mean()), float(np.percentile(pooled, 95)))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # border_value=0: the edge of the image is outside, so a cut mask has a surface there.
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def bland_altman(first: ArrayLike, second: ArrayLike) -> BlandAltman:
    """Bias and 95 % limits of agreement of paired numbers; pairs with a missing value are left out.

    Raises
    ------
    ParaspinalError
        With fewer than three complete pairs.
    """
    pairs = _complete(np.column_stack([np.asarray(first, float), np.asarray(second, float)]))
    differences = pairs[:, 0] - pairs[:, 1]
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    half = LIMITS_OF_AGREEMENT_Z * sd
    return BlandAltman(differences.size, bias, sd, bias - half, bias + half)


def icc(ratings: ArrayLike) -> Icc:
    """ICC(2,1) with the 95 % interval of McGraw and Wong (Psychol Methods 1996;1:30, table 7, case 2A).

    Parameters
    ----------
    ratings
        Shape ``(subjects, readers)``; subjects with a missing value are left out.

    Raises
    ------
    ParaspinalError
        With fewer than three complete subjects or two readers, or where nothing varies.
    """
    table = _complete(np.asarray(ratings, float))
    n, k = table.shape
    grand = table.mean()
    subjects = k * ((table.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    readers = n * ((table.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    denominator = subjects + (k - 1) * error + k * (readers - error) / n
    if denominator <= 0:
        raise ParaspinalError("E-AGREE-03", "the readings do not vary", "an ICC needs subjects that differ")
    value = (subjects - error) / denominator
    low, high = _icc_interval(value, subjects, readers, error, (n, k))
    return Icc(float(value), low, high)


def _icc_interval(
    value: float, subjects: float, readers: float, error: float, size: tuple[int, int]
) -> tuple[float, float]:
    n, k = size
    if value >= 1:
        return float(value), float(value)
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    numerator = (a * readers + b * error) ** 2
    freedom = numerator / ((a * readers) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    upper_f = stats.f.ppf(0.975, n - 1, freedom)
    lower_f = stats.f.ppf(0.975, freedom, n - 1)
    spread = k * readers + (k * n - k - n) * error
    low = n * (subjects - upper_f * error) / (upper_f * spread + n * subjects)
    high = n * (lower_f * subjects - error) / (spread + n * lower_f * subjects)
    return float(low), float(high)


def _complete(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows without a missing value, checked to be enough."""
    if table.ndim != 2 or table.shape[1] < 2:
        raise ParaspinalError(
            "E-AGREE-02", f"readings have shape {table.shape}", "give one column per reader, at least two"
        )
    complete = table[np.isfinite(table).all(axis=1)]
    if len(complete) < FEWEST_PAIRS:
        raise ParaspinalError(
            "E-AGREE-02",
            f"{len(complete)} complete pairs of readings",
            f"agreement needs at least {FEWEST_PAIRS} scans that both readers measured",
        )
    return complete
