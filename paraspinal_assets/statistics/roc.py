"""ROC curves as pROC draws them: automatic direction, midpoint thresholds, partial areas.

Sources: Robin et al., BMC Bioinformatics 2011;12:77 (pROC); McClish, Med Decis Making 1989;9:190
(partial area and its correction).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from paraspinal_assets.errors import StatisticsError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Direction = Literal["<", ">"]
DirectionRule = Literal["auto", "<", ">"]
Focus = Literal["specificity", "sensitivity"]


@dataclass(frozen=True)
class RocCurve:
    """An empirical ROC curve.

    Attributes
    ----------
    thresholds, sensitivities, specificities
        Shape ``(k + 1,)`` for *k* distinct scores, from "everyone positive" to "no one positive".
        A row is positive if its score is ``>= threshold`` (direction ``<``) or ``<= threshold``
        (direction ``>``).
    direction
        ``<`` if controls score lower than cases, ``>`` if higher.
    auc
        Area under the curve (Mann-Whitney probability, ties count one half).
    constant
        True if every score is the same: the curve then has no threshold of use.
    """

    thresholds: FloatArray
    sensitivities: FloatArray
    specificities: FloatArray
    direction: Direction
    n_cases: int
    n_controls: int
    auc: float

    @property
    def constant(self) -> bool:
        return self.thresholds.size == 2


def as_floats(values: ArrayLike) -> FloatArray:
    """Values as floats, shape ``(n,)``; pandas' own missing value becomes NaN."""
    if isinstance(values, pd.Series):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(values, dtype=np.float64)


def binary_outcome(outcome: ArrayLike) -> FloatArray:
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


def _cases(known: FloatArray) -> BoolArray:
    """True for cases among outcomes of 0 and 1, shape ``(n,)``; refuses one class alone (E-STAT-ONE-CLASS)."""
    cases: BoolArray = known == 1
    n_cases = int(cases.sum())
    if n_cases in (0, cases.size):
        raise StatisticsError(
            "E-STAT-ONE-CLASS",
            f"The outcome has one class only ({n_cases} cases of {cases.size} rows).",
            "Discrimination needs cases and controls; check the outcome column and the exclusions.",
        )
    return cases


def complete_rows(outcome: ArrayLike, *scores: ArrayLike) -> tuple[BoolArray, list[FloatArray], BoolArray]:
    """Cases and scores on the rows where the outcome and every score are known.

    Returns the case mask ``(m,)``, the scores ``(m,)`` each, and the mask of kept rows ``(n,)``.
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
    return _cases(values[keep]), [column[keep] for column in columns], keep


def auto_direction(cases: BoolArray, score: FloatArray) -> Direction:
    """``>`` if the median of the controls exceeds that of the cases, else ``<`` (pROC's rule)."""
    return ">" if np.median(score[~cases]) > np.median(score[cases]) else "<"


def roc_curve(outcome: ArrayLike, score: ArrayLike, *, direction: DirectionRule = "auto") -> RocCurve:
    """ROC curve of a score for a 0/1 outcome.

    Parameters
    ----------
    outcome
        0/1, shape ``(n,)``; rows with a missing outcome or score are left out.
    score
        Shape ``(n,)``, finite or NaN.
    direction
        ``auto`` as pROC. Force ``<`` for predicted risks whose sign must not be chosen by the data.

    Raises
    ------
    StatisticsError
        As `complete_rows`.

    Source: pROC ``roc(response, predictor)``.
    """
    cases, (values,), _ = complete_rows(outcome, score)
    sense = auto_direction(cases, values) if direction == "auto" else direction
    signed = values if sense == "<" else -values
    distinct, place = np.unique(signed, return_inverse=True)
    cases_at = np.bincount(place[cases], minlength=distinct.size).astype(np.float64)
    controls_at = np.bincount(place[~cases], minlength=distinct.size).astype(np.float64)
    n_cases, n_controls = int(cases.sum()), int((~cases).sum())
    controls_below = np.concatenate([[0.0], np.cumsum(controls_at)])
    cases_below = np.concatenate([[0.0], np.cumsum(cases_at)])
    auc = float((cases_at * (controls_below[:-1] + controls_at / 2)).sum() / n_cases / n_controls)
    thresholds = _midpoints(distinct)
    return RocCurve(
        thresholds=thresholds if sense == "<" else -thresholds,
        sensitivities=(n_cases - cases_below) / n_cases,
        specificities=controls_below / n_controls,
        direction=sense,
        n_cases=n_cases,
        n_controls=n_controls,
        auc=auc,
    )


def _midpoints(distinct: FloatArray) -> FloatArray:
    """Midpoints between sorted distinct scores, with -inf and +inf at the ends, shape ``(k + 1,)``."""
    # Halves first: the sum of two large scores would overflow.
    middle = distinct[:-1] / 2 + distinct[1:] / 2
    # Neighbours without a double between them: take the upper one, so that ">=" still parts them.
    middle = np.where(middle <= distinct[:-1], distinct[1:], middle)
    return np.concatenate([[-np.inf], middle, [np.inf]])


def sensitivity_at(curve: RocCurve, specificity: float) -> float:
    """Sensitivity at a specificity in [0, 1]: the highest if the curve has it, else interpolated.

    Source: pROC ``coords(input = "specificity")``.
    """
    if not 0 <= specificity <= 1:
        raise StatisticsError(
            "E-STAT-RATE", f"{specificity:g} is not a rate between 0 and 1.", "Give a rate in [0, 1]."
        )
    x, y = curve.specificities, curve.sensitivities
    right = int(np.searchsorted(x, specificity, side="left"))
    if x[right] == specificity:
        return float(y[right])
    x0, x1, y0, y1 = x[right - 1], x[right], y[right - 1], y[right]
    return float(y1 + (y0 - y1) * (x1 - specificity) / (x1 - x0))


@dataclass(frozen=True)
class PartialAuc:
    """Area between two rates; ``corrected`` is McClish's, None below the diagonal."""

    focus: Focus
    high: float
    low: float
    area: float
    corrected: float | None


def partial_auc(curve: RocCurve, high: float, low: float, *, focus: Focus = "specificity") -> PartialAuc:
    """Area under the curve between two specificities (or sensitivities).

    Parameters
    ----------
    curve
        From `roc_curve`.
    high, low
        Ends of the interval, ``1 >= high > low >= 0``.
    focus
        The axis on which the interval lies.

    Source: pROC ``auc(partial.auc = c(high, low), partial.auc.correct = TRUE)``; McClish 1989.
    """
    if not 1 >= high > low >= 0:
        raise StatisticsError(
            "E-STAT-RATE", f"No interval of rates: {high:g} to {low:g}.", "Give 1 >= high > low >= 0."
        )
    x, y = curve.specificities, curve.sensitivities
    if focus == "sensitivity":
        x, y = y[::-1], x[::-1]
    x0, x1, y0, y1 = x[:-1], x[1:], y[:-1], y[1:]
    left, right = np.clip(x0, low, high), np.clip(x1, low, high)
    inside = right > left
    width = np.where(x1 > x0, x1 - x0, 1.0)
    y_left = y0 + (y1 - y0) * (left - x0) / width
    y_right = y0 + (y1 - y0) * (right - x0) / width
    area = float(((right - left) * (y_left + y_right) / 2)[inside].sum())
    largest = high - low
    smallest = largest * (2 - high - low) / 2
    # A curve that follows the diagonal exactly may miss it by rounding.
    below = area < smallest * (1 - 1e-12)
    corrected = None if below else (1 + (area - smallest) / (largest - smallest)) / 2
    return PartialAuc(focus, high, low, area, corrected)
