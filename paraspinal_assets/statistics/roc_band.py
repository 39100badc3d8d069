"""Pointwise confidence band of an ROC curve, for drawing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.confidence import TAIL
from paraspinal_assets.statistics.roc import RocCurve, sensitivity_at

GRID_POINTS = 101
"""Specificities 0, 0.01, ..., 1."""

MIN_WINDOW = 0.05
"""Smallest half-width, in false-positive rate, of the window over which the curve's slope is taken."""


def roc_band(curve: RocCurve) -> pd.DataFrame:
    """Sensitivity with a pointwise interval at evenly spaced specificities.

    The variance of the sensitivity at a fixed specificity has two parts: binomial in the cases, and
    the error of the threshold, which comes from the controls and is scaled by the slope of the curve.
    Both enter one effective sample size for Wilson's interval, so the band stays inside [0, 1].

    Returns
    -------
    DataFrame
        specificity, sensitivity, ci_low, ci_high; `GRID_POINTS` rows, specificity descending from 1.

    Source: Linnet, Stat Med 1987;6:147 (variance); Wilson, J Am Stat Assoc 1927;22:209 (interval).
    """
    specificity = np.linspace(1, 0, GRID_POINTS)
    sensitivity = np.array([sensitivity_at(curve, float(s)) for s in specificity])
    slope = _slope(curve, specificity)
    binomial = sensitivity * (1 - sensitivity)
    variance = binomial / curve.n_cases + slope**2 * specificity * (1 - specificity) / curve.n_controls
    effective = np.full(GRID_POINTS, float(curve.n_cases))
    np.divide(binomial, variance, out=effective, where=(binomial > 0) & (variance > 0))
    low, high = _wilson(sensitivity, effective, float(stats.norm.isf(TAIL)))
    return pd.DataFrame(
        {"specificity": specificity, "sensitivity": sensitivity, "ci_low": low, "ci_high": high}
    )


def _slope(curve: RocCurve, specificity: Vector) -> Vector:
    """Slope of the curve over a window that shrinks with the cube root of the smaller class."""
    half = max(MIN_WINDOW, 0.5 * min(curve.n_cases, curve.n_controls) ** (-1 / 3))
    above, below = np.minimum(specificity + half, 1.0), np.maximum(specificity - half, 0.0)
    rise = [sensitivity_at(curve, float(s)) for s in below]
    start = [sensitivity_at(curve, float(s)) for s in above]
    slope: Vector = (np.asarray(rise) - np.asarray(start)) / (above - below)
    return slope


def _wilson(rate: Vector, n: Vector, z: float) -> tuple[Vector, Vector]:
    scale = 1 + z**2 / n
    centre = (rate + z**2 / (2 * n)) / scale
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / scale
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
