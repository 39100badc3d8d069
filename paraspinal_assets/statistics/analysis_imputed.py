"""The same models under three treatments of missing values: median, complete cases, multiple imputation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paraspinal_assets.statistics.analysis_data import AnalysisData
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


@dataclass(frozen=True)
class _Estimates:
    """What one completed copy says of a model: coefficients and standard errors, NaN where a term has none."""

    names: tuple[str, ...]
    n: int
    df: float
    coefficients: Vector
    std_errors: Vector

    @classmethod
    def of(cls, fit: Fit) -> _Estimates:
        n = len(fit.design.y)
        finite = np.where(np.isfinite(fit.coefficients), fit.coefficients, np.nan)
        return cls(fit.design.names, n, float(n - len(fit.kept)), finite, fit.std_error)


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
    parts += [_single(key, "complete_case", fit) for key, fit in _fits(data, spec, data.observed).items()]

    estimates: dict[Key, list[_Estimates]] = {}
    predictions: list[Predictions] = []
    problems: list[Problem] = []
    fits: dict[Key, Fit] = {}
    for copy, blind in _copies(data, spec, with_blind=with_predictions):
        fits = _fits(data, spec, copy, near=fits)
        for key, fit in fits.items():
            estimates.setdefault(key, []).append(_Estimates.of(fit))
        if blind is not None:
            tested = _fits(data, spec, blind, near=fits, kinds=("logistic",))
            found, notes = predict(_logistic(fits), data, spec, blind=_logistic(tested))
            predictions.append(found)
            problems += notes

    pooled = {key: _pooled(some) for key, some in estimates.items()}
    for key, table in pooled.items():
        parts.append(
            _labelled(table.rename(columns={"t": "statistic"}), key, "multiple", estimates[key][0].n)
        )
    return ImputedResults(stack("imputation_comparison", parts), pooled, _average(predictions)), problems


def _copies(
    data: AnalysisData, spec: AnalysisSpec, *, with_blind: bool
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame | None]]:
    """Completed copies, and the same number for predictions out of fold; with nothing to impute one says it all.

    Copies drawn with the outcome carry each row's own fracture into its predictors, which a held-out row must not
    have (pure noise then reaches an area of .67): out of fold, predictors are completed from predictors.
    """
    informing = spec.imputation_columns or spec.model_columns()
    wanted = [c for c in informing if c in data.observed.columns]
    hidden = [c for c in wanted if c == spec.fracture]
    incomplete = data.observed[[c for c in wanted if c not in spec.outcomes]].isna().any(axis=None)
    m = spec.imputations if incomplete else 1

    def complete(columns: list[str]) -> Iterator[pd.DataFrame]:
        return chained_imputations(data.observed[columns], m=m, outcomes=spec.outcomes, seed=spec.seed)

    if not with_blind:
        yield from ((copy, None) for copy in complete(wanted))
        return
    blind = complete([c for c in wanted if c not in hidden])
    for copy, without in zip(complete(wanted), blind, strict=True):
        yield copy, without.join(data.observed[hidden])


def _fits(
    data: AnalysisData,
    spec: AnalysisSpec,
    table: pd.DataFrame,
    *,
    near: Mapping[Key, Fit] | None = None,
    kinds: Sequence[str] = ("linear", "logistic"),
) -> dict[Key, Fit]:
    """Models that can be fitted on a table; those that cannot are diagnosed with the main analysis.

    `near` are the fits of another completed copy, from which logistic models start.
    """
    found: dict[Key, Fit] = {}
    for key, formula in spec.formulas().items():
        if key[0] not in kinds:
            continue
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


def _logistic(fits: Mapping[Key, Fit]) -> dict[str, LogisticFit]:
    return {model: fit for (_, model), fit in fits.items() if isinstance(fit, LogisticFit)}


def _pooled(copies: Sequence[_Estimates]) -> pd.DataFrame:
    """One model over its copies; where a copy lacks a level, and so a coefficient, those like the first."""
    first = copies[0]
    alike = [copy for copy in copies if copy.names == first.names]
    coefficients = np.array([copy.coefficients for copy in alike])
    return pool(first.names, coefficients, np.array([copy.std_errors for copy in alike]), first.df)


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
