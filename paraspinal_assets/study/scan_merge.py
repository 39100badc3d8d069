"""Tables of scans, in which only the rows of scans that changed are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.disk import disk_error
from paraspinal_assets.study.schema import TableSchema
from paraspinal_assets.study.sql import quoted
from paraspinal_assets.study.table_comments import describe

if TYPE_CHECKING:
    from paraspinal_assets.study.bucket_files import BucketFiles

FILES_AT_ONCE: Final = 100
"""Scan files in one statement: DuckDB holds about 1 MB for each, of a table of 100 columns, until it ends."""

UNREADABLE: Final = "E-STUDY-36"
"""A scan's file is missing or damaged."""

_UNREADABLE: Final = (duckdb.IOException, duckdb.InvalidInputException, duckdb.BinderException)


def merge_scans(
    database: Database,
    name: str,
    schema: TableSchema,
    files: Mapping[str, tuple[str, str]],
    filesystem: BucketFiles | None = None,
) -> int:
    """Bring the Parquet files of changed scans into a table, in one transaction.

    Parameters
    ----------
    database
        The study's tables.
    name
        Table to update.
    schema
        Its documented columns, which the files must have.
    files
        Scan key -> (data version, path or address of a Parquet file) of every scan that belongs into the
        table. Only files whose version is new are read; rows of scans that are no longer named are deleted.
    filesystem
        What reads the addresses, if they are not paths.

    Returns
    -------
    int
        How many scans were read.

    Raises
    ------
    MachineError
        E-STUDY-36 if a file is missing, damaged or lacks a column; then the table is as it was.
    """
    if filesystem is not None:
        # Before the transaction, which keeps readers out.
        known = loaded(database, name)
        filesystem.take(address for key, (version, address) in files.items() if known.get(key) != version)
    with database.writing() as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS _loaded (table_name VARCHAR, scan VARCHAR, version VARCHAR)"
        )
        known = _versions(connection, name)
        if _columns(connection, name) != [column.name for column in schema.columns]:
            known = {}
            connection.execute("DELETE FROM _loaded WHERE table_name = ?", [name])
            connection.execute(f"CREATE OR REPLACE TABLE {quoted(name)} ({schema.columns_sql()})")
            describe(connection, name, schema)
        changed = sorted(key for key, (version, _) in files.items() if known.get(key) != version)
        gone = sorted(set(known) - set(files))
        for keys in filter(None, (changed, gone)):
            connection.execute(
                f"DELETE FROM {quoted(name)} WHERE exam || '-' || participant IN (SELECT unnest(?))",
                [keys],
            )
            connection.execute(
                "DELETE FROM _loaded WHERE table_name = ? AND scan IN (SELECT unnest(?))", [name, keys]
            )
        if changed:
            if filesystem is not None:
                connection.register_filesystem(filesystem)
            _insert(connection, name, schema, [files[key][1] for key in changed])
            connection.execute(
                "INSERT INTO _loaded SELECT ?, unnest(?), unnest(?)",
                [name, changed, [files[key][0] for key in changed]],
            )
        return len(changed)


def loaded(database: Database, name: str) -> dict[str, str]:
    """Scan key -> data version of what is in a table of scans."""
    if not database.path.exists():
        return {}
    with database.reading() as connection:
        return _versions(connection, name) if _columns(connection, "_loaded") else {}


def _versions(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    return dict(
        connection.execute("SELECT scan, version FROM _loaded WHERE table_name = ?", [name]).fetchall()
    )


def _columns(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Column names of a table in order; none if it does not exist."""
    rows = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [name]
    ).fetchall()
    return [str(row[0]) for row in rows]


def _insert(
    connection: duckdb.DuckDBPyConnection, name: str, schema: TableSchema, files: Sequence[str]
) -> None:
    columns = ", ".join(quoted(column.name) for column in schema.columns)
    # By name: a column that is all missing in the first file has no type of its own there.
    rows = f"SELECT {columns} FROM read_parquet(?, union_by_name=true)"
    try:
        for start in range(0, len(files), FILES_AT_ONCE):
            some = files[start : start + FILES_AT_ONCE]
            connection.execute(f"INSERT INTO {quoted(name)} BY NAME {rows}", [some])
    except _UNREADABLE as error:
        if disk_error(error, Path()) is not None:
            raise
        raise MachineError(
            UNREADABLE,
            f"table {name}: a scan's file cannot be read: {error}",
            "run again: the scan is measured anew",
        ) from error
