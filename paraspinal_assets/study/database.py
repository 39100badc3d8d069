"""The study's DuckDB file: one writer at a time, short transactions, documented tables."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from paraspinal_assets.errors import MachineError, StudyError
from paraspinal_assets.study.complete import scratch_folder
from paraspinal_assets.study.schema import TableSchema, schemas
from paraspinal_assets.study.sql import literal, quoted
from paraspinal_assets.study.table_comments import describe, documentation

if TYPE_CHECKING:
    import pandas as pd

READ_TIMEOUT_S: Final = 60.0
"""How long a reader waits for a writer to finish its transaction."""

_PART: Final = 32
"""Vectors of 2,048 rows in a part of a table."""

_SPARING: Final = "SET memory_limit = '1GB'; SET threads = 2"
"""For work with whole tables: what does not fit goes into files; each thread needs its share."""


class Database:
    """The tables of a study.

    DuckDB locks its file for one process while it writes; writers here queue on a lock file and hold the
    database only for one transaction, readers open it read-only and wait for a writer to finish.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in one transaction: committed at the end, rolled back on any error."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = self._connect(read_only=False)
            try:
                connection.execute("BEGIN")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            finally:
                connection.close()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that writes nothing; the file must be there."""
        connection = self._connect(read_only=True)
        try:
            yield connection
        finally:
            connection.close()

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + READ_TIMEOUT_S
        while True:
            try:
                return duckdb.connect(
                    str(self.path), read_only=read_only, config={"threads": os.cpu_count() or 1}
                )
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                # The second is what another thread of this process gets while the first one is at work.
                busy = "lock" in str(error).lower() or "different configuration" in str(error)
                if not busy or time.monotonic() > deadline:
                    raise MachineError(
                        "E-STUDY-30",
                        f"cannot open {self.path}: {error}",
                        "close the program that holds the database",
                    ) from error
                time.sleep(0.05)

    def names(self) -> list[str]:
        """Names of the tables that exist."""
        if not self.path.exists():
            return []
        with self.reading() as connection:
            return _tables(connection)

    def read(self, table: str) -> pd.DataFrame:
        """A whole table, rows in the order in which it was written."""
        return self.query(f"SELECT * FROM {quoted(table)}")

    def read_all(self, without: Collection[str] = ()) -> dict[str, pd.DataFrame]:
        """All tables of one moment, but for some."""
        if not self.path.exists():
            return {}
        with self.reading() as connection:
            connection.execute("BEGIN")
            return {
                name: connection.execute(f"SELECT * FROM {quoted(name)}").df()
                for name in _tables(connection)
                if name not in without
            }

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pd.DataFrame:
        """The result of a read-only query; values go in as parameters only."""
        if not self.path.exists():
            raise StudyError(
                "E-STUDY-31", f"no database at {self.path}", "run `paraspinal run` on the study first"
            )
        try:
            with self.reading() as connection:
                return connection.execute(sql, list(parameters)).df()
        except duckdb.CatalogException as error:
            raise StudyError(
                "E-STUDY-31",
                f"{self.path} has no such table: {error}",
                "run `paraspinal run` on the study first",
            ) from error

    @contextmanager
    def moment(self, folder: Path) -> Iterator[Database]:
        """The tables as they are now, in a file of their own until the end: a reader of this one keeps writers out.

        It has none of the rows that were deleted, where this file may keep them in blocks that are free.

        Parameters
        ----------
        folder
            Where the file is while it is needed; readers of a study need not be allowed to write into it.
        """
        with scratch_folder(folder) as scratch:
            moment = Database(scratch / self.path.name)
            with self.reading() as connection:
                connection.execute(f"{_SPARING}; SET temp_directory = {literal(str(scratch))}")
                connection.execute("ATTACH ? AS moment (READ_WRITE)", [str(moment.path)])
                connection.execute(f"COPY FROM DATABASE {quoted(self.path.stem)} TO moment")
            with moment.reading():  # while it is open, opening it once more costs next to nothing
                yield moment

    def documented(self) -> list[TableSchema]:
        """The documentation of all tables, as it is stored with them.

        Documented tables come in the order of the dictionary, with their key and chapter; others follow.
        """
        if not self.path.exists():
            return []
        with self.reading() as connection:
            found = {name: documentation(connection, name) for name in _tables(connection)}
        known = [name for name in schemas() if name in found]
        return [found[name] for name in [*known, *(name for name in found if name not in known)]]

    def parts(self, table: str, by: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
        """A table part by part, for one that is too large to be in memory; at least one part, of no rows.

        Parameters
        ----------
        table
            Its name.
        by
            Columns to sort by; rows that are equal in them stay in the order in which they were written.
        """
        with self.reading() as connection:
            connection.execute(_SPARING)
            order = ", ".join([*map(quoted, by), "rowid"])
            connection.execute(f"SELECT * FROM {quoted(table)} ORDER BY {order}")
            yield (part := connection.fetch_df_chunk(_PART))
            while len(part):
                yield (part := connection.fetch_df_chunk(_PART))

    def replace(
        self, frames: Mapping[str, tuple[TableSchema, pd.DataFrame]], absent: Collection[str] = ()
    ) -> None:
        """Replace whole tables in one transaction, each checked against its schema first, and drop some."""
        for schema, frame in frames.values():
            schema.check(frame)
        with self.writing() as connection:
            for name, (schema, frame) in frames.items():
                connection.register("incoming", schema.conform(frame))
                connection.execute(f"CREATE OR REPLACE TABLE {quoted(name)} AS SELECT * FROM incoming")
                connection.unregister("incoming")
                describe(connection, name, schema)
            for name in absent:
                connection.execute(f"DROP TABLE IF EXISTS {quoted(name)}")


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT starts_with(table_name, '_') ORDER BY 1"
    ).fetchall()
    return [str(row[0]) for row in rows]
