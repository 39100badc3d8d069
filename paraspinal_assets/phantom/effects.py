"""Effects as they stand in a cohort: quartile means, adjusted R2, AUC; and fractures chosen to show them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

Array = NDArray[np.float64]

DRAWS: Final = 400
SMALLEST_WITH_AREAS: Final = 40
"""In a smaller cohort areas under the ROC curve say nothing: none is aimed at or reported."""


def adjusted_r2(X: Array, y: Array) -> float:
    """Adjusted R2 of least squares of `y` on `X`, whose first column is the intercept."""
    coefficients, _, rank, _ = np.linalg.lstsq(X, y, rcond=None)
    residual, centred = y - X @ coefficients, y - y.mean()
    n = len(y)
    return float(1 - (residual @ residual) / (n - rank) / ((centred @ centred) / (n - 1)))


def auc(outcome: NDArray[np.int64], score: Array) -> float:
    """Area under the ROC curve by ranks; ties count half."""
    cases = outcome == 1
    n_cases, n_controls = int(cases.sum()), int((~cases).sum())
    if not n_cases or not n_controls:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[cases].sum() - n_cases * (n_cases + 1) / 2) / (n_cases * n_controls))


def logistic_score(outcome: NDArray[np.int64], *predictors: Array) -> Array:
    """Linear predictor of a logistic model, by iteratively reweighted least squares."""
    X = np.column_stack([np.ones(len(outcome)), *(_standard(p) for p in predictors)])
    beta = np.zeros(X.shape[1])
    for _ in range(12):
        p = expit(X @ beta)
        weight = np.maximum(p * (1 - p), 1e-9)
        beta = beta + np.linalg.solve((X * weight[:, None]).T @ X, X.T @ (outcome - p))
    return np.asarray(X @ beta)


def closest_fractures(
    vbmd: Array,
    attenuation: Array,
    share: float,
    targets: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Fractures of a share of people, likelier with low density and low attenuation.

    Of `DRAWS` random outcomes the one is taken whose apparent AUCs (density alone; density and attenuation)
    are closest to `targets`: with few cases a single draw strays by several hundredths.
    """
    n = len(vbmd)
    cases = max(1, round(share * n))
    risk = -0.9 * _standard(vbmd) - 0.8 * _standard(attenuation)
    best, distance = np.zeros(n, np.int64), np.inf
    for _ in range(DRAWS):
        outcome = np.zeros(n, np.int64)
        outcome[np.argsort(-(risk + rng.logistic(0, 0.75, n)))[:cases]] = 1
        if n < SMALLEST_WITH_AREAS:
            return outcome
        found = (auc(outcome, -vbmd), auc(outcome, logistic_score(outcome, vbmd, attenuation)))
        off = float(np.hypot(found[0] - targets[0], found[1] - targets[1]))
        if off < distance:
            best, distance = outcome, off
    return best


def _standard(values: Array) -> Array:
    """Zero mean, unit variance; zeros where all values are the same."""
    return np.asarray((values - values.mean()) / (values.std() or 1.0))
