"""The whole statistics on a flat table: models, sensitivity, discrimination, groups, and what went wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy.typing as npt
import pandas as pd

from paraspinal_assets.statistics.analysis_data import AnalysisData, fit_models, prepare
from paraspinal_assets.statistics.analysis_fracture import (
    coefficient_tables,
    performance_tables,
    predict,
)
from paraspinal_assets.statistics.analysis_groups import group_tables
from paraspinal_assets.statistics.analysis_imputed import (
    Fit,
    Key,
    compare_imputations,
    pooled_linear,
    pooled_logistic,
)
from paraspinal_assets.statistics.analysis_linear import linear_tables
from paraspinal_assets.statistics.linear import fit_linear
from paraspinal_assets.statistics.logistic import fit_logistic
from paraspinal_assets.statistics.problems import NO_ANSWER, Problem, problems_table
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.statistics.tables import COLUMNS, stack

NOT_POOLED = (
    "Coefficients, predictions and what follows from them are pooled over the imputed copies; fit statistics, "
    "comparisons, diagnostics, sensitivity, dose-response and subgroups are of the table with medians, and profile "
    "intervals are left out."
)
NO_OPTIMISM = (
    "The copies are drawn with the fractures, which no bootstrap of the models sees: there are no "
    "optimism-corrected areas with multiple imputation. Out-of-fold areas are from copies drawn without the fractures."
)


def analyze(
    table: pd.DataFrame, spec: AnalysisSpec | None = None, *, folds: npt.ArrayLike | None = None
) -> dict[str, pd.DataFrame]:
    """Every table of an analysis, by name; one model that fails stops no other.

    Parameters
    ----------
    table
        One row per participant, columns as read from a file with only ``NA`` and empty text missing.
    spec
        Outcomes, models and options; default: the original study's models on its column names.
    folds
        Fold of each row, shape ``(n,)``; default: stratified and seeded.

    Returns
    -------
    dict
        Tables with the columns of `tables.COLUMNS`. Rows of the table are numbered from 1. ``problems`` names
        what failed (``E-``) and what to read with care (``W-``).

    Raises
    ------
    StatisticsError
        What leaves nothing to analyse; see `analysis_data.prepare`.
    """
    spec = spec or AnalysisSpec()
    data, problems = prepare(table, spec, folds)
    tables: dict[str, pd.DataFrame] = {"imputation": data.imputation}

    linear_fits, found = fit_models(data, spec, "linear", fit_linear)
    problems += found
    made, found = linear_tables(linear_fits, spec)
    problems += found
    tables |= made

    fits, found = fit_models(data, spec, "logistic", fit_logistic)
    problems += found
    made, found = coefficient_tables(fits, spec)
    problems += found
    tables |= made
    predictions, found = predict(fits, data, spec)
    problems += found

    if spec.formulas() and (spec.imputations or spec.imputation == "multiple"):
        pooling = spec.imputation == "multiple"
        try:
            fitted: dict[Key, Fit] = {("linear", model): fit for model, fit in linear_fits.items()}
            fitted |= {("logistic", model): fit for model, fit in fits.items()}
            imputed, found = compare_imputations(data, spec, fitted, with_predictions=pooling and bool(fits))
        except NO_ANSWER as error:
            problems.append(Problem.from_error("imputation_comparison", "", error))
        else:
            problems += found
            tables["imputation_comparison"] = imputed.comparison
            if pooling:
                tables["linear_coefficients"] = pooled_linear(imputed.pooled)
                tables["logistic_coefficients"] = pooled_logistic(imputed.pooled)
                predictions = imputed.predictions or predictions
                problems.append(Problem("imputation", "", "W-STAT-POOLED", NOT_POOLED))
                if spec.bootstrap and fits:
                    problems.append(Problem("optimism", "", "W-STAT-POOLED", NO_OPTIMISM))
                    spec = replace(spec, bootstrap=0)

    del linear_fits
    made, found = performance_tables(predictions, fits, spec)
    problems += found
    tables |= made
    made, found = group_tables(_described(data, spec), data.completed, spec)
    problems += found
    tables |= made
    tables["problems"] = problems_table(problems)
    ordered = {name: tables.get(name, stack(name, [])) for name in COLUMNS}
    return ordered | {name: made for name, made in tables.items() if name not in ordered}


def _described(data: AnalysisData, spec: AnalysisSpec) -> pd.DataFrame:
    """The table that Table 1 and the quartiles describe: as observed, or as the original imputed it."""
    return data.completed if spec.imputation == "original" else data.observed
