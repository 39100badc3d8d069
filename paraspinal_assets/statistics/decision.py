"""Decision curves: what acting on a predicted risk gains over treating everyone or no one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.scores import complete_risks

THRESHOLDS: Final = tuple(round(0.01 * k, 2) for k in range(1, 51))
"""Threshold probabilities 0.01 to 0.50: no one would treat for a fracture only above even odds."""

COLUMNS: Final = (
    "model", "estimate", "threshold", "net_benefit", "treat_all", "treat_none",
    "interventions_avoided_per_100",
)  # fmt: skip


def decision_curve(outcome: ArrayLike, risk: ArrayLike, thresholds: Sequence[float]) -> pd.DataFrame:
    """Net benefit at each threshold probability.

    ``net_benefit = tp/n - fp/n * t/(1 - t)``, where a row is treated if its risk is at least *t*.

    Parameters
    ----------
    outcome, risk
        0/1 and probability, shape ``(n,)``; rows with either missing are left out.
    thresholds
        Probabilities in (0, 1).

    Returns
    -------
    DataFrame
        threshold, net_benefit, treat_all, treat_none, interventions_avoided_per_100.

    Source: Vickers and Elkin, Med Decis Making 2006;26:565.
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    if limits.size == 0 or limits.min() <= 0 or limits.max() >= 1:
        raise StatisticsError(
            "E-STAT-THRESHOLD",
            "A threshold probability lies outside (0, 1).",
            "Give thresholds between 0 and 1.",
        )
    cases, (values,) = complete_risks(outcome, risk)
    n, odds = cases.size, limits / (1 - limits)
    of_cases, of_controls = np.sort(values[cases]), np.sort(values[~cases])
    tp = of_cases.size - np.searchsorted(of_cases, limits, "left")
    fp = of_controls.size - np.searchsorted(of_controls, limits, "left")
    benefit = tp / n - fp / n * odds
    treat_all = of_cases.size / n - of_controls.size / n * odds
    return pd.DataFrame(
        {
            "threshold": limits,
            "net_benefit": benefit,
            "treat_all": treat_all,
            "treat_none": np.zeros(limits.size),
            "interventions_avoided_per_100": 100 * (benefit - treat_all) / odds,
        }
    )


def decision_table(outcome: ArrayLike, model: str, risk: ArrayLike, *, estimate: str) -> pd.DataFrame:
    """Decision curve of a model at `THRESHOLDS`, with the columns of ``decision_curve.csv``."""
    curve = decision_curve(outcome, risk, THRESHOLDS).assign(model=model, estimate=estimate)
    return curve[list(COLUMNS)]
