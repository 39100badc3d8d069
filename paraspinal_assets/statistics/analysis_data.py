"""The table that an analysis works on, typed, checked and imputed, and models fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.column_types import coerce_columns, infer_kind
from paraspinal_assets.statistics.design import Design, build_design
from paraspinal_assets.statistics.formula import Formula
from paraspinal_assets.statistics.imputation import impute_median
from paraspinal_assets.statistics.problems import NO_ANSWER, Problem
from paraspinal_assets.statistics.reference_levels import with_references
from paraspinal_assets.statistics.spec import AnalysisSpec

FitT = TypeVar("FitT")
Kind = Literal["linear", "logistic"]
_SHOULD_BE = {"number": "a number", "binary": "0 or 1"}


@dataclass(frozen=True)
class AnalysisData:
    """Typed and completed tables of one analysis.

    Parameters
    ----------
    observed
        Typed columns, nothing filled in.
    completed
        As `AnalysisSpec.imputation` says; for ``multiple`` with medians, for what is not pooled.
    imputation
        The `imputation` table.
    unreadable
        Columns with text among numbers, and the values.
    folds
        Fold of each row, if they were given.
    """

    observed: pd.DataFrame
    completed: pd.DataFrame
    imputation: pd.DataFrame
    unreadable: Mapping[str, str]
    folds: npt.NDArray[np.generic] | None

    def design(self, formula: str, table: pd.DataFrame | None = None) -> Design:
        """Model matrix on the completed table, or on another with its columns.

        Raises
        ------
        StatisticsError
            ``E-STAT-TYPE`` if the formula uses an unreadable column, else as `design.build_design`.
        """
        parsed = Formula.parse(formula)
        for column in (parsed.outcome, *parsed.columns):
            if column in self.unreadable:
                raise StatisticsError(
                    "E-STAT-TYPE",
                    f"{column!r} has values that are not what it should hold: {self.unreadable[column]}.",
                    "Correct them in the table, or leave them empty.",
                )
        return build_design(self.completed if table is None else table, parsed)


def fit_models(
    data: AnalysisData,
    spec: AnalysisSpec,
    kind: Kind,
    fit: Callable[[Design], FitT],
    table: pd.DataFrame | None = None,
) -> tuple[dict[str, FitT], list[Problem]]:
    """All models of a kind that can be fitted, and why the others cannot; `table` as in `AnalysisData.design`."""
    fits: dict[str, FitT] = {}
    problems: list[Problem] = []
    for (of, model), formula in spec.formulas().items():
        if of != kind:
            continue
        try:
            fits[model] = fit(data.design(formula, table))
        except NO_ANSWER as error:
            problems.append(Problem.from_error(kind, model, error))
    return fits, problems


def prepare(
    table: pd.DataFrame, spec: AnalysisSpec, folds: npt.ArrayLike | None
) -> tuple[AnalysisData, list[Problem]]:
    """Type, check and impute a table.

    Raises
    ------
    StatisticsError
        What leaves nothing to analyse: ``E-STAT-ROWS`` no rows, ``E-STAT-DUPLICATE`` repeated identifiers or
        column names, ``E-STAT-COLUMN`` no outcome at all, ``E-STAT-FOLDS`` folds that do not fit the rows.
    """
    _check_shape(table, spec)
    plain = table.reset_index(drop=True)
    named = dict.fromkeys([*spec.model_columns(), *spec.imputation_columns])
    used = [c for c in named if c in table.columns]
    kinds = {c: spec.columns.get(c) or infer_kind(plain[c]) for c in used}
    typed = coerce_columns(plain, kinds)
    problems = [
        Problem("table", c, "E-STAT-COLUMN", f"The table has no column {c!r}; models with it are left out.")
        for c in spec.model_columns()
        if c not in table.columns
    ]
    problems += [
        Problem("table", c, "E-STAT-TYPE", f"{c!r} should be {_SHOULD_BE[kinds[c]]}: {values}.")
        for c, values in typed.unreadable.items()
    ]
    identifier = spec.find_identifier([str(c) for c in table.columns])
    observed = typed.table.drop(columns=[identifier] if identifier in table.columns else [])
    observed, found = with_references(observed, spec.references)
    problems += found
    problems += [
        Problem("table", c, "E-STAT-EMPTY", f"{c!r} has no value in any row.")
        for c in used
        if c in observed.columns and observed[c].isna().all()
    ]
    mode = "predictors" if spec.imputation == "multiple" else spec.imputation
    completed, imputation = impute_median(observed, mode, outcomes=spec.outcomes)
    given = None if folds is None else _check_folds(folds, len(table))
    return AnalysisData(observed, completed, imputation, typed.unreadable, given), problems


def _check_shape(table: pd.DataFrame, spec: AnalysisSpec) -> None:
    if len(table) == 0:
        raise StatisticsError("E-STAT-ROWS", "The table has no rows.", "Check how it was made.")
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise StatisticsError(
            "E-STAT-DUPLICATE", f"The column {repeated[0]!r} is there twice.", "Rename or remove one of them."
        )
    if not any(outcome in table.columns for outcome in spec.outcomes):
        raise StatisticsError(
            "E-STAT-COLUMN",
            f"The table has none of the outcomes {', '.join(spec.outcomes)}; it has "
            f"{', '.join(map(str, table.columns))}.",
            "Name the outcome columns of this table, or use the preset that it was made for.",
        )
    identifier = spec.find_identifier([str(c) for c in table.columns])
    if identifier is not None and identifier in table.columns:
        twice = table.loc[table[identifier].duplicated() & table[identifier].notna(), identifier].unique()
        if len(twice):
            shown = ", ".join(map(str, twice[:5])) + (", ..." if len(twice) > 5 else "")
            raise StatisticsError(
                "E-STAT-DUPLICATE",
                f"{len(twice)} values of {identifier!r} are there more than once: {shown}. Rows must be "
                "participants, each once, or standard errors and tests are wrong.",
                "Keep one row per participant.",
            )


def _check_folds(folds: npt.ArrayLike, n: int) -> npt.NDArray[np.generic]:
    labels = np.asarray(folds)
    if labels.shape != (n,):
        raise StatisticsError(
            "E-STAT-FOLDS",
            f"{labels.size} folds were given for {n} rows.",
            "Give one fold per row, in order.",
        )
    if pd.isna(labels).any() or len(np.unique(labels)) < 2:
        raise StatisticsError(
            "E-STAT-FOLDS", "The folds have missing values, or there is only one.", "Give 2 folds or more."
        )
    return labels
