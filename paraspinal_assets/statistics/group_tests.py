"""Two-group tests with R's defaults: t, Wilcoxon rank sum, chi-squared.

Source: R ``stats`` (``t.test``, ``wilcox.test``, ``chisq.test``), from its documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Matrix, Vector
from paraspinal_assets.statistics.confidence import TAIL
from paraspinal_assets.statistics.scores import as_floats

EXACT_WILCOXON_BELOW: Final = 50
"""R takes the exact distribution if both groups are smaller than this and no value is tied."""


@dataclass(frozen=True)
class GroupTest:
    """A test of two groups. ``ci_low`` and ``ci_high`` bound the difference of means, low minus high."""

    name: str
    statistic: float
    p: float
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None


def known(values: ArrayLike) -> Vector:
    """The values that are not missing, as floats."""
    x = as_floats(values)
    return x[~np.isnan(x)]


def t_test(low: ArrayLike, high: ArrayLike) -> GroupTest:
    """Welch's t-test; missing values are left out.

    Raises
    ------
    StatisticsError
        E-STAT-SMALL-CLASS with fewer than two values in a group, E-STAT-CONSTANT if the data do not vary.
    """
    a, b = known(low), known(high)
    if min(a.size, b.size) < 2:
        raise StatisticsError(
            "E-STAT-SMALL-CLASS", f"Groups of {a.size} and {b.size} values: no t-test.", "Needs two of each."
        )
    sa, sb = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    error = (sa + sb) ** 0.5
    if error < 10 * np.finfo(float).eps * max(abs(a.mean()), abs(b.mean())) or error == 0:
        raise StatisticsError(
            "E-STAT-CONSTANT",
            "The values are essentially constant within both groups.",
            "No t-test is possible.",
        )
    df = (sa + sb) ** 2 / (sa**2 / (a.size - 1) + sb**2 / (b.size - 1))
    difference = float(a.mean() - b.mean())
    t = difference / error
    half = float(stats.t.isf(TAIL, df)) * error
    return GroupTest(
        "Welch t", t, float(2 * stats.t.sf(abs(t), df)), df, difference - half, difference + half
    )


def wilcoxon(low: ArrayLike, high: ArrayLike) -> GroupTest:
    """Wilcoxon rank-sum test; the statistic is R's W, the U of the first group. Missing values are left out.

    Exact if both groups have fewer than `EXACT_WILCOXON_BELOW` values and none is tied, else the normal
    approximation with its continuity correction.

    Raises
    ------
    StatisticsError
        E-STAT-SMALL-CLASS for an empty group, E-STAT-CONSTANT if all values are the same (R gives NaN).
    """
    a, b = known(low), known(high)
    if min(a.size, b.size) == 0:
        raise StatisticsError("E-STAT-SMALL-CLASS", "A group has no value.", "No rank-sum test is possible.")
    both = np.concatenate([a, b])
    ranks = stats.rankdata(both)
    w = float(ranks[: a.size].sum() - a.size * (a.size + 1) / 2)
    _, ties = np.unique(both, return_counts=True)
    if max(a.size, b.size) < EXACT_WILCOXON_BELOW and ties.max() == 1:
        p = float(stats.mannwhitneyu(a, b, method="exact").pvalue)
        return GroupTest("Wilcoxon rank sum, exact", w, p)
    n = both.size
    spread = n + 1 - float((ties.astype(float) ** 3 - ties).sum()) / (n * (n - 1))
    sigma = (a.size * b.size / 12 * spread) ** 0.5
    if ties.size == 1:
        raise StatisticsError("E-STAT-CONSTANT", "All values are the same.", "No rank-sum test is possible.")
    centred = w - a.size * b.size / 2
    centred -= np.sign(centred) * 0.5
    return GroupTest("Wilcoxon rank sum", w, float(min(2 * stats.norm.sf(abs(centred) / sigma), 1.0)))


def without_empty(table: ArrayLike) -> Matrix:
    """A table of counts without its empty rows and columns.

    Raises
    ------
    StatisticsError
        E-STAT-CONSTANT if one row or one column is left: nothing to compare.
    """
    counts: Matrix = np.asarray(table, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0]
    counts = counts[:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        raise StatisticsError(
            "E-STAT-CONSTANT",
            f"A table of {counts.shape[0]} x {counts.shape[1]} levels.",
            "Nothing to compare.",
        )
    return counts


def expected_counts(table: ArrayLike) -> Matrix:
    """Counts expected under independence, empty rows and columns left out."""
    counts = without_empty(table)
    expected: Matrix = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return expected


def chi_squared(table: ArrayLike) -> GroupTest:
    """Pearson's chi-squared test of counts, shape ``(levels, groups)``; a 2 x 2 table has Yates' correction."""
    counts, expected = without_empty(table), expected_counts(table)
    gap = np.abs(counts - expected)
    corrected = counts.shape == (2, 2)
    if corrected:
        gap = gap - min(0.5, float(gap.min()))
    statistic = float((gap**2 / expected).sum())
    df = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    name = "chi-squared, Yates" if corrected else "chi-squared"
    return GroupTest(name, statistic, float(stats.chi2.sf(statistic, df)), float(df))
