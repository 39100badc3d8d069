"""The study file's analysis as the statistics take it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.settings import Study

if TYPE_CHECKING:
    import pandas as pd

    from paraspinal_assets.statistics.column_types import ColumnKind
    from paraspinal_assets.statistics.spec import AnalysisSpec

EXPOSURES: Final = ("attenuation", "volume")
_KINDS: Final[dict[str, ColumnKind]] = {
    "number": "number",
    "integer": "number",
    "binary": "binary",
    "category": "category",
    "text": "category",
}


def analysis_spec(study: Study) -> AnalysisSpec:
    """Outcomes, models and options of a study."""
    from paraspinal_assets.statistics.spec import AnalysisSpec

    options = study.analysis
    kinds: dict[str, ColumnKind] = {
        name: _KINDS[column.type]
        for table in study.clinical.tables.values()
        for name, column in table.columns.items()
        if column.type != "date"
    }
    kinds |= dict.fromkeys(("age", "vbmd", *EXPOSURES), "number")
    kinds |= {"fracture": "binary", "manufacturer": "category", "scanner_model": "category"}
    return AnalysisSpec(
        density="vbmd",
        fracture=None if study.clinical.fracture == "none" else "fracture",
        linear_models=study.models.linear,
        fracture_models=study.models.fracture,
        columns=kinds,
        references=options.reference_levels,
        identifier="participant",
        treatment=options.exposure,
        benchmark=options.benchmark,
        sensitivity_model=options.sensitivity_model,
        imputation=options.imputation,
        imputations=options.imputations,
        folds=options.folds,
        bootstrap=options.bootstrap,
        seed=options.seed,
        risk_cuts=options.risk_cuts,
        quartile_measures=EXPOSURES,
        subgroups=options.subgroups,
        subgroup_covariates=options.subgroup_covariates,
    )


def reference_levels(study: Study) -> dict[str, Any]:
    """The part of the study file, where it names any: results of studies that do not stay as they are."""
    named = study.analysis.reference_levels
    return {"reference levels": named} if named else {}


def columns_read(spec: AnalysisSpec) -> list[str]:
    """Columns of the cohort that an analysis computes from: of its models, and what informs their imputation."""
    from paraspinal_assets.statistics.formula import Formula

    models: list[str] = []
    for formula in spec.formulas().values():
        with suppress(StatisticsError):
            parsed = Formula.parse(formula)
            models += [*parsed.columns, parsed.outcome]
    if spec.imputation == "multiple" and models:
        models += spec.imputation_columns
    groups = (spec.treatment, *spec.subgroups, *spec.subgroup_covariates) if spec.subgroups else ()
    outcomes = spec.outcomes if spec.quartile_measures else ()
    return list(dict.fromkeys([*models, *outcomes, *spec.quartile_measures, *groups]))


def problems_of(problems: pd.DataFrame, *analyses: str) -> pd.DataFrame:
    """The rows of a `problems` table that concern these parts of the analysis."""
    return problems[problems["analysis"].isin(analyses)].reset_index(drop=True)


def analysis(people: pd.DataFrame, spec: AnalysisSpec) -> dict[str, pd.DataFrame]:
    """The tables of `analyze`; without anybody to analyse they are empty, and ``problems`` says so.

    A study whose follow-up has only begun has a report all the same, with its flow and its scans.
    """
    from paraspinal_assets.statistics.analysis import analyze
    from paraspinal_assets.statistics.problems import Problem, problems_table
    from paraspinal_assets.statistics.tables import COLUMNS, stack

    if len(people):
        return analyze(people, spec)
    text = "No participant passed every step of the flow (table disposition): there is nothing to analyse."
    tables = {name: stack(name, []) for name in COLUMNS}
    tables |= {f"table_one_{measure}": tables["table_one"] for measure in EXPOSURES[1:]}
    return tables | {"problems": problems_table([Problem("table", "", "E-STAT-ROWS", text)])}


def analysed(database: Database) -> pd.DataFrame:
    """The participants that are analysed, in order of their ids."""
    cohort = database.read("cohort")
    return cohort[cohort["analysed"]].drop(columns=["analysed", "exclusion"]).reset_index(drop=True)
