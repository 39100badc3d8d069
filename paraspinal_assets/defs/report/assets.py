"""What people read: the study report, the exported tables, and where every number came from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from paraspinal_assets import __version__
from paraspinal_assets.defs.report.contact_sheets import contact_sheets, overviews
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.table_asset import TableContext, Tables, table_asset
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.store import json_digest
from paraspinal_assets.study.study_file import settings_digest

if TYPE_CHECKING:
    import pandas as pd

REPORTED: Final = (
    *(
        "cohort",
        "quartile_cohort",
        "table_one",
        "regression",
        "model_comparison",
        "sensitivity",
        "fracture_models",
    ),
    *("auc", "longitudinal", "subgroups", "reader_agreement", "scans", "muscle_metrics", "bone_metrics"),
)
EVERYTHING: Final = (*REPORTED, "radiomics", "deformity", "clinical", "outcomes")
NOT_REPORTED: Final = ("radiomics", "deformity", "clinical", "exams", "outcomes", "provenance")
"""Tables that the report neither shows nor waits for; the first and the last are large."""
NOT_TRACED: Final = ("provenance", "contact_sheets", "study_report", "exports")
"""Assets that are made of tables and pictures and hold no number of their own."""
PACKAGES: Final = (
    "dagster",
    "TotalSegmentator",
    "nnunetv2",
    "nibabel",
    "pydicom",
    "duckdb",
    "statsmodels",
    "scikit-learn",
)


@table_asset(
    group="report",
    inputs=list(EVERYTHING),
    code_version="2",
    kinds={"duckdb"},
)
def provenance(context: TableContext) -> Tables:
    """What every artifact and table was built from, by which run and when."""
    from paraspinal_assets.defs.provenance_table import provenance_table

    names = [rule.name for rule in asset_rules().values() if rule.name not in NOT_TRACED]
    table = provenance_table(context.index, names, context.scans)
    stable = table.drop(columns=["run_id", "built_at"])
    return Tables({"provenance": table}, data_version=json_digest(stable.to_dict("records")))


@table_asset(
    group="report",
    inputs=[*REPORTED, "contact_sheets"],
    code_version="7",
    kinds={"html", "svg"},
    settings=lambda study: {
        "study": [study.name, study.synthetic],
        "imputation": study.analysis.imputation,
        "clinical tables": study.clinical.tables,
        "models": study.models,
        "adjusted for": study.analysis.subgroup_covariates,
    },
)
def study_report(context: TableContext) -> Tables:
    """The study in one self-contained HTML page: flow, Table 1, models, discrimination, quality, methods."""
    from paraspinal_assets.report.figure_files import figure_files
    from paraspinal_assets.report.study_report import study_report as report_page
    from paraspinal_assets.study.export import by_scan

    store, tables = context.workspace.store, context.workspace.database.read_all(without=NOT_REPORTED)
    for name in ("muscle_metrics", "bone_metrics"):  # sums depend on the order of rows in their last digit
        tables[name] = by_scan(tables[name])
    info = report_info(context, tables)
    report = report_page(tables, info)
    path = store.write_bytes(store.report_folder / "report.html", report.html.encode())
    figures = [
        store.write_bytes(store.figures_folder / name, content)
        for name, content in figure_files(report.figures)
    ]
    store.remove_others(store.figures_folder, figures)
    store.publish(path)
    store.publish(store.figures_folder)
    shown = {item["label"]: f"{item['value']:.3g} {item['unit']}".strip() for item in info["headline"]}
    return Tables(
        metadata={
            "report": dg.MetadataValue.path(str(path)),
            "size (kB)": len(report.html) // 1024,
            "figures": len(figures),
            **shown,
        },
        data_version=json_digest(report.html),
    )


def report_info(context: TableContext, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What the report says about the study besides its tables."""
    from paraspinal_assets.report.headline import headline

    study = context.workspace.study
    people = tables["cohort"]
    known = people[people["analysed"]].dropna(axis="columns", how="all").columns
    segmenters = sorted(set(tables["scans"]["segmenter"].dropna()))
    return {
        "study": study.name,
        "synthetic": study.synthetic,
        "phantom_network": any("phantom network" in name for name in segmenters),
        "baseline": study.baseline,
        "imputation": study.analysis.imputation,
        "models": {"vBMD": study.models.linear, "fracture": study.models.fracture},
        "adjusted_for": [name for name in study.analysis.subgroup_covariates if name in known],
        "units": {
            name: column.unit
            for table in study.clinical.tables.values()
            for name, column in table.columns.items()
            if column.unit
        }
        | ({"age": "years"} if "age" in known else {}),
        "headline": headline(tables, _truth(context)),
        "versions": {"paraspinal_assets": __version__, **{name: version(name) for name in PACKAGES}},
        "weights": {f"segmenter {number}": name for number, name in enumerate(segmenters, 1)},
        "digests": dict(_digests(study)),
        "generated_from": settings_digest(study),
        "contact_sheets": overviews(context.workspace.store),
    }


def _digests(study: Study) -> Iterator[tuple[str, str]]:
    for name in type(study).model_fields:
        yield f"study file: {name}", settings_digest(getattr(study, name))


def _truth(context: TableContext) -> dict[str, float] | None:
    """What the synthetic study was made with; real studies have no such file and are never compared with one."""
    path = context.workspace.root / "truth.json"
    if not context.workspace.study.synthetic or not path.exists():
        return None
    achieved = json.loads(path.read_text(encoding="utf-8"))["effects"]["achieved"]
    return {name: float(value) for name, value in achieved.items()}


@table_asset(
    group="report",
    inputs=[*EVERYTHING, "provenance"],
    code_version="1",
    kinds={"parquet", "csv"},
)
def exports(context: TableContext) -> Tables:
    """Every table as Parquet and CSV, with the data dictionary."""
    from paraspinal_assets.study.export import export

    folder = context.workspace.store.exports_folder
    written = [
        path
        for kind in ("csv", "parquet")
        for path in export(context.workspace.database, folder / kind, kind)
    ]
    context.workspace.store.remove_others(folder, written)
    context.workspace.store.publish(folder)
    inputs = {name: context.index.records(name)[None].data_version for name in (*EVERYTHING, "provenance")}
    return Tables(
        metadata={"folder": dg.MetadataValue.path(str(folder)), "files": len(written)},
        data_version=json_digest(inputs),
    )


assets = [provenance, contact_sheets, study_report, exports]
