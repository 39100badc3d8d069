"""Outcomes, scores and predicted risks as arrays: which rows are complete, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Mask, Vector


def as_floats(values: ArrayLike) -> Vector:
    """Values as floats, shape ``(n,)``; pandas' own missing value becomes NaN."""
    if isinstance(values, pd.Series):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(values, dtype=np.float64)


def binary_outcome(outcome: ArrayLike) -> Vector:
    """Outcome as float 0/1 with NaN where missing, shape ``(n,)``.

    Raises
    ------
    StatisticsError
        E-STAT-BINARY if a value is neither 0, 1 nor missing (text labels sort by alphabet in R and turn
        "case" into the control level, so they are refused here).
    """
    try:
        values = as_floats(outcome)
    except (TypeError, ValueError):
        raise StatisticsError(
            "E-STAT-BINARY",
            "The outcome holds values that are not numbers.",
            "Code the outcome as 1 for fracture, 0 for none and leave missing cells empty.",
        ) from None
    known = values[~np.isnan(values)]
    strange = np.unique(known[(known != 0) & (known != 1)])
    if strange.size:
        raise StatisticsError(
            "E-STAT-BINARY",
            f"The outcome holds {', '.join(f'{v:g}' for v in strange[:5])} besides 0 and 1.",
            "Code the outcome as 0/1; a 0.5 comes from imputing it with the median: leave outcomes observed.",
        )
    return values


def _cases(known: Vector) -> Mask:
    """True for cases among outcomes of 0 and 1, shape ``(n,)``; refuses one class alone (E-STAT-ONE-CLASS)."""
    cases: Mask = known == 1
    n_cases = int(cases.sum())
    if n_cases in (0, cases.size):
        raise StatisticsError(
            "E-STAT-ONE-CLASS",
            f"The outcome has one class only ({n_cases} cases of {cases.size} rows).",
            "Discrimination needs cases and controls; check the outcome column and the exclusions.",
        )
    return cases


def complete_rows(outcome: ArrayLike, *scores: ArrayLike) -> tuple[Mask, list[Vector]]:
    """Cases and scores, shape ``(m,)`` each, on the rows where the outcome and every score are known.

    Refused are: an outcome not coded 0/1 (E-STAT-BINARY) or of one class (E-STAT-ONE-CLASS), an infinite
    score (E-STAT-INFINITE), columns of unequal length (E-STAT-SHAPE).
    """
    values = binary_outcome(outcome)
    columns = [as_floats(score) for score in scores]
    if any(column.shape != values.shape for column in columns):
        raise StatisticsError(
            "E-STAT-SHAPE",
            f"Outcome and scores differ in shape: {values.shape} and {[c.shape for c in columns]}.",
            "Give one score per row of the outcome.",
        )
    if any(np.isinf(column).any() for column in columns):
        raise StatisticsError(
            "E-STAT-INFINITE", "A score is infinite.", "Give finite scores; missing ones as NaN."
        )
    keep = ~np.isnan(values)
    for column in columns:
        keep &= ~np.isnan(column)
    return _cases(values[keep]), [column[keep] for column in columns]


def complete_risks(outcome: ArrayLike, *risks: ArrayLike) -> tuple[Mask, list[Vector]]:
    """As `complete_rows`, of probabilities: E-STAT-RISK for one outside [0, 1]."""
    cases, columns = complete_rows(outcome, *risks)
    if any(column.min() < 0 or column.max() > 1 for column in columns):
        raise StatisticsError("E-STAT-RISK", "A predicted risk lies outside 0 to 1.", "Pass probabilities.")
    return cases, columns
