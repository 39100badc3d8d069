"""Net reclassification and integrated discrimination improvement of one risk model over another.

Sources: Pencina et al., Stat Med 2008;27:157 and 2011;30:11; Hmisc ``improveProb`` (estimates and
standard errors); PredictABEL ``reclassification`` (risk classes closed on the left).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Mask, Vector
from paraspinal_assets.statistics.confidence import TAIL
from paraspinal_assets.statistics.scores import complete_risks

CUTOFFS: Final = (0.03, 0.10)
"""Risk limits between low, intermediate and high, where the study file names no others."""

COLUMNS: Final = (
    "model_a", "model_b", "estimate", "measure", "part", "cutoffs", "value", "std_error", "ci_low", "ci_high",
    "z", "p", "n",
)  # fmt: skip


@dataclass(frozen=True)
class Improvement:
    """An improvement with its standard error; ``z`` and ``p`` are None if the error is 0."""

    value: float
    std_error: float
    n: int

    @property
    def z(self) -> float | None:
        return self.value / self.std_error if self.std_error > 0 else None

    @property
    def p(self) -> float | None:
        return None if self.z is None else float(2 * stats.norm.sf(abs(self.z)))

    def interval(self) -> tuple[float, float]:
        """Confidence limits."""
        half = float(stats.norm.isf(TAIL)) * self.std_error
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Reclassification:
    """Net reclassification with its two parts."""

    total: Improvement
    events: Improvement
    nonevents: Improvement


def _net(cases: Mask, change: Vector) -> Reclassification:
    n_events, n_nonevents = int(cases.sum()), int((~cases).sum())
    up, down = change > 0, change < 0
    up_e, down_e = float(up[cases].mean()), float(down[cases].mean())
    up_n, down_n = float(up[~cases].mean()), float(down[~cases].mean())
    var_e = (up_e + down_e - (up_e - down_e) ** 2) / n_events
    var_n = (up_n + down_n - (up_n - down_n) ** 2) / n_nonevents
    return Reclassification(
        total=Improvement(up_e - down_e + down_n - up_n, float(np.sqrt(var_e + var_n)), cases.size),
        events=Improvement(up_e - down_e, float(np.sqrt(var_e)), n_events),
        nonevents=Improvement(down_n - up_n, float(np.sqrt(var_n)), n_nonevents),
    )


def nri_continuous(outcome: ArrayLike, risk_a: ArrayLike, risk_b: ArrayLike) -> Reclassification:
    """Category-free net reclassification of b over a: any rise or fall of the risk counts.

    Raises
    ------
    StatisticsError
        As `complete_risks`.

    Source: Hmisc ``improveProb``.
    """
    cases, (a, b) = complete_risks(outcome, risk_a, risk_b)
    return _net(cases, b - a)


def nri_categorical(
    outcome: ArrayLike, risk_a: ArrayLike, risk_b: ArrayLike, cutoffs: Sequence[float]
) -> Reclassification:
    """Net reclassification across risk classes ``[0, c1), [c1, c2), ..., [ck, 1]``.

    Source: Hmisc ``improveProb`` on class numbers; PredictABEL's classes.
    """
    limits = np.asarray(cutoffs, dtype=np.float64)
    if limits.size == 0 or (np.diff(limits) <= 0).any() or limits.min() <= 0 or limits.max() >= 1:
        raise StatisticsError(
            "E-STAT-RISK", f"No risk limits: {list(cutoffs)}.", "Give rising limits in (0, 1)."
        )
    cases, (a, b) = complete_risks(outcome, risk_a, risk_b)
    class_a, class_b = np.searchsorted(limits, a, "right"), np.searchsorted(limits, b, "right")
    return _net(cases, (class_b - class_a).astype(np.float64))


def idi(outcome: ArrayLike, risk_a: ArrayLike, risk_b: ArrayLike) -> Improvement:
    """Integrated discrimination improvement of b over a.

    Source: Hmisc ``improveProb`` (variance of the change in each class).
    """
    cases, (a, b) = complete_risks(outcome, risk_a, risk_b)
    change = b - a
    if min(cases.sum(), (~cases).sum()) < 2:
        raise StatisticsError(
            "E-STAT-SMALL-CLASS",
            "A class with a single row has no variance.",
            "IDI needs two rows of each class.",
        )
    gain_e, gain_n = float(change[cases].mean()), float(-change[~cases].mean())
    variance = np.var(change[cases], ddof=1) / cases.sum() + np.var(change[~cases], ddof=1) / (~cases).sum()
    return Improvement(gain_e + gain_n, float(np.sqrt(variance)), cases.size)


def reclassification_table(
    outcome: ArrayLike,
    pair: tuple[str, str],
    risk_a: ArrayLike,
    risk_b: ArrayLike,
    *,
    estimate: str,
    cutoffs: Sequence[float] = CUTOFFS,
) -> pd.DataFrame:
    """NRI (categorical, continuous; total, events, nonevents) and IDI of a pair's second model over its first.

    Columns: model_a, model_b, estimate, measure (``nri_categorical``, ``nri_continuous``, ``idi``), part
    (``total``, ``events``, ``nonevents``), cutoffs, value, std_error, ci_low, ci_high, z, p, n.
    """
    rows: list[dict[str, object]] = []
    limits = " ".join(f"{c:g}" for c in cutoffs)
    categorical = nri_categorical(outcome, risk_a, risk_b, cutoffs)
    continuous = nri_continuous(outcome, risk_a, risk_b)
    named: list[tuple[str, str, str | None, Improvement]] = []
    for measure, text, net in (
        ("nri_categorical", limits, categorical),
        ("nri_continuous", None, continuous),
    ):
        parts = (("total", net.total), ("events", net.events), ("nonevents", net.nonevents))
        named += [(measure, part, text, improvement) for part, improvement in parts]
    named.append(("idi", "total", None, idi(outcome, risk_a, risk_b)))
    for measure, part, text, gain in named:
        low, high = gain.interval()
        rows.append(
            {
                "model_a": pair[0],
                "model_b": pair[1],
                "estimate": estimate,
                "measure": measure,
                "part": part,
                "cutoffs": text,
                "value": gain.value,
                "std_error": gain.std_error,
                "ci_low": low,
                "ci_high": high,
                "z": gain.z,
                "p": gain.p,
                "n": gain.n,
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"z": "float64", "p": "float64"})
