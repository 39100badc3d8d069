"""Scans and clinical rows become one row per participant."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from paraspinal_assets.defs.analysis.spec import (
    EXPOSURES,
    analysed,
    analysis,
    analysis_spec,
    problems_of,
    reference_levels,
)
from paraspinal_assets.defs.cohort.checks import cohort_checks
from paraspinal_assets.defs.cohort.clinical import clinical, clinical_columns, outcomes
from paraspinal_assets.defs.event_index import Record
from paraspinal_assets.defs.ingest.checks import only_allowed_headers
from paraspinal_assets.defs.table_asset import Check, TableContext, Tables, table_asset
from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.imaging.labels import UNION
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.schema import schemas

if TYPE_CHECKING:
    import pandas as pd

    from paraspinal_assets.statistics.spec import AnalysisSpec
    from paraspinal_assets.study.scan_records import StepStanding


SCANS_VERSION: Final = "5"


@table_asset(
    group="cohort",
    inputs=["ct_nifti", "segmentation", "quality", "paraspinal_levels", "scan_muscle", "scan_bone"],
    code_version=SCANS_VERSION,
    kinds={"duckdb"},
    checks={
        "every_scan_once": "No scan is in the table twice, none is missing.",
        "only_allowed_headers": "Sidecars have allow-listed keys alone, NIfTI headers geometry and scaling.",
    },
)
def scans(context: TableContext) -> Tables:
    """Every scan that was found: measured, rejected, not measurable or failed, and why."""
    from paraspinal_assets.study import collector

    with collector.held_back():
        table, verdicts, headers = _scan_tables(context)
    complete = len(table) == len(context.scans) and not table.duplicated(["exam", "participant"]).any()
    counts = (table["exam"] + " " + table["status"]).value_counts().sort_index()
    return Tables(
        {"scans": table, "quality": verdicts},
        checks=[
            Check("every_scan_once", bool(complete), f"{len(table)} rows for {len(context.scans)} scans"),
            headers,
        ],
        metadata={str(status): int(n) for status, n in counts.items()},
    )


def _scan_tables(context: TableContext) -> tuple[pd.DataFrame, pd.DataFrame, Check]:
    """The tables `scans` and `quality`, and whether headers have only what is allowed."""
    from paraspinal_assets.study.scan_records import scan_records
    from paraspinal_assets.study.scan_table import quality_table, reject_shifted, scan_table

    workspace, standings = context.workspace, _standings(context)
    records = scan_records(workspace.database, workspace.store, standings, SCANS_VERSION)
    verdicts = reject_shifted(quality_table(records), records)
    return scan_table(records, standings, verdicts), verdicts, only_allowed_headers(records)


def _standings(context: TableContext) -> dict[Scan, dict[str, StepStanding]]:
    """How each step of each scan stands, by exam and participant."""
    from paraspinal_assets.segmenters.base import failure_reason
    from paraspinal_assets.study.scan_records import StepStanding
    from paraspinal_assets.study.scan_table import STEPS

    def standing(step: str, record: Record | None) -> StepStanding:
        if record is None:
            return not_there
        if record.failure is not None:
            message = record.failure.message.splitlines()[0]
            reason = failure_reason(record.failure.code) if step == "segmentation" else None
            return StepStanding(False, message, f"event-{record.storage_id}", reason)
        return StepStanding(True, None, record.data_version or "")

    not_there = StepStanding(done=False)
    known = {step: context.records(step) for step in STEPS}
    scans = {Scan.from_key(key): key for key in context.scans}
    return {
        scan: {step: standing(step, known[step].get(scans[scan])) for step in STEPS}
        for scan in sorted(scans, key=attrgetter("exam", "participant"))
    }


@table_asset(
    group="cohort",
    inputs=["scans", "muscle_metrics", "bone_metrics", "clinical", "outcomes"],
    code_version="3",
    kinds={"duckdb", "svg"},
    settings=lambda study: {
        "exams": {name: exam.role for name, exam in study.exams.items()},
        "vbmd": study.clinical.vbmd,
        "clinical tables": study.clinical.tables,
    },
    checks={
        "one_row_per_participant": "No participant is in the cohort twice.",
    },
    warnings={
        "somebody_is_analysed": "At least one participant passed every step.",
        "measured_values_are_plausible": "Attenuation, volume and vBMD of the analysed lie in the human range.",
    },
)
def cohort(context: TableContext) -> Tables:
    """One row per participant: exposures at baseline, outcomes at follow-up, covariates, and the flow of exclusions."""
    from paraspinal_assets.report.flow import flow_diagram
    from paraspinal_assets.study.cohort import build_cohort, columns_made_from

    study, database = context.workspace.study, context.workspace.database
    clinical_table, exams = database.read("clinical"), database.read("exams")
    built = build_cohort(
        study,
        scans=database.read("scans"),
        muscle=database.query(
            "SELECT exam, participant, level, side, median_hu, volume_mm3 FROM muscle_metrics WHERE level = ?",
            [UNION],
        ),
        bone=database.query("SELECT exam, participant, region, vbmd_mg_cm3 FROM bone_metrics"),
        clinical=clinical_table,
        exams=exams,
        outcomes=database.read("outcomes"),
    )
    people = built.participants
    known = [column.name for column in schemas()["cohort"].columns]
    schema = replace(
        schemas()["cohort"].with_columns(clinical_columns(study, people, tuple(known))),
        made_from=columns_made_from(study, people, clinical=clinical_table, exams=exams),
    )
    diagram = flow_diagram(built.disposition).svg()
    return Tables(
        {"cohort": people, "disposition": built.disposition},
        schemas={"cohort": schema},
        checks=cohort_checks(people),
        metadata={
            "participants": len(people),
            "analysed": int(people["analysed"].sum()),
            "flow": dg.MetadataValue.md(inline_svg(diagram)),
        },
    )


def inline_svg(svg: str) -> str:
    """A Markdown picture that needs no file."""
    return f"![flow of participants](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


@table_asset(
    group="cohort",
    inputs=["cohort"],
    code_version="2",
    kinds={"duckdb"},
)
def quartile_cohort(context: TableContext) -> Tables:
    """Each analysed participant's quartile of attenuation and of volume; the lowest is <= Q1."""
    import pandas as pd

    from paraspinal_assets.statistics.quartiles import low_quartile, quartile_number

    def attempt(group: Callable[[pd.Series[Any]], pd.Series[Any]], name: str, dtype: str) -> pd.Series[Any]:
        try:
            return group(people[name])
        except StatisticsError:  # quartile_problems says why
            return pd.Series(pd.NA, index=people.index, dtype=dtype)

    people = analysed(context.workspace.database)
    frames = [
        pd.DataFrame(
            {
                "participant": people["participant"],
                "measure": measure,
                "value": people[measure],
                "quartile": attempt(quartile_number, measure, "Int64"),
                "lowest": attempt(low_quartile, measure, "boolean"),
            }
        )
        for measure in EXPOSURES
    ]
    made = analysis(people, _descriptive(context))
    tables = {
        "quartile_cohort": pd.concat(frames, ignore_index=True),
        "quartiles": made["quartiles"],
        "quartile_problems": problems_of(made["problems"], "quartiles"),
    }
    return _from_cohort(tables, EXPOSURES)


@table_asset(
    group="cohort",
    inputs=["cohort"],
    code_version="3",
    kinds={"python", "duckdb"},
    settings=lambda study: {
        **reference_levels(study),
        "models": study.models,
        "imputation": study.analysis.imputation,
        "fracture": study.clinical.fracture,
    },
)
def table_one(context: TableContext) -> Tables:
    """Characteristics of the lowest quartile against the others, by attenuation and by volume, with tests and SMDs."""
    people, spec = analysed(context.workspace.database), analysis_spec(context.workspace.study)
    variables = [name for name in (*spec.model_columns(), *EXPOSURES) if name in people.columns]
    made = analysis(
        people, replace(_descriptive(context), table_one_variables=tuple(dict.fromkeys(variables)))
    )
    tables = {name: made[name] for name in ("table_one", "table_one_volume")}
    tables["table_one_problems"] = problems_of(made["problems"], "table_one")
    return _from_cohort(tables, variables)


def _from_cohort(tables: Mapping[str, pd.DataFrame], columns: Sequence[str]) -> Tables:
    sources = [f"cohort.{name}" for name in columns]
    return Tables(tables, {name: schemas()[name].computed_from(sources) for name in tables})


def _descriptive(context: TableContext) -> AnalysisSpec:
    """The analysis without its models."""
    return replace(
        analysis_spec(context.workspace.study),
        linear_models={},
        fracture_models={},
        bootstrap=0,
        subgroups=(),
        table_one_variables=("vbmd",),
    )


assets = [scans, clinical, outcomes, cohort, quartile_cohort, table_one]
