"""Calibration of predicted risks: slope and intercept, smooth curve and its distances, Brier, groups.

Sources: Cox, Biometrika 1958;45:562 (slope, intercept); Austin and Steyerberg, Stat Med 2019;38:4051
(ICI, E50, E90); Spiegelhalter, Stat Med 1986;5:421; Hosmer and Lemeshow 1980; rms ``val.prob``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats
from statsmodels.nonparametric.smoothers_lowess import lowess

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.newton import maximise
from paraspinal_assets.statistics.problems import Problem
from paraspinal_assets.statistics.quartiles import quantile7
from paraspinal_assets.statistics.scores import complete_risks

LOWESS_SPAN: Final = 2 / 3
"""Share of rows in each local fit of the smooth curve, R's default."""

LOWESS_DELTA: Final = 0.01
"""Rows closer than this share of the range are interpolated, R's default."""

GROUPS: Final = 10

COLUMNS: Final = (
    "model", "estimate", "n", "n_events", "intercept", "slope", "calibration_in_the_large",
    "unreliability_chi2", "unreliability_p", "ici", "e50", "e90", "emax", "brier", "brier_max",
    "brier_scaled", "log_loss",
    "spiegelhalter_z", "spiegelhalter_p", "discrimination_slope", "hosmer_lemeshow", "hosmer_lemeshow_df",
    "hosmer_lemeshow_p",
)  # fmt: skip

Estimate = Literal["apparent", "out_of_fold"]


@dataclass(frozen=True)
class CalibrationLine:
    """Logistic recalibration ``logit P(y) = intercept + slope * logit(p)``.

    ``in_the_large`` is the intercept with the slope held at 1. ``unreliability_chi2`` tests intercept 0 and
    slope 1 together on 2 degrees of freedom.
    """

    intercept: float
    slope: float
    in_the_large: float
    unreliability_chi2: float
    unreliability_p: float


@dataclass(frozen=True)
class HosmerLemeshow:
    """Statistic, degrees of freedom and p."""

    chi2: float
    df: int
    p: float


def calibration_line(outcome: ArrayLike, risk: ArrayLike) -> CalibrationLine:
    """Calibration slope, intercept and calibration in the large.

    Risks of exactly 0 or 1 have no log odds and are left out, as rms does.

    Raises
    ------
    StatisticsError
        E-STAT-CONSTANT if all risks are the same: there is no slope. E-STAT-SEPARATED if they separate the
        classes, so that it is infinite. Otherwise as `complete_risks`.

    Source: rms ``val.prob``.
    """
    cases, (values,) = complete_risks(outcome, risk)
    inside = (values > 0) & (values < 1)
    y, logit = cases[inside].astype(np.float64), special.logit(values[inside])
    if y.size == 0 or np.ptp(logit) == 0:
        raise StatisticsError(
            "E-STAT-CONSTANT",
            "Every predicted risk is the same: calibration has no slope.",
            "Leave this model out.",
        )
    of_cases, of_controls = logit[y == 1], logit[y == 0]
    if of_cases.min(initial=np.inf) >= of_controls.max(initial=-np.inf) or (
        of_controls.min(initial=np.inf) >= of_cases.max(initial=-np.inf)
    ):
        raise StatisticsError(
            "E-STAT-SEPARATED",
            "The predicted risks separate the classes perfectly: the calibration slope is infinite.",
            "Look at the model's coefficients for the column that separates.",
        )
    both = np.column_stack([np.ones(y.size), logit])
    (intercept, slope), _, deviance = maximise(both, y)
    (shift,), _, _ = maximise(both[:, :1], y, offset=logit)
    ideal = float(2 * np.sum(np.logaddexp(0, logit) - y * logit))
    chi2 = ideal - deviance
    return CalibrationLine(float(intercept), float(slope), float(shift), chi2, float(stats.chi2.sf(chi2, 2)))


def calibration_curve(outcome: ArrayLike, risk: ArrayLike) -> pd.DataFrame:
    """Smooth observed risk against predicted risk, for drawing and for the ICI.

    Returns
    -------
    DataFrame
        risk (distinct, rising), observed (lowess without robustness iterations), n (rows at that risk).

    Source: R ``lowess(p, y, iter = 0)`` as in rms ``val.prob``; flexible curve of Van Calster et al.,
    J Clin Epidemiol 2016;74:167.
    """
    cases, (values,) = complete_risks(outcome, risk)
    order = np.argsort(values, kind="stable")
    x, y = values[order], cases[order].astype(np.float64)
    if x[0] == x[-1]:
        return pd.DataFrame({"risk": [x[0]], "observed": [y.mean()], "n": [x.size]})
    delta = LOWESS_DELTA * float(x[-1] - x[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        fit = lowess(y, x, frac=LOWESS_SPAN, it=0, delta=delta, is_sorted=True, return_sorted=False)
    distinct, place, n = np.unique(x, return_inverse=True, return_counts=True)
    observed = np.bincount(place, weights=fit) / n
    # More ties than a window holds: the window has no width, and R's fit is the mean of the tied rows.
    tied = n >= int(LOWESS_SPAN * x.size)
    observed[tied] = (np.bincount(place, weights=y) / n)[tied]
    broken = np.isnan(observed)
    observed[broken] = np.interp(distinct[broken], distinct[~broken], observed[~broken])
    return pd.DataFrame({"risk": distinct, "observed": observed, "n": n})


def calibration_distances(curve: pd.DataFrame) -> dict[str, float]:
    """Distances between predicted and smooth observed risk over the rows of a cohort.

    ``ici`` is their mean, ``e50`` and ``e90`` quantiles (type 7), ``emax`` the largest.

    Parameters
    ----------
    curve
        From `calibration_curve`.
    """
    gap = np.repeat((curve["risk"] - curve["observed"]).abs().to_numpy(), curve["n"].to_numpy())
    e50, e90 = np.quantile(gap, [0.5, 0.9])
    return {"ici": float(gap.mean()), "e50": float(e50), "e90": float(e90), "emax": float(gap.max())}


def brier(outcome: ArrayLike, risk: ArrayLike) -> dict[str, float]:
    """Brier score, the score of the prevalence, the scaled score, log loss and Spiegelhalter's z.

    ``log_loss`` is infinite if a risk of 0 or 1 is wrong.
    """
    cases, (p,) = complete_risks(outcome, risk)
    y = cases.astype(np.float64)
    score = float(np.mean((p - y) ** 2))
    largest = float(y.mean() * (1 - y.mean()))
    spread = float(np.sum((1 - 2 * p) ** 2 * p * (1 - p)))
    z = float(np.sum((y - p) * (1 - 2 * p))) / spread**0.5 if spread > 0 else float("nan")
    return {
        "brier": score,
        "brier_max": largest,
        "brier_scaled": 1 - score / largest,
        "log_loss": float(-np.mean(special.xlogy(y, p) + special.xlog1py(1 - y, -p))),
        "spiegelhalter_z": z,
        "spiegelhalter_p": float(2 * stats.norm.sf(abs(z))),
        "discrimination_slope": float(p[cases].mean() - p[~cases].mean()),
    }


def hosmer_lemeshow(outcome: ArrayLike, risk: ArrayLike, *, fitted_here: bool) -> HosmerLemeshow:
    """Hosmer and Lemeshow's test over `GROUPS` groups cut at the quantiles (type 7) of the risk; ties merge groups.

    Parameters
    ----------
    outcome, risk
        0/1 and probability, shape ``(n,)``.
    fitted_here
        True if the model was fitted to these rows: two degrees of freedom less than groups, else as many.

    Raises
    ------
    StatisticsError
        E-STAT-GROUPS if fewer than three groups remain or a group expects no event, or only events.
    """
    cases, (p,) = complete_risks(outcome, risk)
    edges = np.unique(quantile7(p, np.arange(GROUPS + 1) / GROUPS))
    place = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, None)
    count = max(edges.size - 1, 1)
    n = np.bincount(place, minlength=count).astype(np.float64)
    observed: Vector = np.bincount(place, cases.astype(np.float64), minlength=count).astype(np.float64)
    expected: Vector = np.bincount(place, p, minlength=count).astype(np.float64)
    variance = expected * (1 - expected / np.maximum(n, 1))
    if count < 3 or (variance <= 0).any():
        raise StatisticsError(
            "E-STAT-GROUPS",
            f"{count} groups of risk, some without expected events: no Hosmer-Lemeshow test.",
            "Use fewer groups.",
        )
    chi2 = float(((observed - expected) ** 2 / variance).sum())
    df = count - 2 if fitted_here else count
    return HosmerLemeshow(chi2, df, float(stats.chi2.sf(chi2, df)))


def calibration_table(
    outcome: ArrayLike, model: str, risk: ArrayLike, *, estimate: Estimate
) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """All calibration measures of a model, with the columns of ``calibration.csv``, and problems.

    ``intercept`` goes with ``slope``; ``calibration_in_the_large`` is the intercept at slope 1. On
    ``apparent`` risks of a logistic model they are 0 and 1 by construction: only ``out_of_fold`` informs.
    """
    problems: list[Problem] = []
    cases, _ = complete_risks(outcome, risk)
    row: dict[str, object] = {
        "model": model,
        "estimate": estimate,
        "n": cases.size,
        "n_events": int(cases.sum()),
    }
    row |= brier(outcome, risk) | calibration_distances(calibration_curve(outcome, risk))
    # Each alone: risks with few distinct values have a line, but no groups for the test.
    try:
        line = calibration_line(outcome, risk)
        row |= {
            "intercept": line.intercept,
            "slope": line.slope,
            "calibration_in_the_large": line.in_the_large,
            "unreliability_chi2": line.unreliability_chi2,
            "unreliability_p": line.unreliability_p,
        }
    except StatisticsError as error:
        problems.append(Problem.from_error("calibration", model, error))
    try:
        test = hosmer_lemeshow(outcome, risk, fitted_here=estimate == "apparent")
        row |= {
            "hosmer_lemeshow": test.chi2,
            "hosmer_lemeshow_df": test.df,
            "hosmer_lemeshow_p": test.p,
        }
    except StatisticsError as error:
        problems.append(Problem.from_error("calibration", model, error))
    table = pd.DataFrame([row], columns=list(COLUMNS))
    return table.astype({"hosmer_lemeshow_df": "Int64"}), tuple(problems)
