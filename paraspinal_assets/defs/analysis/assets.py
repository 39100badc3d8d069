"""The study's statistics: each asset runs its part of one analysis on the cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from paraspinal_assets.defs.analysis.spec import (
    analysed,
    analysis,
    analysis_spec,
    columns_read,
    problems_of,
    reference_levels,
)
from paraspinal_assets.defs.table_asset import TableContext, Tables, table_asset
from paraspinal_assets.defs.table_metadata import preview
from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.settings import Study

if TYPE_CHECKING:
    import pandas as pd

# The outcomes stay: they are imputed in no part of the analysis, not even where one of them is a predictor.
NO_LINEAR: Mapping[str, Any] = {"linear_models": {}}
NO_FRACTURE: Mapping[str, Any] = {"fracture_models": {}, "bootstrap": 0}
NO_GROUPS: Mapping[str, Any] = {"quartile_measures": (), "subgroups": ()}
OF_CHANGE: Final = ("longitudinal", "longitudinal_change", "longitudinal_models", "longitudinal_problems")


def _tables(context: TableContext, names: Mapping[str, str], **changes: Any) -> Tables:
    """Some tables of the analysis of the cohort, under the names that they have in the database."""
    import pandas as pd

    people = analysed(context.workspace.database)
    whole = analysis_spec(context.workspace.study)
    spec = replace(whole, **changes, imputation_columns=whole.model_columns())
    made = analysis(people, spec)
    tables = {name: made[source] for name, source in names.items()}
    for name in {"diagnostics", "predictions"} & set(tables):
        rows = tables[name]["row"].map(
            pd.Series(people["participant"].to_numpy(), index=range(1, len(people) + 1))
        )
        tables[name] = tables[name].assign(participant=rows.astype("string"))
    read = [f"cohort.{column}" for column in columns_read(spec) if column in people.columns]
    return Tables(tables, schemas={name: schemas()[name].computed_from(read) for name in tables})


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _imputation(study: Study) -> list[Any]:
    options = study.analysis
    # The columns of every model and the outcomes inform multiple imputation, whatever is fitted on the copies.
    informing = [study.models, study.clinical.fracture] if options.imputation == "multiple" else []
    return [options.imputation, options.imputations, options.seed, *informing]


def _sensitivity(study: Study) -> list[Any]:
    return [study.analysis.exposure, study.analysis.benchmark, study.analysis.sensitivity_model]


@table_asset(
    group="analysis",
    inputs=["cohort"],
    code_version="5",
    kinds={"statsmodels", "duckdb"},
    settings=lambda study: {
        **reference_levels(study),
        "linear models": study.models.linear,
        "imputation": _imputation(study),
        "sensitivity": _sensitivity(study),  # its problems are in regression_problems
    },
)
def regression(context: TableContext) -> Tables:
    """Linear models of vBMD at follow-up on baseline muscle and covariates: coefficients, fit and diagnostics."""
    names = _same("linear_coefficients", "linear_fit", "linear_terms", "diagnostics", "imputation")
    made = _tables(
        context,
        names | {"regression_problems": "problems"},
        **NO_FRACTURE,
        **NO_GROUPS,
        imputations=_copies(context),
    )
    fit = made.frames["linear_fit"][["model", "n", "adj_r2", "aic", "bic"]]
    return replace(made, metadata={"fit": dg.MetadataValue.md(preview(fit))})


def _copies(context: TableContext) -> int:
    """Imputed copies, only where the analysis is made on them; `model_comparison` shows them otherwise."""
    options = context.workspace.study.analysis
    return options.imputations if options.imputation == "multiple" else 0


@table_asset(
    group="analysis",
    inputs=["cohort"],
    code_version="4",
    kinds={"statsmodels", "duckdb"},
    settings=lambda study: {
        **reference_levels(study),
        "models": study.models,
        "imputation": _imputation(study),
        "fracture": study.clinical.fracture,
    },
)
def model_comparison(context: TableContext) -> Tables:
    """Nested linear models compared by F tests, and all models under each treatment of missing values."""
    return _tables(context, _same("linear_comparison", "imputation_comparison"), bootstrap=0, **NO_GROUPS)


@table_asset(
    group="analysis",
    inputs=["cohort"],
    code_version="2",
    kinds={"python", "duckdb"},
    settings=lambda study: {
        **reference_levels(study),
        "linear models": study.models.linear,
        "imputation": _imputation(study),
        "sensitivity": _sensitivity(study),
    },
)
def sensitivity(context: TableContext) -> Tables:
    """How strong an unmeasured confounder would have to be to explain the effect of muscle away."""
    names = _same("sensitivity", "sensitivity_bounds")
    return _tables(context, names, **NO_FRACTURE, **NO_GROUPS, imputations=_copies(context))


def _folds(study: Study) -> list[Any]:
    return [study.analysis.folds, study.analysis.seed]


@table_asset(
    group="analysis",
    inputs=["cohort"],
    code_version="6",
    kinds={"statsmodels", "duckdb"},
    settings=lambda study: {
        **reference_levels(study),
        "fracture models": study.models.fracture,
        "fracture": study.clinical.fracture,
        "imputation": _imputation(study),
        "folds": _folds(study),
    },
)
def fracture_models(context: TableContext) -> Tables:
    """Logistic models of new vertebral fracture: coefficients, apparent and out-of-fold risks."""
    names = _same("logistic_coefficients", "predictions")
    return _tables(context, names, **{**NO_LINEAR, "bootstrap": 0}, **NO_GROUPS, imputations=_copies(context))


@table_asset(
    group="analysis",
    inputs=["cohort"],
    code_version="6",
    kinds={"scikitlearn", "duckdb"},
    settings=lambda study: {
        **reference_levels(study),
        "fracture models": study.models.fracture,
        "fracture": study.clinical.fracture,
        "imputation": _imputation(study),
        "folds": _folds(study),
        "bootstrap": study.analysis.bootstrap,
        "risk classes": study.analysis.risk_cuts,
    },
)
def auc(context: TableContext) -> Tables:
    """How well the models tell who will fracture: AUC with DeLong tests, thresholds, calibration, decision curves."""
    names = _same(
        *(
            "auc",
            "optimism",
            "auc_comparison",
            "partial_auc",
            "thresholds",
            "reclassification",
            "calibration",
        ),
        *("decision_curve", "roc_curve", "roc_band"),
    )
    return _tables(
        context,
        names | {"fracture_problems": "problems"},
        **NO_LINEAR,
        **NO_GROUPS,
        imputations=_copies(context),
    )


@table_asset(
    group="analysis",
    inputs=["cohort", "muscle_metrics", "bone_metrics", "scans"],
    code_version="4",
    kinds={"python", "duckdb"},
    settings=lambda study: {
        "exams": {name: exam.role for name, exam in study.exams.items()},
        "covariates": study.analysis.subgroup_covariates,
    },
)
def longitudinal(context: TableContext) -> Tables:
    """Change per year of attenuation, volume and vBMD between the exams; none across different model versions."""
    from paraspinal_assets.errors import StatisticsError
    from paraspinal_assets.statistics.longitudinal import (
        annual_change,
        change_models,
        change_summary,
        no_change,
    )
    from paraspinal_assets.statistics.problems import Problem, problems_table
    from paraspinal_assets.study.cohort import measures_at

    study, database = context.workspace.study, context.workspace.database
    measures = ("attenuation", "volume", "vbmd")
    people = analysed(database)
    if study.follow_up is None:
        return Tables(absent=OF_CHANGE, metadata={"reason": "the study has no follow-up exam"})
    muscle, bone, found = (
        database.read("muscle_metrics"),
        database.read("bone_metrics"),
        database.read("scans"),
    )

    def at(exam: str) -> pd.DataFrame:
        frame = measures_at(exam, scans=found, muscle=muscle, bone=bone)
        versions = found[found["exam"] == exam].set_index("participant")["segmenter"]
        years = people.set_index("participant")["years"]
        # Reindexed, since a frame without rows takes on the index of what it is assigned.
        frame = frame.assign(
            segmentation_version=versions.reindex(frame.index), years=years.reindex(frame.index)
        )
        # Rows of a measurement table are in the order in which scans came.
        return frame[frame.index.isin(people["participant"])].sort_index().reset_index()

    covariates = [name for name in study.analysis.subgroup_covariates if name in people.columns]
    problems: tuple[Problem, ...] = ()
    try:
        change = annual_change(at(study.baseline), at(study.follow_up), measures)
    except StatisticsError as error:  # no pair of scans: the rest of the study has its report all the same
        change, problems = no_change(), (Problem.from_error("longitudinal", "", error),)
    models, of_models = change_models(change, people, covariates)
    made = (change_summary(change), change, models, problems_table([*problems, *of_models]))
    tables = dict(zip(OF_CHANGE, made, strict=True))
    of_exposure = schemas()["cohort"].made_from
    read = [source for measure in measures for source in of_exposure[measure]]
    read += ["cohort.years", "scans.segmenter", "scans.status"]
    adjusted = [*read, *(f"cohort.{name}" for name in covariates)]
    by_models = ("longitudinal_models", "longitudinal_problems")
    return Tables(
        tables,
        {name: schemas()[name].computed_from(adjusted if name in by_models else read) for name in tables},
    )


@table_asset(
    group="analysis",
    inputs=["cohort"],
    code_version="5",
    kinds={"statsmodels", "duckdb"},
    settings=lambda study: {
        **reference_levels(study),
        "imputation": _imputation(study),
        "subgroups": [study.analysis.exposure, study.analysis.subgroups, study.analysis.subgroup_covariates],
        "fracture": study.clinical.fracture,
    },
)
def subgroups(context: TableContext) -> Tables:
    """The effect of muscle within sex, race/ethnicity, site and scanner, with interaction tests and FDR."""
    names = _same("subgroup_effects", "subgroup_interactions", "dose_response", "dose_response_tests")
    changes: dict[str, Any] = {"linear_models": {}, "fracture_models": {}, "bootstrap": 0}
    made = _tables(context, names | {"subgroup_problems": "problems"}, **changes)
    own = problems_of(made.frames["subgroup_problems"], "subgroups", "dose_response")
    return replace(made, frames={**made.frames, "subgroup_problems": own})


assets = [regression, model_comparison, sensitivity, fracture_models, auc, longitudinal, subgroups]
