"""Taking a participant out of Dagster's runs, events and schedules, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
)
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from sqlalchemy.engine import Connection

from paraspinal_assets.defs.abandoned import working
from paraspinal_assets.defs.automation.backfill import in_progress
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.traces import FORGOTTEN, POINTER, Traces

_AT_WORK: Final = [
    *(
        DagsterRunStatus.QUEUED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.CANCELING,
    )
]
Opened = AbstractContextManager[Connection]


def refuse_at_work(instance: dg.DagsterInstance, home: Path) -> None:
    """Refuse while a run or a backfill is at work: it could write again what is being removed (E-STUDY-62).

    So could the process of a run that counts as failed or canceled, as of a node that could not be reached.
    """
    runs = instance.get_runs(dg.RunsFilter(statuses=_AT_WORK), limit=1)
    if runs:
        raise MachineError(
            "E-STUDY-62", f"run {runs[0].run_id} is {runs[0].status.value}", "wait for it, or cancel it"
        )
    for run_id in working(home):
        raise MachineError(
            "E-STUDY-62",
            f"a process of run {run_id} is at work, though the run has ended",
            "wait for it, or end it",
        )
    for open_backfill in in_progress(instance):
        raise MachineError(
            "E-STUDY-62",
            f"backfill {open_backfill.backfill_id} is {open_backfill.status.value}",
            "wait for it, or cancel it",
        )


def occurrences(instance: dg.DagsterInstance, traces: Traces) -> dict[str, int]:
    """Table of Dagster's storage -> how many rows name the participant; others are left out."""
    found: dict[str, int] = {}
    for metadata, opened in _stores(instance):
        with opened as connection:
            for table in _tables(connection, metadata):
                count = sum(1 for _ in _naming(connection, table, traces))
                if count:
                    found[table.name] = count
    return found


def erase_events(instance: dg.DagsterInstance, traces: Traces) -> None:
    """Delete the participant's runs, events and partitions, and take the name out of what is about others.

    Safe to repeat after a crash at any point.
    """
    for key in sorted(traces.keys):
        for tags in (
            {PARTITION_NAME_TAG: key},
            {ASSET_PARTITION_RANGE_START_TAG: key, ASSET_PARTITION_RANGE_END_TAG: key},
        ):
            for run in instance.get_runs(dg.RunsFilter(tags=tags)):
                instance.delete_run(run.run_id)
        if instance.has_dynamic_partition(SCANS.name or "", key):
            instance.delete_dynamic_partition(SCANS.name or "", key)
    for metadata, opened in _stores(instance):
        with opened as connection:
            for table in _tables(connection, metadata):
                _erase_from(connection, table, traces)
            if metadata is SqlEventLogStorageMetadata:
                _restore_latest(connection)
    instance.wipe_asset_cached_status(
        [dg.AssetKey(rule.name) for rule in asset_rules().values() if rule.partitioned]
    )


def _stores(instance: dg.DagsterInstance) -> Iterator[tuple[db.MetaData, Opened]]:
    """Dagster's tables and how to open the storage that has them."""
    events: Any = instance.event_log_storage
    runs: Any = instance.run_storage
    schedules: Any = instance.schedule_storage
    yield SqlEventLogStorageMetadata, events.index_connection()
    yield RunStorageSqlMetadata, runs.connect()
    yield ScheduleStorageSqlMetadata, schedules.connect()


def _tables(connection: Connection, metadata: db.MetaData) -> list[db.Table]:
    existing = set(db.inspect(connection).get_table_names())
    return [table for table in metadata.sorted_tables if table.name in existing and _texts(table)]


def _texts(table: db.Table) -> list[db.Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, db.String)]


def _naming(
    connection: Connection, table: db.Table, traces: Traces
) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Rows that name the participant, each with its text columns as they would be without."""
    texts = _texts(table)
    may = db.or_(*(column.contains(traces.participant, autoescape=True) for column in texts))
    for row in connection.execute(db.select(table.c.id, *texts).where(may)).mappings().all():
        if table is AssetEventTagsTable and str(row["key"]).startswith(POINTER):
            continue
        cleaned = {
            column.name: traces.without(row[column.name]) for column in texts if row[column.name] is not None
        }
        changed = {name: text for name, text in cleaned.items() if text != row[name]}
        if changed:
            yield dict(row), changed


def _erase_from(connection: Connection, table: db.Table, traces: Traces) -> None:
    gone: list[int] = []
    for row, changed in list(_naming(connection, table, traces)):
        if "partition" in changed and changed["partition"] == FORGOTTEN:
            connection.execute(db.delete(table).where(table.c.id == row["id"]))
            gone.append(row["id"])
        else:
            connection.execute(db.update(table).where(table.c.id == row["id"]).values(**changed))
    if table is SqlEventLogStorageTable:
        for identifier in gone:
            connection.execute(
                db.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id == identifier)
            )


def _restore_latest(connection: Connection) -> None:
    """Show the latest event that is left where an asset's latest one was the participant's."""
    events = SqlEventLogStorageTable.c
    for row in connection.execute(
        db.select(AssetKeyTable.c.id, AssetKeyTable.c.asset_key).where(
            AssetKeyTable.c.last_materialization.contains(FORGOTTEN)
        )
    ).all():
        latest = connection.execute(
            db.select(events.event)
            .where(events.asset_key == row.asset_key, events.dagster_event_type == "ASSET_MATERIALIZATION")
            .order_by(events.id.desc())
            .limit(1)
        ).scalar()
        connection.execute(
            db.update(AssetKeyTable)
            .where(AssetKeyTable.c.id == row.id)
            .values(last_materialization=latest, cached_status_data=None)
        )
