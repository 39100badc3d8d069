"""Table 1: characteristics of the lowest quartile against the rest, with tests and standardized differences.

Sources: R ``t.test``, ``wilcox.test``, ``chisq.test``, ``fisher.test`` (tests); Austin, Stat Med
2009;28:3083 (standardized differences); Yang and Dalton, SAS Global Forum 2012, 335 (several levels).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
import pandas as pd

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Matrix, Vector
from paraspinal_assets.statistics.factors import column_levels, level_name
from paraspinal_assets.statistics.fisher import fisher_exact
from paraspinal_assets.statistics.group_tests import (
    GroupTest,
    chi_squared,
    expected_counts,
    known,
    t_test,
    wilcoxon,
)
from paraspinal_assets.statistics.problems import Problem
from paraspinal_assets.statistics.quartiles import quantile7

COLUMNS: Final = ("variable", "level", "low", "high", "overall", "missing", "test", "p", "smd")

MAX_CODES: Final = 5
"""A numeric column of at most this many distinct whole numbers is a set of codes, not a measurement."""

SMALL_EXPECTED: Final = 5
"""Below this expected count the chi-squared approximation gives way to Fisher's exact test."""

MAX_TEXT_LEVELS: Final = 50
"""A text column with more levels is no category: an identifier, or numbers with text among them."""

MOSTLY_NUMBERS: Final = 0.2
"""A text column in which fewer than this share of the levels is no number holds stray text among numbers."""

_Row = dict[str, object]


def table_one(
    frame: pd.DataFrame,
    low: pd.Series,
    variables: Sequence[str],
    *,
    categorical: Collection[str] = (),
) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Characteristics by group, with the columns of ``table_one.csv``, and problems.

    The first row counts the participants of each group (``missing``: those in neither). A measurement has
    the rows ``mean``, ``sd``, ``median``, ``q1``, ``q3``; the t-test and the standardized difference stand
    in the row of the mean, the rank-sum test in that of the median. A category has a row of counts per
    level; its test and standardized difference stand in the first of them.

    Parameters
    ----------
    frame
        One row per participant.
    low
        Nullable boolean, same index: in the low group or not; missing leaves the participant out.
    variables
        Columns to describe, in order.
    categorical
        Numeric columns to count by level. Text, and numbers with at most `MAX_CODES` distinct whole
        values, are counted anyway.

    Tests are Welch's t and Wilcoxon's rank sum; of a category Fisher's exact test where an expected count is below
    `SMALL_EXPECTED`, else R's ``chisq.test`` (corrected for 2 x 2). ``smd`` of a measurement is low minus high over
    the root mean variance; of a category it is the Mahalanobis distance of the level shares, never negative.
    """
    member = low.astype("boolean")
    is_low, is_high = member.fillna(False).to_numpy(bool), (~member).fillna(False).to_numpy(bool)
    rows: list[_Row] = [
        _row("n", "", float(is_low.sum()), float(is_high.sum()), missing=int((~is_low & ~is_high).sum()))
    ]
    problems: list[Problem] = []

    def attempt(variable: str, test: Callable[..., GroupTest], *groups: object) -> _Row:
        try:
            found = test(*groups)
        except StatisticsError as error:
            problems.append(Problem.from_error("table_one", variable, error))
            return {}
        return {"test": found.name, "p": found.p}

    for variable in variables:
        column = frame.get(variable)
        refusal = "The table has no such column." if column is None else _refusal(column)
        if column is None or refusal:
            problems.append(Problem("table_one", variable, "E-STAT-COLUMN", refusal))
            missing = None if column is None else int(column[is_low | is_high].isna().sum())
            rows.append({"variable": variable, "level": "", "missing": missing})
            continue
        missing = int(column[is_low | is_high].isna().sum())
        if _is_category(column, variable in categorical):
            found = _category_rows(variable, column, is_low, is_high)
            counts = np.array([[r["low"], r["high"]] for r in found], dtype=np.float64)
            found[0] |= {"missing": missing, "smd": _category_smd(counts)}
            found[0] |= attempt(variable, _category_test, counts)
        else:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            a, b = known(values[is_low]), known(values[is_high])
            found = _measure_rows(variable, a, b)
            found[0] |= {"missing": missing, "smd": _measure_smd(a, b)}
            found[0] |= attempt(variable, t_test, a, b)
            found[2] |= attempt(variable, wilcoxon, a, b)
        rows += found
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    kinds = dict.fromkeys(("low", "high", "overall", "p", "smd"), "float64") | {"missing": "Int64"}
    return table.astype(kinds), tuple(problems)


def _row(variable: str, level: str, low: float, high: float, **more: object) -> _Row:
    return {"variable": variable, "level": level, "low": low, "high": high, "overall": low + high} | more


def _refusal(column: pd.Series) -> str:
    if column.isna().all():
        return "The column has no value at all."
    if pd.api.types.is_numeric_dtype(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype):
        return ""
    levels = pd.Series(column.dropna().astype(str).unique())
    text = levels[pd.to_numeric(levels, errors="coerce").isna()]
    mixed = 0 < len(text) < MOSTLY_NUMBERS * len(levels)
    if len(levels) > MAX_TEXT_LEVELS or mixed:
        example = f", such as {text.iloc[0]!r}" if len(text) else ""
        return f"The column holds {len(levels)} different texts ({len(text)} are not numbers{example})."
    return ""


def _is_category(column: pd.Series, stated: bool) -> bool:
    if stated or not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return True
    distinct = column.dropna().unique()
    return len(distinct) <= MAX_CODES and all(float(v).is_integer() for v in distinct)


def _measure_rows(variable: str, a: Vector, b: Vector) -> list[_Row]:
    both = np.concatenate([a, b])
    columns = {"low": _summary(a), "high": _summary(b), "overall": _summary(both)}
    return [
        {"variable": variable, "level": level} | {name: cells[level] for name, cells in columns.items()}
        for level in ("mean", "sd", "median", "q1", "q3")
    ]


def _summary(x: Vector) -> dict[str, float | None]:
    if x.size == 0:
        return dict.fromkeys(("mean", "sd", "median", "q1", "q3"))
    q1, median, q3 = quantile7(x, (0.25, 0.5, 0.75)).tolist()
    sd = float(x.std(ddof=1)) if x.size > 1 else None
    return {"mean": float(x.mean()), "sd": sd, "median": median, "q1": q1, "q3": q3}


def _category_rows(variable: str, column: pd.Series, is_low: np.ndarray, is_high: np.ndarray) -> list[_Row]:
    codes, values = pd.factorize(column)
    texts, levels = [level_name(value) for value in values], column_levels(column)
    at = np.array([*texts, None], dtype=object)[codes]
    return [
        _row(variable, level, float((is_low & (at == level)).sum()), float((is_high & (at == level)).sum()))
        for level in levels
    ]


def _category_test(counts: Matrix) -> GroupTest:
    if expected_counts(counts).min() < SMALL_EXPECTED:
        try:
            return GroupTest("Fisher exact", float("nan"), fisher_exact(counts))
        except StatisticsError as error:
            if error.code != "E-STAT-SIZE":
                raise
    return chi_squared(counts)


def _measure_smd(a: Vector, b: Vector) -> float | None:
    if min(a.size, b.size) < 2:
        return None
    spread = float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))
    return float(a.mean() - b.mean()) / spread if spread > 0 else None


def _category_smd(counts: Matrix) -> float | None:
    """Distance of the two vectors of level shares, the first level left out, in their mean covariance."""
    totals = counts.sum(axis=0)
    if totals.min() == 0 or len(counts) < 2:
        return None
    low, high = (counts / totals).T[:, 1:]
    covariance = (np.diag(low) - np.outer(low, low) + np.diag(high) - np.outer(high, high)) / 2
    gap = low - high
    # Rounding can leave the square a little below zero when it is zero.
    return float(np.sqrt(max(0.0, float(gap @ np.linalg.pinv(covariance) @ gap))))
