"""The tables of an analysis: their names, which are also their file stems, and their columns in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from paraspinal_assets.statistics import (
    auc_tables,
    calibration,
    decision,
    diagnostics,
    dose_response,
    imputation,
    linear,
    logistic,
    problems,
    quartiles,
    reclassification,
    sensitivity,
    subgroups,
    table_one,
    thresholds,
)

COMPARISON_COLUMNS: Final = ("model_a", "model_b", "nested", "df_difference", "ss_difference", "f", "p")
PREDICTION_COLUMNS: Final = ("row", "fold", "model", "apparent", "out_of_fold")
METHOD_COLUMNS: Final = (
    *("analysis", "model", "term", "method", "n", "estimate", "std_error", "df", "statistic", "p"),
    *("ci_low", "ci_high", "fraction_missing"),
)
OPTIMISM_COLUMNS: Final = ("model", "optimism", "monte_carlo_error", "replicates", "failed")
TERM_TEST_COLUMNS: Final = ("model", "test", "term", "df", "sum_of_squares", "f", "p")

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "imputation": imputation.IMPUTATION_COLUMNS,
    "linear_coefficients": ("model", *linear.COEFFICIENT_COLUMNS),
    "linear_fit": ("model", *linear.FIT_COLUMNS),
    "linear_comparison": COMPARISON_COLUMNS,
    "linear_terms": TERM_TEST_COLUMNS,
    "sensitivity": sensitivity.SENSITIVITY_COLUMNS,
    "sensitivity_bounds": sensitivity.BOUND_COLUMNS,
    "diagnostics": ("model", *diagnostics.ROW_COLUMNS, *diagnostics.TERM_COLUMNS),
    "logistic_coefficients": ("model", *logistic.COEFFICIENT_COLUMNS),
    "predictions": PREDICTION_COLUMNS,
    "auc": auc_tables.AUC_COLUMNS,
    "optimism": OPTIMISM_COLUMNS,
    "auc_comparison": auc_tables.COMPARISON_COLUMNS,
    "partial_auc": auc_tables.PARTIAL_COLUMNS,
    "thresholds": thresholds.COLUMNS,
    "reclassification": reclassification.COLUMNS,
    "calibration": calibration.COLUMNS,
    "decision_curve": decision.COLUMNS,
    "roc_curve": ("model", "estimate", "threshold", "sensitivity", "specificity"),
    "roc_band": ("model", "estimate", "specificity", "sensitivity", "ci_low", "ci_high"),
    "quartiles": quartiles.COLUMNS,
    "table_one": table_one.COLUMNS,
    "dose_response": dose_response.GROUP_COLUMNS,
    "dose_response_tests": dose_response.TEST_COLUMNS,
    "subgroup_effects": subgroups.EFFECT_COLUMNS,
    "subgroup_interactions": subgroups.INTERACTION_COLUMNS,
    "imputation_comparison": METHOD_COLUMNS,
    "problems": problems.PROBLEM_COLUMNS,
}
"""Columns of every table. Table 1 comes once more, as ``table_one_<measure>``, for each further measure."""


def stack(name: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Parts of a table under one another, with exactly its columns; an empty table if there are none."""
    columns = list(COLUMNS[name])
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=columns)
    return pd.concat(filled, ignore_index=True).reindex(columns=columns)
