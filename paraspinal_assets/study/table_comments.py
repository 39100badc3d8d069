"""The documentation of the tables, stored in the database itself as comments."""

from __future__ import annotations

import re
from typing import Final

import duckdb

from paraspinal_assets.study.schema import TYPES, Column, TableSchema, schemas
from paraspinal_assets.study.sql import literal, quoted

_COMMENT: Final = re.compile(r"(.*?)(?: \[([^\[\]]*)\])?", re.DOTALL)
"""A column's comment: its meaning, and its unit in brackets if it has one."""


def describe(connection: duckdb.DuckDBPyConnection, name: str, schema: TableSchema) -> None:
    """Store the documentation of a table in the database itself."""
    connection.execute(f"COMMENT ON TABLE {quoted(name)} IS {literal(schema.description)}")
    for column in schema.columns:
        text = f"{column.meaning} [{column.unit}]" if column.unit else column.meaning
        connection.execute(f"COMMENT ON COLUMN {quoted(name)}.{quoted(column.name)} IS {literal(text)}")


def documentation(connection: duckdb.DuckDBPyConnection, name: str) -> TableSchema:
    """The schema that `describe` stored, covariates included."""
    description = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE table_name = ?", [name]
    ).fetchone()
    rows = connection.execute(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
        [name],
    ).fetchall()
    known = schemas().get(name)
    types = {sql: kind for kind, (sql, _) in TYPES.items()}
    columns = []
    for column, sql, comment in rows:
        text = _COMMENT.fullmatch(comment or "")
        meaning, unit = text.groups("") if text else (comment or "", "")
        columns.append(Column(str(column), types.get(str(sql), "text"), unit, meaning))
    return TableSchema(
        name,
        (description[0] if description else None) or "",
        known.key if known else (),
        tuple(columns),
        known.section if known else "",
    )
