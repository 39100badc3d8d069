"""The fracture half of an analysis: logistic models, their predictions, and how well these do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from paraspinal_assets.statistics.analysis_data import AnalysisData
from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.auc_tables import (
    auc_table,
    band_table,
    comparison_table,
    curve_table,
    partial_auc_table,
)
from paraspinal_assets.statistics.calibration import calibration_table
from paraspinal_assets.statistics.decision import decision_table
from paraspinal_assets.statistics.diagnostics import logistic_problems
from paraspinal_assets.statistics.logistic import LogisticFit
from paraspinal_assets.statistics.optimism import bootstrap_optimism
from paraspinal_assets.statistics.problems import NO_ANSWER, Problem
from paraspinal_assets.statistics.profile import profile_intervals
from paraspinal_assets.statistics.reclassification import reclassification_table
from paraspinal_assets.statistics.resampling import out_of_fold, stratified_folds
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.statistics.tables import stack
from paraspinal_assets.statistics.thresholds import thresholds_table

Tables = dict[str, pd.DataFrame]
Found = pd.DataFrame | tuple[pd.DataFrame, Iterable[Problem]]
ESTIMATES = ("apparent", "out_of_fold")


@dataclass(frozen=True)
class Predictions:
    """Risks of every model for every row of the table, NaN where a model has none.

    Parameters
    ----------
    outcome
        0/1, NaN where missing, shape ``(n,)``.
    folds
        Fold of each row; None where there are none.
    risks
        ``apparent`` and ``out_of_fold``, each model name to shape ``(n,)``.
    """

    outcome: Vector
    folds: npt.NDArray[np.generic] | None
    risks: Mapping[str, Mapping[str, Vector]]


def choose_folds(
    data: AnalysisData, spec: AnalysisSpec
) -> tuple[npt.NDArray[np.generic] | None, list[Problem]]:
    """The folds given, or stratified ones; rows without an outcome are dealt as a class of their own."""
    if data.folds is not None:
        return data.folds, []
    column = data.completed.get(spec.fracture) if spec.fracture is not None else None
    if column is None:
        return None, []
    outcome = column.to_numpy(dtype=float)
    known = np.isfinite(outcome)
    folds = np.ones(len(outcome), dtype=np.int64)
    try:
        folds[known] = stratified_folds(outcome[known], spec.folds, seed=spec.seed)
    except NO_ANSWER as error:
        return None, [Problem.from_error("predictions", "", error)]
    folds[~known] = np.arange((~known).sum()) % spec.folds + 1
    return folds, []


def predict(
    fits: Mapping[str, LogisticFit],
    data: AnalysisData,
    spec: AnalysisSpec,
    *,
    blind: Mapping[str, LogisticFit] | None = None,
) -> tuple[Predictions, list[Problem]]:
    """Apparent and out-of-fold risks of fitted models.

    Parameters
    ----------
    fits
        Model name to fit.
    data, spec
        Folds, and the table whose rows are predicted.
    blind
        The same models for the out-of-fold risks, on predictors completed without a look at the outcome;
        default: *fits*.
    """
    folds, problems = choose_folds(data, spec) if fits else (None, [])
    n = len(data.completed)
    risks: dict[str, dict[str, Vector]] = {estimate: {} for estimate in ESTIMATES}
    for model, fit in fits.items():
        apparent, honest = np.full(n, np.nan), np.full(n, np.nan)
        apparent[fit.design.rows] = fit.probabilities
        tested = fit if blind is None else blind.get(model)
        if folds is not None and tested is not None:
            part = out_of_fold(tested, folds[tested.design.rows])
            honest[tested.design.rows] = part.probabilities
            problems += [Problem("predictions", model, "W-STAT-FOLD", note) for note in part.notes]
        risks["apparent"][model], risks["out_of_fold"][model] = apparent, honest
    outcome = np.full(n, np.nan)
    if spec.fracture in data.completed.columns:
        outcome = data.completed[spec.fracture].to_numpy(dtype=float)
    return Predictions(outcome, folds, risks), problems


def coefficient_tables(fits: Mapping[str, LogisticFit], spec: AnalysisSpec) -> tuple[Tables, list[Problem]]:
    """Coefficients with Wald and profile limits, and what is wrong with each model."""
    problems: list[Problem] = []
    parts = []
    for model, fit in fits.items():
        problems += logistic_problems(model, fit)
        limits = profile_intervals(fit, method=spec.profile)
        parts.append(fit.coefficient_table(limits).assign(model=model))
    return {"logistic_coefficients": stack("logistic_coefficients", parts)}, problems


def performance_tables(
    predictions: Predictions, fits: Mapping[str, LogisticFit], spec: AnalysisSpec
) -> tuple[Tables, list[Problem]]:
    """Every table made from predictions, a model or pair at a time, so that each fails alone."""
    collect = _Collector()
    y, cuts = predictions.outcome, spec.risk_cuts
    for estimate in ESTIMATES:
        risks = {m: p for m, p in predictions.risks[estimate].items() if np.isfinite(p).any()}
        # A risk that ranks held-out participants the wrong way must count against its model: rows that test a
        # model do not choose its direction. pROC's rule is kept for the apparent estimates, as in the original.
        ranked = {"estimate": estimate, "direction": "<" if estimate == "out_of_fold" else "auto"}
        for model, risk in risks.items():
            collect("auc", model, auc_table, y, model, risk, **ranked)
            collect("partial_auc", model, partial_auc_table, y, model, risk, **ranked)
            collect("thresholds", model, thresholds_table, y, model, risk, **ranked)
            collect("calibration", model, calibration_table, y, model, risk, estimate=estimate)
            collect("decision_curve", model, decision_table, y, model, risk, estimate=estimate)
            collect("roc_curve", model, curve_table, y, model, risk, **ranked)
            collect("roc_band", model, band_table, y, model, risk, **ranked)
        for a, b in combinations(risks, 2):
            both = (y, (a, b), risks[a], risks[b])
            collect("auc_comparison", f"{a} against {b}", comparison_table, *both, **ranked)
        for a, b in spec.reclassified():
            if a in risks and b in risks:
                both, name = (y, (a, b), risks[a], risks[b]), f"{a} to {b}"
                collect(
                    "reclassification", name, reclassification_table, *both, estimate=estimate, cutoffs=cuts
                )
    tables = {name: stack(name, collect.parts.get(name, [])) for name in _FROM_PREDICTIONS}
    tables["optimism"] = _optimism(fits, spec)
    corrected = _corrected(tables["auc"], tables["optimism"])
    tables["auc"] = stack("auc", [tables["auc"], corrected])
    tables["predictions"] = _prediction_table(predictions)
    return tables, collect.problems


_FROM_PREDICTIONS = (
    *("auc", "partial_auc", "thresholds", "calibration", "decision_curve", "roc_curve", "roc_band"),
    *("auc_comparison", "reclassification"),
)


class _Collector:
    """Calls that make a part of a table; an error becomes a problem and the other parts go on."""

    def __init__(self) -> None:
        self.parts: dict[str, list[pd.DataFrame]] = {}
        self.problems: list[Problem] = []

    def __call__(
        self, name: str, label: str, make: Callable[..., Found], *args: object, **options: object
    ) -> None:
        try:
            found = make(*args, **options)
        except NO_ANSWER as error:
            self.problems.append(Problem.from_error(name, label, error))
            return
        table, problems = (found, ()) if isinstance(found, pd.DataFrame) else found
        self.parts.setdefault(name, []).append(table)
        self.problems += problems


def _optimism(fits: Mapping[str, LogisticFit], spec: AnalysisSpec) -> pd.DataFrame:
    rows = []
    for model, fit in fits.items() if spec.bootstrap else ():
        found = bootstrap_optimism(fit, replicates=spec.bootstrap, seed=spec.seed)
        rows.append(
            {
                "model": model,
                "optimism": found.mean,
                "monte_carlo_error": found.monte_carlo_error,
                "replicates": found.replicates,
                "failed": found.failed,
            }
        )
    return stack("optimism", [pd.DataFrame(rows)])


def _corrected(auc: pd.DataFrame, optimism: pd.DataFrame) -> pd.DataFrame:
    """Apparent areas less their optimism, the interval shifted with them (Noma et al., 2021)."""
    shift = optimism.set_index("model")["optimism"].dropna()
    apparent = auc[(auc["estimate"] == "apparent") & auc["model"].isin(shift.index)]
    by = apparent["model"].map(shift).astype(float)
    moved = {column: (apparent[column] - by).clip(0.0, 1.0) for column in ("auc", "ci_low", "ci_high")}
    return apparent.assign(estimate="optimism_corrected", **moved)


def _prediction_table(predictions: Predictions) -> pd.DataFrame:
    n = len(predictions.outcome)
    parts = [
        pd.DataFrame(
            {
                "row": np.arange(1, n + 1),
                "fold": predictions.folds,
                "model": model,
                "apparent": apparent,
                "out_of_fold": predictions.risks["out_of_fold"][model],
            }
        )
        for model, apparent in predictions.risks["apparent"].items()
    ]
    return stack("predictions", parts)
