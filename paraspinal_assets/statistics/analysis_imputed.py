"""The same models under three treatments of missing values: median, complete cases, multiple imputation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat

import numpy as np
import pandas as pd

from paraspinal_assets.statistics.analysis_data import AnalysisData, fit_models
from paraspinal_assets.statistics.analysis_fracture import Predictions, predict
from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.imputation import impute_median
from paraspinal_assets.statistics.linear import LinearFit, fit_linear
from paraspinal_assets.statistics.logistic import LogisticFit, fit_logistic
from paraspinal_assets.statistics.multiple_imputation import chained_imputations, pool
from paraspinal_assets.statistics.problems import NO_ANSWER, Problem
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.statistics.tables import stack

Fit = LinearFit | LogisticFit
Key = tuple[str, str]


@dataclass
class _Gathered:
    """Estimates of one model over the completed copies."""

    names: tuple[str, ...]
    n: int
    df: float
    estimates: list[Vector] = field(default_factory=list)
    std_errors: list[Vector] = field(default_factory=list)


@dataclass(frozen=True)
class ImputedResults:
    """`comparison` as in ``imputation_comparison``, and pooled coefficients and mean risks by copy.

    Parameters
    ----------
    comparison
        Every model and term under each method.
    pooled
        (``linear`` or ``logistic``, model) to the table of `multiple_imputation.pool`.
    predictions
        Risks averaged over the copies; None if they were not asked for. Those out of fold are from copies
        of their own, drawn without the fractures.
    """

    comparison: pd.DataFrame
    pooled: Mapping[Key, pd.DataFrame]
    predictions: Predictions | None


def compare_imputations(
    data: AnalysisData, spec: AnalysisSpec, fitted: Mapping[Key, Fit], *, with_predictions: bool
) -> tuple[ImputedResults, list[Problem]]:
    """Fit every model on medians, on complete cases, and on `AnalysisSpec.imputations` completed copies.

    `fitted` are the models of the analysis itself.
    """
    if spec.imputation not in ("predictors", "multiple"):
        median, _ = impute_median(data.observed, "predictors", outcomes=spec.outcomes)
        fitted = _fits(data, spec, median)
    parts = [_single(key, "median", fit) for key, fit in fitted.items()]
    for key, fit in _fits(data, spec, data.observed).items():
        parts.append(_single(key, "complete_case", fit))
    gathered: dict[Key, _Gathered] = {}
    copies: list[Predictions] = []
    problems: list[Problem] = []
    informing = spec.imputation_columns or spec.model_columns()
    wanted = [c for c in informing if c in data.observed.columns]
    incomplete = data.observed[[c for c in wanted if c not in spec.outcomes]].isna().any(axis=None)
    # With nothing to impute all copies are alike: one says it all.
    m = spec.imputations if incomplete else 1
    fits: dict[Key, Fit] = {}
    complete = partial(chained_imputations, m=m, outcomes=spec.outcomes, seed=spec.seed)
    # Copies drawn with the outcome carry each row's own fracture into its predictors, which a held-out row must
    # not have (pure noise then reaches an area of .67): out of fold, predictors are completed from predictors.
    hidden = [c for c in wanted if c == spec.fracture]
    without = complete(data.observed[[c for c in wanted if c not in hidden]])
    for copy, blind in zip(
        complete(data.observed[wanted]), without if with_predictions else repeat(None), strict=False
    ):
        fits = _fits(data, spec, copy, near=fits)
        for key, fit in fits.items():
            _gather(gathered, key, fit)
        if blind is not None:
            logistic, _ = fit_models(data, spec, "logistic", fit_logistic, copy)
            tested, _ = fit_models(data, spec, "logistic", fit_logistic, blind.join(data.observed[hidden]))
            found, notes = predict(logistic, data, spec, blind=tested)
            copies.append(found)
            problems += notes
    pooled = {}
    for key, some in gathered.items():
        estimates, errors = np.array(some.estimates), np.array(some.std_errors)
        pooled[key] = pool(some.names, estimates, errors, some.df)
        renamed = pooled[key].rename(columns={"t": "statistic"})
        parts.append(_labelled(renamed, key, "multiple", some.n))
    comparison = stack("imputation_comparison", parts)
    return ImputedResults(comparison, pooled, _average(copies)), problems


def _fits(
    data: AnalysisData, spec: AnalysisSpec, table: pd.DataFrame, near: Mapping[Key, Fit] | None = None
) -> dict[Key, Fit]:
    """Models that can be fitted on a table; those that cannot are diagnosed with the main analysis.

    `near` are the fits of another completed copy, from which logistic models start.
    """
    found: dict[Key, Fit] = {}
    for key, formula in spec.formulas().items():
        try:
            design = data.design(formula, table)
            if key[0] == "linear":
                found[key] = fit_linear(design)
                continue
            other = near.get(key) if near else None
            same = other is not None and other.design.names == design.names
            start = np.nan_to_num(other.coefficients, posinf=0.0, neginf=0.0) if other and same else None
            found[key] = fit_logistic(design, start=start)
        except NO_ANSWER:
            continue
    return found


def _gather(gathered: dict[Key, _Gathered], key: Key, fit: Fit) -> None:
    n = len(fit.design.y)
    some = gathered.setdefault(key, _Gathered(fit.design.names, n, float(n - len(fit.kept))))
    if fit.design.names == some.names:
        some.estimates.append(np.where(np.isfinite(fit.coefficients), fit.coefficients, np.nan))
        some.std_errors.append(fit.std_error)


def _single(key: Key, method: str, fit: Fit) -> pd.DataFrame:
    table = fit.coefficient_table()
    if isinstance(fit, LinearFit):
        table = table.rename(columns={"t": "statistic"}).assign(df=float(fit.df_residual))
    else:
        table = table.rename(columns={"log_odds": "estimate"})
        table["statistic"] = table["estimate"] / table["std_error"]
    return _labelled(table, key, method, len(fit.design.y))


def _labelled(table: pd.DataFrame, key: Key, method: str, n: int) -> pd.DataFrame:
    return table.assign(analysis=key[0], model=key[1], method=method, n=n)


def _average(copies: list[Predictions]) -> Predictions | None:
    """Mean risks over the copies, of the models that all of them have."""
    if not copies:
        return None
    risks = {
        estimate: {
            model: np.mean([copy.risks[estimate][model] for copy in copies], axis=0)
            for model in first
            if all(model in copy.risks[estimate] for copy in copies)
        }
        for estimate, first in copies[0].risks.items()
    }
    return Predictions(copies[0].outcome, copies[0].folds, risks)


def pooled_linear(pooled: Mapping[Key, pd.DataFrame]) -> pd.DataFrame:
    """``linear_coefficients`` from pooled results."""
    parts = [
        table.assign(model=model, aliased=table["estimate"].isna())
        for (kind, model), table in pooled.items()
        if kind == "linear"
    ]
    return stack("linear_coefficients", parts)


def pooled_logistic(pooled: Mapping[Key, pd.DataFrame]) -> pd.DataFrame:
    """``logistic_coefficients`` from pooled results; profile limits cannot be pooled and are empty."""
    parts = [
        table.assign(model=model, log_odds=table["estimate"], odds_ratio=_exponential(table["estimate"]))
        for (kind, model), table in pooled.items()
        if kind == "logistic"
    ]
    return stack("logistic_coefficients", parts)


def _exponential(log_odds: pd.Series) -> Vector:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(log_odds.to_numpy(dtype=np.float64)))
