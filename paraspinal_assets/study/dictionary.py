"""The data dictionary: every table and column with type, unit and meaning, and the reason codes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pandas as pd

from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.statistics.longitudinal import REASONS as CHANGE_REASONS
from paraspinal_assets.study.markdown import cell, table_lines
from paraspinal_assets.study.schema import TableSchema, schemas
from paraspinal_assets.study.stata import stata_names

COLUMNS: Final = ("table", "column", "key", "type", "unit", "meaning", "stata_name")
TYPE_NOTES: Final = {
    "text": "UTF-8 text",
    "integer": "whole number, 64 bits",
    "number": "floating-point number, 64 bits; an infinite one is `inf` in CSV and missing in Stata",
    "flag": "true or false; `True` or `False` in CSV, 1 or 0 in Stata",
}


def reason_codes() -> dict[str, str]:
    """Every code that a `reason` or `exclusion` column can hold, with its meaning."""
    return {**REASONS, **CHANGE_REASONS}


def dictionary_frame(tables: Iterable[TableSchema]) -> pd.DataFrame:
    """One row per column of each table, with `COLUMNS`."""
    rows = [
        (
            *(table.name, column.name, "yes" if column.name in table.key else "", column.type),
            *(column.unit, column.meaning, short),
        )
        for table in tables
        for column, short in zip(
            table.columns, stata_names([column.name for column in table.columns]), strict=True
        )
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def dictionary_markdown(title: str, introduction: str, tables: Iterable[TableSchema]) -> str:
    """The dictionary as a Markdown page: tables by chapter, then the reason codes."""
    lines = [f"# {title}", "", introduction, ""]
    lines += ["| Type | Values |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in TYPE_NOTES.items()), ""]
    chapter = None
    for table in tables:
        if table.section != chapter:
            chapter = table.section
            lines += [f"## {chapter or 'Other tables'}", ""]
        lines += [f"### {table.name}", "", table.description, ""]
        lines += [f"One row per {', '.join(f'`{name}`' for name in table.key)}.", ""] if table.key else []
        lines += table_lines(
            ("Column", "Type", "Unit", "Meaning"),
            [(f"`{c.name}`", c.type, cell(c.unit), cell(c.meaning)) for c in table.columns],
        )
        lines.append("")
    lines += ["## Reason codes", "", "What a `reason` or `exclusion` column says about missing values.", ""]
    lines += table_lines(
        ("Code", "Meaning"), [(f"`{code}`", cell(meaning)) for code, meaning in reason_codes().items()]
    )
    return "\n".join(lines) + "\n"


INTRODUCTION: Final = (
    "Every table of a study's DuckDB file (`study.duckdb`) and of its exports. Missing is not zero: a value "
    "that could not be measured or computed is null (an empty cell in CSV, a missing value in Stata), and "
    "where the table has a `reason` column, that column says why. Covariates come from the clinical tables; "
    "their columns are documented by the study file and listed in the `data_dictionary.md` beside an export."
)


def tables_reference() -> str:
    """The page ``docs/tables.md``: all documented tables."""
    return dictionary_markdown("Tables of a study", INTRODUCTION, schemas().values())
