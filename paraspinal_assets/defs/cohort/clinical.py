"""Clinical tables become rows of participants, checked cell by cell, and new fractures by follow-up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from paraspinal_assets.defs.observe import clinical_version
from paraspinal_assets.defs.table_asset import Check, TableContext, Tables, table_asset
from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.schema import Column, TableSchema, schemas
from paraspinal_assets.study.settings import Study

if TYPE_CHECKING:
    import pandas as pd

    from paraspinal_assets.study.clinical import ClinicalData


def _roles(study: Study) -> dict[str, str]:
    return {name: exam.role for name, exam in study.exams.items()}


@table_asset(
    group="cohort",
    inputs=["clinical_files"],
    code_version="2",
    kinds={"csv", "duckdb"},
    settings=lambda study: {"clinical tables": study.clinical.tables, "exams": _roles(study)},
    checks={"one_row_per_participant": "No participant is in the clinical table twice."},
)
def clinical(context: TableContext) -> Tables:
    """The clinical tables, every cell checked against the study file; dates have become intervals."""
    from paraspinal_assets.study.clinical import read_clinical

    study = context.workspace.study
    data = read_clinical(study, context.workspace.root)
    looked_at = context.index.records("clinical_files").get(None)
    if looked_at is not None and looked_at.data_version != clinical_version(context.workspace):
        # What was read would be recorded as made from the earlier files, and count as fresh if those come back.
        raise MachineError(
            "E-STUDY-16",
            "a clinical table changed since it was last looked at",
            "run again: `paraspinal run` looks first, `paraspinal status` before a run in the Dagster UI",
        )
    doubled = int(data.participants.duplicated("participant").sum())
    return Tables(
        {"clinical": data.participants, "exams": data.exams},
        schemas={
            "clinical": clinical_schema(study, data),
            "exams": schemas()["exams"].with_columns(
                clinical_columns(study, data.exams, ("participant", "exam"))
            ),
        },
        checks=[Check("one_row_per_participant", doubled == 0, f"{doubled} participants are there twice")],
        metadata={"participants": len(data.participants)},
    )


def clinical_schema(study: Study, data: ClinicalData) -> TableSchema:
    """The clinical table's columns, documented from the study file."""
    return schemas()["clinical"].with_columns(clinical_columns(study, data.participants, ("participant",)))


def clinical_columns(study: Study, frame: pd.DataFrame, known: tuple[str, ...]) -> list[Column]:
    """Columns of a table beside the known ones, documented from the study file."""
    described = {
        name: Column(
            name, _COLUMN_TYPES[column.type], column.unit or "", column.meaning or name.replace("_", " ")
        )
        for table in study.clinical.tables.values()
        for name, column in table.columns.items()
        if column.type != "date"
    }
    described["age"] = described.get("age") or Column("age", "number", "years", "Age at baseline")
    described["years_from_baseline"] = Column(
        "years_from_baseline", "number", "years", "From the baseline exam"
    )
    described["manufacturer"] = described.get("manufacturer") or Column(
        "manufacturer", "text", "", "Scanner manufacturer"
    )
    described["scanner_model"] = described.get("scanner_model") or Column(
        "scanner_model", "text", "", "Scanner model"
    )
    return [described[name] for name in frame.columns if name not in known]


_COLUMN_TYPES = {
    "number": "number",
    "integer": "integer",
    "binary": "integer",
    "category": "text",
    "text": "text",
}


@table_asset(
    group="cohort",
    inputs=["clinical", "deformity", "scans"],
    code_version="2",
    kinds={"duckdb"},
    settings=lambda study: {"fracture": study.clinical.fracture, "exams": _roles(study)},
)
def outcomes(context: TableContext) -> Tables:
    """New vertebral fracture by follow-up: from the clinical tables, or from incident deformity on CT."""
    import pandas as pd

    from paraspinal_assets.study.outcomes import incident_fractures

    study, database = context.workspace.study, context.workspace.database
    source = study.clinical.fracture
    people = database.read("clinical")[["participant"]]
    made_from: dict[str, list[str]] = {}
    compared = pd.Series(dtype="Int64")
    if source == "column":
        exams, clinical_table = database.read("exams"), database.read("clinical")
        by_exam = "fracture" in exams
        rows = exams[exams["exam"] == study.follow_up] if by_exam else clinical_table
        fracture = rows.set_index("participant")["fracture"]
        made_from["fracture"] = ["exams.fracture" if by_exam else "clinical.fracture"]
    elif source == "deformity" and study.follow_up is not None:
        found = incident_fractures(
            database.read("deformity"), database.read("scans"), study.baseline, study.follow_up
        )
        fracture, compared = found["fracture"], found["levels_compared"]
        grades = ["deformity.genant_grade", "scans.status"]
        made_from = {"fracture": grades, "levels_compared": grades}
    else:
        fracture = pd.Series(dtype="Int64")
    frame = people.assign(
        fracture=people["participant"].map(fracture).astype("Int64"),
        fracture_source=source,
        levels_compared=people["participant"].map(compared).astype("Int64"),
    )
    schema = replace(schemas()["outcomes"], made_from={"participant": ["clinical.participant"], **made_from})
    return Tables(
        {"outcomes": frame},
        {"outcomes": schema},
        metadata={
            "fractures": int(frame["fracture"].sum()),
            "unknown for too few levels": int(
                (frame["levels_compared"].notna() & frame["fracture"].isna()).sum()
            ),
        },
    )
