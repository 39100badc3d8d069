"""Fisher's exact test of a table with two columns.

Sources: Mehta and Patel, J Am Stat Assoc 1983;78:427 (exact test of larger tables); R ``fisher.test``
(two-sided p).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Matrix, Vector
from paraspinal_assets.statistics.group_tests import without_empty

TIE: Final = 1e-7
"""Tables less than this fraction more probable than the one observed count as equally probable (R)."""

MAX_HALF_TABLES: Final = 4_000_000
"""Largest number of half tables kept; beyond it the exact test is refused."""

NEGLIGIBLE: Final = 1e-10
"""Half tables whose probability is below this share of the observed table's are dropped."""


def fisher_exact(table: ArrayLike) -> float:
    """Two-sided p of Fisher's exact test.

    Parameters
    ----------
    table
        Counts, shape ``(r, 2)`` or ``(2, r)``; empty rows and columns are left out.

    Raises
    ------
    StatisticsError
        E-STAT-CONSTANT if fewer than two rows or columns are left, E-STAT-SHAPE with more than two
        columns, E-STAT-SIZE if the table is too large for an exact answer.

    Source: R ``fisher.test``.
    """
    counts = without_empty(table)
    if counts.shape[1] != 2:
        counts = counts.T
    if counts.shape[1] != 2:
        raise StatisticsError(
            "E-STAT-SHAPE", "The table has more than two columns and rows.", "Compare two groups."
        )
    if counts.shape[0] > 2:
        return _p_of_rows(counts)
    return _p_of_two_by_two(counts)


def _log_choose(n: Vector, k: Vector) -> Vector:
    value: Vector = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return value


def _p_of_two_by_two(counts: Matrix) -> float:
    """Two-sided p of a ``(2, 2)`` table, by listing its first cell."""
    x, row = counts[0, 0], counts[0].sum()
    first, second = counts[:, 0].sum(), counts[:, 1].sum()
    support = np.arange(max(0.0, row - second), min(row, first) + 1)
    log_density = _log_choose(first, support) + _log_choose(second, row - support)
    weights = np.exp(log_density - log_density.max())
    density = weights / weights.sum()
    observed = density[int(x - support[0])]
    return min(float(density[density <= observed * (1 + TIE)].sum()), 1.0)


def _p_of_rows(counts: Matrix) -> float:
    """Two-sided p of an ``(r, 2)`` table: half tables of either half of the rows, joined by their sums.

    A table is a first column ``x`` with a given sum; its probability is a product over rows. All halves
    are listed with the log of their product, sorted, and every left half finds by bisection how many right
    halves complete it to a table no more probable than the observed one.
    """
    counts = counts[np.argsort(counts.sum(axis=1))]
    rows, total = counts.sum(axis=1), counts[:, 0].sum()
    everyone = rows.sum()
    norm = float(_log_choose(everyone, total))
    log_observed = float(_log_choose(rows, counts[:, 0]).sum()) - norm
    floor = log_observed + np.log(NEGLIGIBLE) - np.log(everyone)
    # Alternating rows balance the number of half tables on both sides.
    left = _half_tables(rows[::2], total, everyone, norm, floor)
    right = _half_tables(rows[1::2], total, everyone, norm, floor)
    bound = log_observed + np.log1p(TIE)
    p = 0.0
    for value, log_left in left.items():
        log_right = right.get(total - value)
        if log_right is None:
            continue
        below = np.concatenate([[0.0], np.cumsum(np.exp(log_right - log_right[-1]))])
        reach = np.searchsorted(log_right, bound + norm - log_left, side="right")
        p += float((np.exp(log_left + log_right[-1] - norm) * below[reach]).sum())
    return min(p, 1.0)


def _half_tables(
    rows: Vector, total: float, everyone: float, norm: float, floor: float
) -> dict[float, Vector]:
    """Sum of the first column of some rows -> sorted logs of the products of all such half tables."""
    sums, logs = np.zeros(1), np.zeros(1)
    used = 0.0
    for size in rows:
        used += size
        cells = np.arange(size + 1)
        if sums.size * cells.size > 20 * MAX_HALF_TABLES:
            raise _too_large()
        sums = (sums[:, None] + cells).ravel()
        logs = (logs[:, None] + _log_choose(size, cells)).ravel()
        possible = (sums <= total) & (total - sums <= everyone - used)
        sums, logs = sums[possible], logs[possible]
        likely = logs + _log_choose(everyone - used, total - sums) - norm > floor
        sums, logs = sums[likely], logs[likely]
        if sums.size > MAX_HALF_TABLES:
            raise _too_large()
    order = np.lexsort((logs, sums))
    sums, logs = sums[order], logs[order]
    values, starts = np.unique(sums, return_index=True)
    return dict(zip(values.tolist(), np.split(logs, starts[1:]), strict=True))


def _too_large() -> StatisticsError:
    return StatisticsError("E-STAT-SIZE", "Too many tables for an exact test.", "Use the chi-squared test.")
