"""Single imputation by the median, and what it replaced.

``predictors`` is the default: outcomes stay observed. ``original`` repeats the study's script, where
``mlr::impute`` filled every numeric column, the outcomes included; text columns stay missing in both.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import pandas as pd

from paraspinal_assets.statistics.factors import is_numeric

ImputationMode = Literal["predictors", "original", "multiple", "none"]

IMPUTATION_COLUMNS = ("column", "n_missing", "median")


def impute_median(
    table: pd.DataFrame, mode: ImputationMode = "predictors", *, outcomes: Collection[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fill numeric columns with their medians.

    Parameters
    ----------
    table
        One row per participant.
    mode
        ``predictors`` fills all numeric columns but `outcomes`; ``original`` fills these too; ``multiple``
        and ``none`` fill nothing here (see `multiple_imputation` for the former).
    outcomes
        Columns that ``predictors`` leaves observed.

    Returns
    -------
    tuple
        The filled table, and one row per column with `IMPUTATION_COLUMNS`: how many values are missing, and
        the column's median (empty for text and for all-missing columns) whether or not it was filled in.
    """
    filled = table.copy()
    rows: list[dict[str, object]] = []
    for column in table.columns:
        values = table[column]
        n_missing = int(values.isna().sum())
        median = float(values.median()) if is_numeric(values) and n_missing < len(values) else float("nan")
        rows.append({"column": column, "n_missing": n_missing, "median": median})
        wanted = mode == "original" or (mode == "predictors" and column not in outcomes)
        if wanted and n_missing and pd.notna(median):
            filled[column] = values.astype(float).fillna(median)
    return filled, pd.DataFrame(rows, columns=list(IMPUTATION_COLUMNS))
