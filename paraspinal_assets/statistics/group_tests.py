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


def t_test(
    low: ArrayLike, high: ArrayLike, *, equal_variance: bool = False, level: float = 0.95
) -> GroupTest:
    """Welch's t-test, or Student's with *equal_variance*; missing values are left out.

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
    va, vb = float(a.var(ddof=1)), float(b.var(ddof=1))
    df = float(a.size + b.size - 2)
    if equal_variance:
        pooled = ((a.size - 1) * va + (b.size - 1) * vb) / df
        error = (pooled * (1 / a.size + 1 / b.size)) ** 0.5
    else:
        sa, sb = va / a.size, vb / b.size
        error = (sa + sb) ** 0.5
        if error > 0:
            df = (sa + sb) ** 2 / (sa**2 / (a.size - 1) + sb**2 / (b.size - 1))
    if error < 10 * np.finfo(float).eps * max(abs(a.mean()), abs(b.mean())) or error == 0:
        raise StatisticsError(
            "E-STAT-CONSTANT",
            "The values are essentially constant within both groups.",
            "No t-test is possible.",
        )
    difference = float(a.mean() - b.mean())
    t = difference / error
    half = float(stats.t.isf((1 - level) / 2, df)) * error
    name = "Student t" if equal_variance else "Welch t"
    return GroupTest(name, t, float(2 * stats.t.sf(abs(t), df)), df, difference - half, difference + half)


def wilcoxon(
    low: ArrayLike, high: ArrayLike, *, exact: bool | None = None, continuity: bool = True
) -> GroupTest:
    """Wilcoxon rank-sum test; the statistic is R's W, the U of the first group.

    Parameters
    ----------
    low, high
        Values of the two groups; missing ones are left out.
    exact
        None for R's rule: exact if both groups have fewer than 50 values and none is tied.
    continuity
        Continuity correction of the normal approximation.

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
    if exact is None:
        exact = max(a.size, b.size) < EXACT_WILCOXON_BELOW and ties.max() == 1
    if exact and ties.max() == 1:
        p = float(stats.mannwhitneyu(a, b, method="exact").pvalue)
        return GroupTest("Wilcoxon rank sum, exact", w, p)
    n = both.size
    spread = n + 1 - float((ties.astype(float) ** 3 - ties).sum()) / (n * (n - 1))
    sigma = (a.size * b.size / 12 * spread) ** 0.5
    if ties.size == 1:
        raise StatisticsError("E-STAT-CONSTANT", "All values are the same.", "No rank-sum test is possible.")
    centred = w - a.size * b.size / 2
    if continuity:
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


def chi_squared(table: ArrayLike, *, continuity: bool = True) -> GroupTest:
    """Pearson's chi-squared test; Yates' correction applies to a 2 x 2 table only, as in R.

    Parameters
    ----------
    table
        Counts, shape ``(levels, groups)``.
    continuity
        Whether to correct a 2 x 2 table.
    """
    counts, expected = without_empty(table), expected_counts(table)
    gap = np.abs(counts - expected)
    corrected = continuity and counts.shape == (2, 2)
    if corrected:
        gap = gap - min(0.5, float(gap.min()))
    statistic = float((gap**2 / expected).sum())
    df = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    name = "chi-squared, Yates" if corrected else "chi-squared"
    return GroupTest(name, statistic, float(stats.chi2.sf(statistic, df)), float(df))
