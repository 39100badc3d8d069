"""Outcome across the quartiles of a measure: group values, differences, global and trend tests.

Sources: R ``anova``, ``oneway.test``, ``kruskal.test``; Cochran, Biometrics 1954;10:417 and Armitage,
Biometrics 1955;11:375 (trend in proportions).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.confidence import LEVEL, TAIL
from paraspinal_assets.statistics.formula import Formula
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.logistic import logistic_model
from paraspinal_assets.statistics.problems import Problem
from paraspinal_assets.statistics.quartiles import quantile7, quartile_number

GROUP_COLUMNS: Final = (
    "exposure", "outcome", "quartile", "lower", "upper", "n", "value", "ci_low", "ci_high", "effect_scale",
    "effect", "effect_ci_low", "effect_ci_high", "effect_p",
)  # fmt: skip
TEST_COLUMNS: Final = ("exposure", "outcome", "test", "statistic", "df1", "df2", "p")

_QUARTILE = "quartile"
_TREND = "quartile number"


class _Test(NamedTuple):
    test: str
    statistic: float
    df1: float | None
    df2: float | None
    p: float


@dataclass(frozen=True)
class DoseResponse:
    """``groups`` with `GROUP_COLUMNS`, one row per quartile; ``tests`` with `TEST_COLUMNS`; and problems."""

    groups: pd.DataFrame
    tests: pd.DataFrame
    problems: tuple[Problem, ...] = ()


def dose_response(
    frame: pd.DataFrame, exposure: str, outcome: str, *, covariates: Sequence[str] = ()
) -> DoseResponse:
    """Outcome in each quartile of an exposure.

    The cut points come from everyone with a known exposure. ``value`` is the mean of a continuous outcome
    (normal-theory interval) or the risk of a 0/1 outcome (Wilson's interval). ``effect`` compares a
    quartile with the first: a difference of means or an odds ratio, adjusted for *covariates*.

    Tests of a continuous outcome: one-way ANOVA, Welch's ANOVA, Kruskal-Wallis; of a 0/1 outcome:
    chi-squared, Cochran-Armitage. ``trend`` is the adjusted linear effect of the quartile number. An effect
    or trend that has no estimate, as with a quartile without fractures, is null with a problem.

    Parameters
    ----------
    frame
        One row per participant.
    exposure, outcome
        Columns; rows with a missing outcome or covariate are left out after cutting.
    covariates
        Columns of the adjusted comparisons.

    Raises
    ------
    StatisticsError
        E-STAT-TIES if quartiles coincide, E-STAT-SMALL-CLASS if a quartile has fewer than two outcomes,
        or what the adjusted models raise.
    """
    quartile = quartile_number(frame[exposure])
    edges = quantile7(frame[exposure].to_numpy(dtype=np.float64, na_value=np.nan), (0, 0.25, 0.5, 0.75, 1))
    data = frame[[outcome, *covariates]].assign(**{_TREND: quartile})
    data = data[data.notna().all(axis=1)]
    data[_TREND] = data[_TREND].astype(np.float64)
    data[_QUARTILE] = pd.Categorical("Q" + data[_TREND].astype(int).astype(str), ["Q1", "Q2", "Q3", "Q4"])
    samples = [data.loc[data[_TREND] == k, outcome].to_numpy(dtype=np.float64) for k in (1, 2, 3, 4)]
    if min(s.size for s in samples) < 2:
        raise StatisticsError(
            "E-STAT-SMALL-CLASS",
            f"A quartile of {exposure} has fewer than two known values of {outcome}.",
            "Quartiles need more participants; use the continuous measure.",
        )
    binary = set(np.unique(np.concatenate(samples))) <= {0.0, 1.0}
    values = [_risk(s) if binary else _mean(s) for s in samples]
    effects = _effects(data, outcome, covariates, binary)
    tests = [
        *(_binary_tests(samples) if binary else _mean_tests(samples)),
        _trend(data, outcome, covariates, binary),
    ]
    names = {"exposure": exposure, "outcome": outcome}
    groups = [
        names
        | {"quartile": k + 1, "lower": edges[k], "upper": edges[k + 1], "n": samples[k].size}
        | values[k]
        | {"effect_scale": "odds ratio" if binary else "difference"}
        | effects[k]
        for k in range(4)
    ]
    rows = [names | test._asdict() for test in tests]
    return DoseResponse(
        pd.DataFrame(groups, columns=list(GROUP_COLUMNS)),
        pd.DataFrame(rows, columns=list(TEST_COLUMNS)).astype({"df1": "float64", "df2": "float64"}),
        tuple(_blanks(exposure, outcome, samples, effects, tests[-1], binary)),
    )


def _blanks(
    exposure: str,
    outcome: str,
    samples: Sequence[Vector],
    effects: Sequence[Mapping[str, float]],
    trend: _Test,
    binary: bool,
) -> Iterator[Problem]:
    """Why effects or the trend are null."""
    without = [f"Q{k}" for k, effect in enumerate(effects, 1) if np.isnan(effect["effect"])]
    without += ["the trend"] if np.isnan(trend.p) else []
    if not without:
        return
    code, why = "W-STAT-ALIASED", "the covariates leave nothing to estimate it from"
    if binary:
        events = ", ".join(f"{int(s.sum())} of {s.size}" for s in samples)
        code, why = "W-STAT-SEPARATION", f"the outcomes are separated ({events} events in Q1 to Q4)"
    text = f"No adjusted effect of {', '.join(without)} of {exposure} on {outcome}: {why}."
    yield Problem("dose_response", f"{exposure} on {outcome}", code, text)


def _mean(x: Vector) -> dict[str, float]:
    half = float(stats.t.isf(TAIL, x.size - 1)) * float(x.std(ddof=1)) / x.size**0.5
    mean = float(x.mean())
    return {"value": mean, "ci_low": mean - half, "ci_high": mean + half}


def _risk(x: Vector) -> dict[str, float]:
    interval = stats.binomtest(int(x.sum()), x.size).proportion_ci(LEVEL, method="wilson")
    return {"value": float(x.mean()), "ci_low": float(interval.low), "ci_high": float(interval.high)}


def _effects(
    data: pd.DataFrame, outcome: str, covariates: Sequence[str], binary: bool
) -> list[dict[str, float]]:
    formula = Formula(outcome, ((_QUARTILE,), *((c,) for c in covariates)))
    if binary:
        cells = logistic_model(data, formula).coefficient_table().set_index("term")
        cells = cells[["log_odds", "ci_low", "ci_high", "p"]]
        with np.errstate(over="ignore"):  # a separated group has an infinite limit
            cells.iloc[:, :3] = np.exp(cells.iloc[:, :3])
    else:
        cells = linear_model(data, formula).coefficient_table().set_index("term")
        cells = cells[["estimate", "ci_low", "ci_high", "p"]]
    names = ("effect", "effect_ci_low", "effect_ci_high", "effect_p")
    reference = [{"effect": 1.0 if binary else 0.0}]
    rows = cells.loc[[f"{_QUARTILE}Q{k}" for k in (2, 3, 4)]].to_numpy(dtype=np.float64).tolist()
    return reference + [dict(zip(names, row, strict=True)) for row in rows]


def _trend(data: pd.DataFrame, outcome: str, covariates: Sequence[str], binary: bool) -> _Test:
    formula = Formula(outcome, ((_TREND,), *((c,) for c in covariates)))
    if binary:
        table = logistic_model(data, formula).coefficient_table()
        z = _cell(table, "log_odds") / _cell(table, "std_error")
        return _Test("trend", z, None, None, _cell(table, "p"))
    fit = linear_model(data, formula)
    table = fit.coefficient_table()
    return _Test("trend", _cell(table, "t"), float(fit.df_residual), None, _cell(table, "p"))


def _cell(table: pd.DataFrame, column: str) -> float:
    """A number of the trend term in a coefficient table."""
    return float(table.loc[table["term"] == _TREND, column].to_numpy(dtype=np.float64)[0])


def _mean_tests(samples: Sequence[Vector]) -> list[_Test]:
    k, n = len(samples), sum(s.size for s in samples)
    f, p = stats.f_oneway(*samples)
    h, h_p = stats.kruskal(*samples)
    welch_f, welch_df, welch_p = _welch_anova(samples)
    return [
        _Test("anova", float(f), k - 1.0, float(n - k), float(p)),
        _Test("welch_anova", welch_f, k - 1.0, welch_df, welch_p),
        _Test("kruskal_wallis", float(h), k - 1.0, None, float(h_p)),
    ]


def _welch_anova(samples: Sequence[Vector]) -> tuple[float, float, float]:
    """F, denominator degrees of freedom and p of R's ``oneway.test``; NaN if a group does not vary."""
    k = len(samples)
    n = np.array([s.size for s in samples], dtype=np.float64)
    means, variances = np.array([s.mean() for s in samples]), np.array([s.var(ddof=1) for s in samples])
    if (variances <= 0).any():
        return float("nan"), float("nan"), float("nan")
    weight = n / variances
    share = weight / weight.sum()
    spread = float(((1 - share) ** 2 / (n - 1)).sum()) / (k**2 - 1)
    grand = float((share * means).sum())
    f = float((weight * (means - grand) ** 2).sum()) / ((k - 1) * (1 + 2 * (k - 2) * spread))
    df = 1 / (3 * spread)
    return f, df, float(stats.f.sf(f, k - 1, df))


def _binary_tests(samples: Sequence[Vector]) -> list[_Test]:
    n = np.array([s.size for s in samples], dtype=np.float64)
    events = np.array([s.sum() for s in samples])
    rate = events.sum() / n.sum()
    if rate in (0.0, 1.0):
        raise StatisticsError(
            "E-STAT-ONE-CLASS",
            "The outcome has one class only.",
            "Check the outcome column and the exclusions.",
        )
    chi2 = float(((events - n * rate) ** 2 / (n * rate * (1 - rate))).sum())
    score = np.arange(1.0, len(samples) + 1)
    centred = score - (n * score).sum() / n.sum()
    slope = float((events * centred).sum())
    trend = slope**2 / float(rate * (1 - rate) * (n * centred**2).sum())
    return [
        _Test("chi_squared", chi2, 3.0, None, float(stats.chi2.sf(chi2, 3))),
        _Test("cochran_armitage", trend, 1.0, None, float(stats.chi2.sf(trend, 1))),
    ]
