"""Confusion tables and their metrics at named thresholds; the positive class is fracture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.problems import Problem
from paraspinal_assets.statistics.roc import Direction, DirectionRule, RocCurve, roc_curve
from paraspinal_assets.statistics.scores import as_floats, binary_outcome, complete_rows

RULES: Final = (
    "0.5",
    "prevalence",
    "youden",
    "closest_topleft",
    "sensitivity_0.8",
    "sensitivity_0.9",
    "specificity_0.8",
    "specificity_0.9",
    "specificity_0.95",
)
METRICS: Final = ("sensitivity", "specificity", "ppv", "npv", "f1", "accuracy", "balanced_accuracy", "kappa")
COLUMNS: Final = ("model", "estimate", "rule", "threshold", "tp", "fp", "tn", "fn", *METRICS)

PositiveClass = Literal["fracture", "no_fracture"]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True)
class Confusion:
    """Counts at a threshold. A metric whose denominator is 0 is None, never 0."""

    threshold: float
    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def sensitivity(self) -> float | None:
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def ppv(self) -> float | None:
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float | None:
        return _ratio(self.tn, self.tn + self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where either is undefined or both are 0."""
        if self.ppv is None or self.sensitivity is None:
            return None
        return _ratio(2 * self.ppv * self.sensitivity, self.ppv + self.sensitivity)

    @property
    def accuracy(self) -> float | None:
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.tn + self.fn)

    @property
    def balanced_accuracy(self) -> float | None:
        if self.sensitivity is None or self.specificity is None:
            return None
        return (self.sensitivity + self.specificity) / 2

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None if chance alone would agree everywhere."""
        n = self.tp + self.fp + self.tn + self.fn
        if self.accuracy is None:
            return None
        positive = (self.tp + self.fp) * (self.tp + self.fn)
        negative = (self.tn + self.fn) * (self.tn + self.fp)
        chance = (positive + negative) / n**2
        return _ratio(self.accuracy - chance, 1 - chance)

    def for_no_fracture(self) -> Confusion:
        """The same table with class 0 as the positive one.

        This is what caret's ``posPredValue(prediction, reference)`` and ``sensitivity`` report when no
        ``positive`` is given: the first level. It flatters a rare outcome (F1 near 1 with no case found).
        """
        return Confusion(self.threshold, tp=self.tn, fp=self.fn, tn=self.tp, fn=self.fp)


def confusion_at(
    outcome: ArrayLike,
    score: ArrayLike,
    threshold: float,
    *,
    direction: Direction = "<",
    inclusive: bool = False,
) -> Confusion:
    """Counts when a row is positive if its score lies beyond the threshold.

    Parameters
    ----------
    outcome, score
        Shape ``(n,)``; rows with either missing are left out. One class alone is allowed.
    threshold
        In units of the score.
    direction
        ``<``: positive above the threshold; ``>``: positive below it.
    inclusive
        Whether a score equal to the threshold is positive. Curve thresholds are inclusive.

    Source: caret ``confusionMatrix(positive = "1")`` of ``p > threshold``.
    """
    y, values = binary_outcome(outcome), as_floats(score)
    keep = ~np.isnan(y) & ~np.isnan(values)
    cases, signed = y[keep] == 1, values[keep] if direction == "<" else -values[keep]
    limit = threshold if direction == "<" else -threshold
    positive = signed >= limit if inclusive else signed > limit
    return Confusion(
        threshold=threshold,
        tp=int((positive & cases).sum()),
        fp=int((positive & ~cases).sum()),
        tn=int((~positive & ~cases).sum()),
        fn=int((~positive & cases).sum()),
    )


def rule_threshold(curve: RocCurve, rule: str) -> float:
    """Threshold of a curve that a rule picks.

    ``youden`` and ``closest_topleft`` take pROC's first best point. ``sensitivity_x`` takes the most
    specific threshold with at least that sensitivity, ``specificity_x`` the most sensitive one with at
    least that specificity.

    Raises
    ------
    StatisticsError
        E-STAT-RULE for an unknown rule, E-STAT-CONSTANT if the score is constant.

    Source: pROC ``coords("best", best.method = ...)``.
    """
    if curve.constant:
        raise StatisticsError(
            "E-STAT-CONSTANT",
            "The score is the same for everyone: no threshold separates.",
            "Leave this score out.",
        )
    se, sp = curve.sensitivities, curve.specificities
    name, _, wanted = rule.partition("_")
    if rule == "youden":
        index = int(np.argmax(se + sp))
    elif rule == "closest_topleft":
        index = int(np.argmin((1 - se) ** 2 + (1 - sp) ** 2))
    elif name == "sensitivity" and _is_rate(wanted):
        index = int(np.flatnonzero(se >= float(wanted))[-1])
    elif name == "specificity" and _is_rate(wanted):
        index = int(np.flatnonzero(sp >= float(wanted))[0])
    else:
        raise StatisticsError(
            "E-STAT-RULE", f"Unknown threshold rule {rule!r}.", f"Known: {', '.join(RULES)}."
        )
    return float(curve.thresholds[index])


def _is_rate(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def confusion_by_rule(
    outcome: ArrayLike, score: ArrayLike, rule: str, *, direction: DirectionRule = "auto"
) -> Confusion:
    """Counts at the threshold of a rule: a number (``0.5``), ``prevalence``, or one of `rule_threshold`.

    Fixed thresholds and the prevalence are for risks: a row is positive if its risk is greater. The
    other rules follow the direction of the curve, see `roc.roc_curve`.
    """
    if _is_rate(rule):
        return confusion_at(outcome, score, float(rule))
    cases, (values,) = complete_rows(outcome, score)
    if rule == "prevalence":
        return confusion_at(cases, values, float(cases.mean()))
    curve = roc_curve(cases, values, direction=direction)
    threshold = rule_threshold(curve, rule)
    return confusion_at(cases, values, threshold, direction=curve.direction, inclusive=True)


def thresholds_table(
    outcome: ArrayLike,
    model: str,
    score: ArrayLike,
    *,
    estimate: str,
    rules: Sequence[str] = RULES,
    direction: DirectionRule = "auto",
    positive_class: PositiveClass = "fracture",
) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Metrics of a model at every rule, with the columns of ``thresholds.csv``, and problems.

    Parameters
    ----------
    outcome
        0/1 or missing, shape ``(n,)``.
    model, estimate
        Name, and ``apparent`` or ``out_of_fold``; copied into the table.
    score
        Predicted risk, shape ``(n,)``.
    rules, direction
        See `confusion_by_rule`.
    positive_class
        ``no_fracture`` gives the original script's numbers (see `Confusion.for_no_fracture`).

    A rule without an answer leaves an empty row, and the problem says why.
    """
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for rule in rules:
        row: dict[str, object] = {"model": model, "estimate": estimate, "rule": rule}
        try:
            table = confusion_by_rule(outcome, score, rule, direction=direction)
        except StatisticsError as error:
            if error.code not in ("E-STAT-ONE-CLASS", "E-STAT-CONSTANT"):
                raise
            problems.append(
                Problem("thresholds", model, error.code, f"{error.message} Rule {rule}, {estimate}.")
            )
            rows.append(row)
            continue
        if positive_class == "no_fracture":
            table = table.for_no_fracture()
        counts = {name: getattr(table, name) for name in ("threshold", "tp", "fp", "tn", "fn", *METRICS)}
        rows.append(row | counts)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    kinds = (
        {"threshold": "float64"}
        | dict.fromkeys(METRICS, "float64")
        | dict.fromkeys(("tp", "fp", "tn", "fn"), "Int64")
    )
    return frame.astype(kinds), tuple(problems)
