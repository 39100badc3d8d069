"""`paraspinal analyze`: the whole statistics on a flat table."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import pandas as pd

from paraspinal_assets import __version__
from paraspinal_assets.cli.csv_files import read_csv, write_tables
from paraspinal_assets.cli.study_argument import STUDY_TYPE
from paraspinal_assets.errors import StudyError
from paraspinal_assets.report.figure_files import figure_files
from paraspinal_assets.report.study_report import analysis_report
from paraspinal_assets.statistics.analysis import analyze
from paraspinal_assets.statistics.imputation import ImputationMode
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.study.place import StudyPlace
from paraspinal_assets.study.store import StudyStore

PRESETS: Final = ("paraspinal-mesa",)
PATH = click.Path(path_type=Path)


@click.command(name="analyze")
@click.argument("table", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the tables, figures and report.html.")
@click.option(
    "--preset", type=click.Choice(PRESETS), default=None, help="Column names and models; default: the first."
)
@click.option(
    "--study", type=STUDY_TYPE, default=None, help="Study file whose models and options to use instead."
)
@click.option("--folds", type=PATH, default=None, help="CSV with a column `fold`, one row per row of TABLE.")
@click.option(
    "--impute",
    type=click.Choice(["predictors", "original", "multiple", "none"]),
    default=None,
    help="Missing values: medians of predictors (default), of outcomes too as the original, multiple, or none. "
    "The comparison of medians, complete cases and multiple imputation is made in any case.",
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="COLUMN=LEVEL",
    help="Level of a category that the others are compared with; default: the first in alphabetical order.",
)
def analyze_command(
    table: Path,
    out: Path,
    preset: str | None,
    study: StudyPlace | None,
    folds: Path | None,
    impute: ImputationMode | None,
    references: tuple[str, ...],
) -> None:
    """The whole statistics on a flat table, without imaging."""
    if preset is not None and study is not None:
        raise StudyError("E-STUDY-05", "--preset and --study both name the models", "give one of them")
    if out.exists() and not out.is_dir():
        raise StudyError("E-STUDY-05", f"--out {out} is a file", "name a folder")
    spec, about = (AnalysisSpec(), {"study": "Analysis of a table"}) if study is None else _of_study(study)
    if impute is not None:
        copies = max(2, spec.imputations) if impute == "multiple" else spec.imputations
        spec = replace(spec, imputation=impute, imputations=copies)
    if references:
        spec = replace(spec, references={**spec.references, **dict(map(_reference, references))})
    values = read_csv(table)
    tables = analyze(values, spec, folds=None if folds is None else _folds(folds))
    written = write_tables(out, tables)
    info = about | {
        "imputation": spec.imputation,
        "models": {
            of: models
            for of, models in ((spec.density, spec.linear_models), (spec.fracture, spec.fracture_models))
            if of is not None
        },
        "adjusted_for": [
            name for name in spec.subgroup_covariates if name in values.dropna(axis="columns", how="all")
        ],
        "versions": {"paraspinal_assets": __version__},
        "generated_from": f"{table.name}, SHA-256 {hashlib.sha256(table.read_bytes()).hexdigest()}",
    }
    store = StudyStore(out)
    report = analysis_report(tables, info)
    for name, content in figure_files(report.figures):
        store.write_bytes(store.root / name, content)
    store.write_bytes(store.root / "report.html", report.html.encode())
    click.echo(f"Wrote {len(written)} tables, figures and report.html to {out}")
    for problem in tables["problems"].itertuples():
        click.echo(f"- {problem.analysis} {problem.model}: [{problem.code}] {problem.message}", err=True)


def _of_study(study: StudyPlace) -> tuple[AnalysisSpec, dict[str, Any]]:
    """Models and options of a study file, and what the report says of the study."""
    # Only here: reading a study's settings takes the Dagster layer along, seconds that a table needs not.
    from paraspinal_assets.defs.analysis.spec import analysis_spec

    settings = study.load()
    return analysis_spec(settings), {"study": settings.name, "synthetic": settings.synthetic}


def _reference(words: str) -> tuple[str, str]:
    column, equals, level = words.partition("=")
    if not (column and equals and level):
        raise StudyError(
            "E-STUDY-05", f"--reference {words!r} names no level", "write --reference COLUMN=LEVEL"
        )
    return column, level


def _folds(path: Path) -> pd.Series[Any]:
    table = read_csv(path)
    if "fold" not in table.columns:
        raise StudyError(
            "E-STUDY-05",
            f"the folds file {path} has no column 'fold'; it has {', '.join(map(str, table.columns))}",
            "name the column with the fold of each row 'fold'",
        )
    return table["fold"]


commands = (analyze_command,)
