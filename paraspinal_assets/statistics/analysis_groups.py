"""The descriptive part of an analysis: quartiles, Table 1, dose-response and subgroups."""

from __future__ import annotations

import pandas as pd

from paraspinal_assets.statistics.dose_response import dose_response
from paraspinal_assets.statistics.problems import NO_ANSWER, Problem
from paraspinal_assets.statistics.quartiles import low_quartile, quartiles_table
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.statistics.subgroups import Family, subgroup_effects
from paraspinal_assets.statistics.table_one import table_one
from paraspinal_assets.statistics.tables import stack

Tables = dict[str, pd.DataFrame]


def group_tables(
    described: pd.DataFrame, completed: pd.DataFrame, spec: AnalysisSpec
) -> tuple[Tables, list[Problem]]:
    """Quartiles and Table 1 of the described table; dose-response and subgroups of the completed one."""
    problems: list[Problem] = []
    measures = [m for m in spec.quartile_measures if m in described.columns]
    problems += [
        Problem("quartiles", m, "E-STAT-COLUMN", f"The table has no readable column {m!r}.")
        for m in spec.quartile_measures
        if m not in described.columns
    ]
    tables: Tables = {}
    part, found = quartiles_table(described, measures)
    problems += found
    tables["quartiles"] = stack("quartiles", [part])
    for place, measure in enumerate(measures):
        name = f"table_one_{measure}" if place else "table_one"
        tables[name], of_table_one = _table_one(described, measure, spec)
        problems += of_table_one
    if spec.subgroups:
        names = dict.fromkeys([spec.treatment, *spec.subgroups, *spec.subgroup_covariates])
        problems += [
            Problem("subgroups", name, "E-STAT-COLUMN", f"The table has no value of {name!r}: left out.")
            for name in names
            if not _has_values(completed, name)
        ]
    doses, of_doses = _dose_response(completed, measures, spec)
    groups, of_groups = _subgroups(completed, spec)
    return tables | doses | groups, [*problems, *of_doses, *of_groups]


def _table_one(table: pd.DataFrame, measure: str, spec: AnalysisSpec) -> tuple[pd.DataFrame, list[Problem]]:
    variables = spec.table_one_variables or [c for c in spec.model_columns() if c in table.columns]
    binary = [c for c, kind in spec.columns.items() if kind == "binary"]
    try:
        made, found = table_one(table, low_quartile(table[measure]), variables, categorical=binary)
    except NO_ANSWER as error:
        return stack("table_one", []), [Problem.from_error("table_one", measure, error)]
    return made, list(found)


def _covariates(table: pd.DataFrame, spec: AnalysisSpec) -> list[str]:
    return [c for c in spec.subgroup_covariates if _has_values(table, c)]


def _has_values(table: pd.DataFrame, column: str) -> bool:
    """Whether the table has a value in that column."""
    return column in table.columns and bool(table[column].notna().any())


def _dose_response(
    table: pd.DataFrame, measures: list[str], spec: AnalysisSpec
) -> tuple[Tables, list[Problem]]:
    groups, tests, problems = [], [], []
    covariates = _covariates(table, spec)
    for measure in measures:
        for outcome in (o for o in spec.outcomes if _has_values(table, o)):
            try:
                found = dose_response(table, measure, outcome, covariates=covariates)
            except NO_ANSWER as error:
                problems.append(Problem.from_error("dose_response", f"{measure} on {outcome}", error))
                continue
            groups.append(found.groups)
            tests.append(found.tests)
            problems += found.problems
    tables = {"dose_response": stack("dose_response", groups)}
    return tables | {"dose_response_tests": stack("dose_response_tests", tests)}, problems


def _subgroups(table: pd.DataFrame, spec: AnalysisSpec) -> tuple[Tables, list[Problem]]:
    effects, interactions, problems = [], [], []
    covariates = _covariates(table, spec)
    families: list[tuple[str | None, Family]] = [(spec.density, "linear"), (spec.fracture, "logistic")]
    for outcome, family in families:
        if outcome is None or not _has_values(table, outcome) or not _has_values(table, spec.treatment):
            continue
        present = [s for s in spec.subgroups if _has_values(table, s)]
        try:
            found = subgroup_effects(table, outcome, spec.treatment, covariates, present, family=family)
        except NO_ANSWER as error:
            problems.append(Problem.from_error("subgroups", outcome, error))
            continue
        effects.append(found.effects)
        interactions.append(found.interactions)
        problems += found.problems
    tables = {"subgroup_effects": stack("subgroup_effects", effects)}
    return tables | {"subgroup_interactions": stack("subgroup_interactions", interactions)}, problems
