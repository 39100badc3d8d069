"""Taking a participant out of the study's files: scans, tables, report, exports and caches."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb

from paraspinal_assets.study.database import Database
from paraspinal_assets.study.sql import quoted
from paraspinal_assets.study.store import ARTIFACTS, StudyStore
from paraspinal_assets.study.traces import Traces

FINGERPRINTS = "fingerprints.sqlite"


def scan_folders(store: StudyStore, participant: str) -> list[Path]:
    """Folders of a participant's artifacts, of exams that the study file does not name any more too."""
    places = (store.root, store.copies_folder)
    return sorted(path for place in places for path in place.glob(f"scans/*/{participant}") if path.is_dir())


def scan_objects(store: StudyStore, participant: str, exams: Iterable[str]) -> list[str]:
    """Addresses of a participant's artifacts in the bucket, earlier versions of objects too.

    What is listed, and what is there when it is asked for by name.
    """
    bucket = store.bucket
    if bucket is None:
        return []
    found = []
    for exam in exams:
        folder = f"scans/{exam}/{participant}/"
        listed = bucket.versions(folder)
        found += [
            f"{bucket.url}/{name}{f' (version {version})' if version else ''}" for name, version in listed
        ]
        names = {f"{folder}{file}" for file in ARTIFACTS.values()} - {name for name, _ in listed}
        found += [f"{bucket.url}/{name}" for name in names if bucket.has(name)]
    return sorted(found)


def published_objects(store: StudyStore) -> list[str]:
    """Addresses of report and exports of a study in a bucket, earlier versions of objects too."""
    home = store.home
    if home is None:
        return []
    folders = (store.report_folder.name, store.exports_folder.name)
    return sorted({f"{home.url}/{name}" for folder in folders for name, _ in home.versions(f"{folder}/")})


def past_exams(store: StudyStore) -> set[str]:
    """Exams that have had a scan."""
    folders = {path.name for path in store.root.glob("scans/*") if path.is_dir()}
    return folders if store.bucket is None else folders | set(store.bucket.folders("scans/"))


def erase_files(store: StudyStore, participant: str, exams: Iterable[str]) -> None:
    """Delete a participant's artifacts, and what is made of all scans: report, exports and caches.

    The latter are made again by the next run; the fingerprints of the other inputs stay.
    """
    for folder in [*scan_folders(store, participant), store.report_folder, store.exports_folder]:
        if folder.exists():
            shutil.rmtree(folder)
    if store.bucket is not None:
        for exam in exams:
            store.bucket.erase(f"scans/{exam}/{participant}/")
    if store.home is not None:
        for folder in (store.report_folder, store.exports_folder):
            store.home.erase(f"{folder.name}/")
    for path in store.cache_folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(FINGERPRINTS):
            path.unlink()


def erase_fingerprints(store: StudyStore, traces: Traces) -> None:
    """Forget what was read of the participant's inputs."""
    path = store.cache_folder / FINGERPRINTS
    if path.exists():
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            inputs = [row[0] for row in connection.execute("SELECT input FROM fingerprints")]
            for name in filter(traces.names, inputs):
                connection.execute("DELETE FROM fingerprints WHERE input = ?", (name,))
            connection.commit()
        compact_sqlite(path)


def compact_sqlite(path: Path) -> None:
    """Write a SQLite file anew: deleted rows stay readable in its free pages otherwise."""
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def rows_naming(database: Database, traces: Traces) -> dict[str, int]:
    """Table -> how many rows name the participant; tables without one are left out."""
    if not database.path.exists():
        return {}
    with database.writing() as connection:
        found = {
            table: connection.execute(
                f"SELECT count(*) FROM {quoted(table)} WHERE {where}", values
            ).fetchone()
            for table, where, values in _conditions(connection, traces)
        }
    return {table: int(row[0]) for table, row in found.items() if row and row[0]}


def erase_rows(database: Database, traces: Traces) -> None:
    """Delete every row that names the participant, and write the file anew so that no block keeps it."""
    if not database.path.exists():
        return
    with database.writing() as connection:
        for table, where, values in list(_conditions(connection, traces)):
            connection.execute(f"DELETE FROM {quoted(table)} WHERE {where}", values)
    with database.moment(database.path.parent) as moment:
        os.replace(moment.path, database.path)


def _conditions(
    connection: duckdb.DuckDBPyConnection, traces: Traces
) -> Iterator[tuple[str, str, list[str]]]:
    """For each table with text columns, the condition that a row names the participant."""
    rows = connection.execute(
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns()"
        " WHERE data_type = 'VARCHAR' AND NOT internal GROUP BY table_name ORDER BY table_name"
    ).fetchall()
    for table, columns in rows:
        parts: list[str] = []
        values: list[str] = []
        for column in columns:
            name = quoted(column)
            if column == "participant":
                parts.append(f"{name} = ?")
                values.append(traces.participant)
            else:
                parts.append(
                    f"regexp_matches({name}, ?) OR ({name} LIKE '% %' AND regexp_matches({name}, ?))"
                )
                values += [traces.key_expression, traces.word_expression]
        yield str(table), " OR ".join(parts), values
