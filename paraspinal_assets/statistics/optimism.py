"""How much an apparent AUC flatters: Harrell's bootstrap, for many rows.

Source: Harrell, Lee & Mark, Statistics in Medicine 15 (1996) 361-387.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.statistics.arrays import Matrix, Vector
from paraspinal_assets.statistics.logistic import LogisticFit
from paraspinal_assets.statistics.newton import maximise
from paraspinal_assets.statistics.rank import GLM_TOLERANCE, decompose, independent_columns
from paraspinal_assets.statistics.reweighting import refit_together

DECREMENT = 1e-6
"""A replicate's fit stops after a step whose half square, in standard errors, is below this."""
BATCH_NUMBERS = 4_000_000
"""Numbers in one array of a batch of replicates: 32 MB."""
LOSABLE_LEVERAGE = 1 / 30
"""A sample that has all rows of more leverage has full rank: what it lacks would be 30 rows or more, which
no sample misses together."""


@dataclass(frozen=True)
class Optimism:
    """How much the apparent AUC flatters, over bootstrap replicates.

    Parameters
    ----------
    mean
        Units of AUC.
    monte_carlo_error
        Standard error of `mean`.
    replicates, failed
        Replicates used, and those without both classes or without a fit.
    """

    mean: float
    monte_carlo_error: float
    replicates: int
    failed: int


def bootstrap_optimism(fit: LogisticFit, *, replicates: int = 200, seed: int = 0) -> Optimism:
    """Harrell's optimism of the AUC: refit on each bootstrap sample, compare its AUC there and here.

    The original model's own difference between sample and data serves as a control variate: its mean is zero,
    and in large tables it carries nearly all of the sampling noise.

    Parameters
    ----------
    fit
        The model on all rows.
    replicates
        How many; 0 gives NaN.
    seed
        Of the resampling; the same for every model gives them the same samples.
    """
    if replicates < 1:
        return Optimism(float("nan"), float("nan"), 0, 0)
    generator = np.random.default_rng(seed)
    x, y, n = fit.design.x[:, fit.kept], fit.design.y, len(fit.design.y)
    everyone = np.ones(n)
    own = _RankedScores(x @ fit.beta, y)
    apparent = own.auc(everyone)
    refit = _Refit(fit)
    plain: list[float] = []
    noise: list[float] = []
    failed, batch = 0, max(1, BATCH_NUMBERS // n)
    for first in range(0, replicates, batch):
        size = min(batch, replicates - first)
        counts = np.empty((n, size))
        for k in range(size):
            counts[:, k] = np.bincount(generator.integers(0, n, n), minlength=n)
        for sample, beta in zip(np.ascontiguousarray(counts.T), refit(counts), strict=True):
            if beta is None:
                failed += 1
                continue
            scores = _RankedScores(x @ beta, y)
            noise.append(own.auc(sample) - apparent)
            plain.append(scores.auc(sample) - scores.auc(everyone))
    if len(plain) < 3:
        return Optimism(float("nan"), float("nan"), len(plain), failed)
    return Optimism(*_controlled(plain, noise), len(plain), failed)


def _controlled(plain: list[float], noise: list[float]) -> tuple[float, float]:
    """Mean of the optimism at zero noise, and its standard error."""
    values, control = np.array(plain), np.array(noise)
    spread = float(np.sum((control - control.mean()) ** 2))
    share = float(np.sum((control - control.mean()) * values)) / spread if spread > 0 else 0.0
    adjusted = values - share * control
    return float(adjusted.mean()), float(adjusted.std(ddof=1) / np.sqrt(len(adjusted)))


class _Refit:
    """Log odds on bootstrap samples, many at once.

    Samples that do not settle together, or that lack a rare level, are fitted one by one.
    """

    def __init__(self, fit: LogisticFit) -> None:
        self._fit = fit
        self._x: Matrix = np.ascontiguousarray(fit.design.x[:, fit.kept])
        self._y = fit.design.y
        self._together = len(fit.separated) == 0
        self._q: Matrix = decompose(self._x, GLM_TOLERANCE)[2]
        self._losable = np.flatnonzero(np.einsum("ij,ij->i", self._q, self._q) > LOSABLE_LEVERAGE)

    def __call__(self, counts: Matrix) -> list[Vector | None]:
        """Log odds for each column of counts, shape ``(n, samples)``; None without both classes or a fit."""
        if not self._together:
            return [self._one(sample, self._fit.beta) for sample in counts.T]
        found, settled = refit_together(self._fit, self._x, counts, decrement=DECREMENT)
        return [
            start if done and self._has_full_rank(sample) else self._one(sample, start)
            for start, done, sample in zip(found.T, settled, counts.T, strict=True)
        ]

    def _has_full_rank(self, counts: Vector) -> bool:
        if (counts[self._losable] > 0).all():
            return True
        part = self._q[counts > 0]
        return bool(np.linalg.eigvalsh(part.T @ part)[0] > GLM_TOLERANCE)

    def _one(self, counts: Vector, start: Vector) -> Vector | None:
        x, y = self._x, self._y
        cases = float(counts @ y)
        if cases == 0 or cases == counts.sum():
            return None
        kept = np.arange(x.shape[1])
        if not self._has_full_rank(counts):
            kept, _ = independent_columns(x[counts > 0], GLM_TOLERANCE)
        # A start too far out has no information left; the prevalence alone always has.
        for at in (start[kept], None) if np.isfinite(start).all() and self._together else (None,):
            try:
                fitted, _, _ = maximise(x[:, kept], y, weights=counts, start=at, decrement=DECREMENT)
            except ParaspinalError:
                continue
            beta = np.zeros(x.shape[1])
            beta[kept] = fitted
            return beta
        return None


class _RankedScores:
    """Scores sorted once, for the AUC under any row weights in linear time; ties count half."""

    def __init__(self, scores: Vector, y: Vector) -> None:
        order = np.argsort(scores)
        ranked = scores[order]
        is_case = y[order] == 1
        of_controls = ranked[~is_case]
        self._controls, self._cases = order[~is_case], order[is_case]
        # For each case: how many of the sorted controls score lower, and how many no higher.
        self._below = np.searchsorted(of_controls, ranked[is_case], "left")
        self._within = np.searchsorted(of_controls, ranked[is_case], "right")

    def auc(self, weights: Vector) -> float:
        """AUC with these row weights, higher scores in cases."""
        reached = np.concatenate([[0.0], np.cumsum(weights[self._controls])])
        of_cases = weights[self._cases]
        won = of_cases @ (reached[self._below] + reached[self._within])
        return float(0.5 * won / (of_cases.sum() * reached[-1]))
