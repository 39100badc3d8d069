"""ROC curves as pROC draws them: automatic direction, midpoint thresholds, partial areas.

Sources: Robin et al., BMC Bioinformatics 2011;12:77 (pROC); McClish, Med Decis Making 1989;9:190
(partial area and its correction).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Mask, Vector
from paraspinal_assets.statistics.scores import complete_rows

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

    thresholds: Vector
    sensitivities: Vector
    specificities: Vector
    direction: Direction
    n_cases: int
    n_controls: int
    auc: float

    @property
    def constant(self) -> bool:
        return self.thresholds.size == 2


def auto_direction(cases: Mask, score: Vector) -> Direction:
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
    cases, (values,) = complete_rows(outcome, score)
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


def _midpoints(distinct: Vector) -> Vector:
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
    return PartialAuc(area, corrected)
