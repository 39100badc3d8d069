"""Variance, confidence interval and tests of ROC areas by DeLong's method in O(n log n).

Sources: DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837 (method); Sun and Xu, IEEE Signal
Process Lett 2014;21:1389 (midranks instead of all pairs); pROC (missing rows, degenerate cases).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Mask, Vector
from paraspinal_assets.statistics.confidence import TAIL
from paraspinal_assets.statistics.roc import Direction, DirectionRule, auto_direction
from paraspinal_assets.statistics.scores import complete_rows


@dataclass(frozen=True)
class AucEstimate:
    """An area with its DeLong variance and normal interval, clipped to [0, 1].

    ``notes`` names what makes the interval misleading (perfect separation, constant score).
    """

    auc: float
    variance: float
    ci_low: float
    ci_high: float
    direction: Direction
    n_cases: int
    n_controls: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AucComparison:
    """Two-sided test of ``auc_a - auc_b``, which ``ci_low`` and ``ci_high`` bound; ``n`` counts the rows used."""

    auc_a: float
    auc_b: float
    difference: float
    variance: float
    z: float
    p: float
    ci_low: float
    ci_high: float
    n: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Components:
    """Structural components: ``of_cases`` shape ``(n_cases,)``, ``of_controls`` ``(n_controls,)``."""

    auc: float
    of_cases: Vector
    of_controls: Vector


def _placements(of: Vector, among: Vector) -> Vector:
    """Share of ``among`` below each value of ``of``, ties one half; in the order of ``of``."""
    order = np.argsort(of)
    ordered, reference = of[order], np.sort(among)
    # Sorted queries walk through memory in order; this is the midrank difference of Sun and Xu.
    counts = np.searchsorted(reference, ordered, "left") + np.searchsorted(reference, ordered, "right")
    out = np.empty(of.size)
    out[order] = counts / (2.0 * among.size)
    return out


def _components(cases: Mask, score: Vector, direction: Direction) -> _Components:
    signed = score if direction == "<" else -score
    of_cases = _placements(signed[cases], signed[~cases])
    of_controls = 1.0 - _placements(signed[~cases], signed[cases])
    return _Components(float(of_cases.mean()), of_cases, of_controls)


def _variance(of_cases: Vector, of_controls: Vector) -> float:
    """DeLong variance from structural components; refuses a class with a single row."""
    if min(of_cases.size, of_controls.size) < 2:
        raise StatisticsError(
            "E-STAT-SMALL-CLASS",
            f"{of_cases.size} cases and {of_controls.size} controls: the area has no variance.",
            "DeLong's variance needs two rows of each class at least.",
        )
    return float(np.var(of_cases, ddof=1) / of_cases.size + np.var(of_controls, ddof=1) / of_controls.size)


def _notes(auc: float, constant: bool, name: str = "The score") -> tuple[str, ...]:
    if constant:
        return (f"{name} is constant: area 0.5 by definition",)
    if auc in (0.0, 1.0):
        return (f"{name} separates the classes perfectly: variance 0 is misleading",)
    return ()


def _resolve(rule: DirectionRule, cases: Mask, score: Vector) -> Direction:
    return auto_direction(cases, score) if rule == "auto" else rule


def auc_estimate(outcome: ArrayLike, score: ArrayLike, *, direction: DirectionRule = "auto") -> AucEstimate:
    """Area under the ROC curve with DeLong variance and interval.

    Parameters
    ----------
    outcome, score
        Shape ``(n,)``; rows with either missing are left out.
    direction
        See `paraspinal_assets.statistics.roc.roc_curve`.

    Raises
    ------
    StatisticsError
        As `complete_rows`; E-STAT-SMALL-CLASS if a class has a single row.

    Source: pROC ``var(method = "delong")``, ``ci.auc(method = "delong")``.
    """
    cases, (values,) = complete_rows(outcome, score)
    sense = _resolve(direction, cases, values)
    parts = _components(cases, values, sense)
    variance = _variance(parts.of_cases, parts.of_controls)
    half = float(stats.norm.isf(TAIL)) * variance**0.5
    return AucEstimate(
        auc=parts.auc,
        variance=variance,
        ci_low=max(parts.auc - half, 0.0),
        ci_high=min(parts.auc + half, 1.0),
        direction=sense,
        n_cases=parts.of_cases.size,
        n_controls=parts.of_controls.size,
        notes=_notes(parts.auc, bool(np.ptp(values) == 0)),
    )


def compare_auc_paired(
    outcome: ArrayLike,
    score_a: ArrayLike,
    score_b: ArrayLike,
    *,
    direction: DirectionRule | tuple[DirectionRule, DirectionRule] = "auto",
) -> AucComparison:
    """DeLong's test of two correlated areas on the rows where both scores are known.

    Each automatic direction is decided on all rows of its own score, before the pairing, and a
    disagreement is noted. Zero variance of the difference with equal areas gives z = 0 and p = 1.

    Source: pROC ``roc.test(method = "delong", paired = TRUE)``.
    """
    rules = direction if isinstance(direction, tuple) else (direction, direction)
    senses: list[Direction] = []
    for rule, score in zip(rules, (score_a, score_b), strict=True):
        own_cases, (own,) = complete_rows(outcome, score)
        senses.append(_resolve(rule, own_cases, own))
    cases, columns = complete_rows(outcome, score_a, score_b)
    a, b = (_components(cases, v, s) for v, s in zip(columns, senses, strict=True))
    difference = a.auc - b.auc
    # The variance of the differences themselves: exactly 0 for equivalent scores, no cancellation.
    variance = _variance(a.of_cases - b.of_cases, a.of_controls - b.of_controls)
    half = float(stats.norm.isf(TAIL)) * variance**0.5
    z = _ratio(difference, variance**0.5)
    notes = [
        note
        for part, values, name in zip((a, b), columns, ("Score a", "Score b"), strict=True)
        for note in _notes(part.auc, bool(np.ptp(values) == 0), name)
    ]
    if senses[0] != senses[1]:
        notes.append(f"The scores point in different directions ({senses[0]} and {senses[1]})")
    if variance == 0:
        notes.append("The difference has no variance: z and p say nothing about other data")
    return AucComparison(
        auc_a=a.auc,
        auc_b=b.auc,
        difference=difference,
        variance=variance,
        z=z,
        p=float(min(2 * stats.norm.sf(abs(z)), 1.0)),
        ci_low=difference - half,
        ci_high=difference + half,
        n=cases.size,
        notes=tuple(notes),
    )


def _ratio(difference: float, sd: float) -> float:
    if sd == 0:
        return 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
    return difference / sd
