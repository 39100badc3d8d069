"""What a table's page shows of it: row counts, documented columns and where they come from, and a preview."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from paraspinal_assets.study.schema import TableSchema

if TYPE_CHECKING:
    import pandas as pd

PREVIEW_ROWS: Final = 8
PREVIEW_CHARACTERS: Final = 999
"""Longer Markdown is hidden behind a link in the UI."""
COLUMNS: Final = "dagster/column_schema"
LINEAGE: Final = "dagster/column_lineage"
ROWS: Final = "dagster/row_count"
MADE_BY: Final[Mapping[str, str]] = {"exams": "clinical"}
"""Table -> the asset that makes it, where that has another name."""


def table_metadata(tables: Mapping[str, tuple[TableSchema, pd.DataFrame]]) -> dict[str, Any]:
    """Metadata of an asset's tables, by name; the first is what the asset is about."""
    metadata: dict[str, Any] = {}
    for name, (_, frame) in tables.items():
        metadata[f"rows of {name}" if metadata else ROWS] = len(frame)
    metadata |= {
        f"preview of {name}": dg.MetadataValue.md(preview(frame)) for name, (_, frame) in tables.items()
    }
    return metadata | columns_metadata([schema for schema, _ in tables.values()])


def columns_metadata(tables: list[TableSchema]) -> dict[str, Any]:
    """Documented columns of an asset's tables; those of the second and later ones as ``table.column``."""
    columns, lineage = [], {}
    for position, table in enumerate(tables):
        prefix = f"{table.name}." if position else ""
        for column in table.columns:
            meaning = f"{column.meaning} [{column.unit}]" if column.unit else column.meaning
            kind = "boolean" if column.type == "flag" else column.type  # Dagster has an icon for it
            columns.append(dg.TableColumn(prefix + column.name, kind, meaning))
            if column.name in table.made_from:
                lineage[prefix + column.name] = [_column(source) for source in table.made_from[column.name]]
    metadata: dict[str, Any] = {COLUMNS: dg.TableSchema(columns=columns)} if columns else {}
    if lineage:
        metadata[LINEAGE] = dg.TableColumnLineage(deps_by_column=lineage)
    return metadata


def _column(source: str) -> dg.TableColumnDep:
    """A column of another asset, from ``table.column``."""
    table, column = source.split(".", 1)
    asset = MADE_BY.get(table, table)
    return dg.TableColumnDep(asset, column if asset == table else source)


def preview(frame: pd.DataFrame) -> str:
    """The first rows as a Markdown table, as many as the UI shows at once, but at least one."""
    lines = [" | ".join(map(str, frame.columns)), " | ".join("---" for _ in frame.columns)]
    lines += [" | ".join(map(_cell, row)) for row in frame.head(PREVIEW_ROWS).itertuples(index=False)]
    lines = [f"| {line} |" for line in lines]
    while len(lines) > 3 and len("\n".join(lines)) > PREVIEW_CHARACTERS:
        lines.pop()
    return "\n".join(lines)


def _cell(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value).replace("|", "/")
