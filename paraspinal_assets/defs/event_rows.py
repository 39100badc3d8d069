"""Latest events by SQL: the one place that reads the tables and the JSON of Dagster's event log.

Dagster's public way hands out every event that an asset ever had and makes objects of all that is in it. Here the
database picks the last event of each partition, and of its JSON only what decides about staleness is kept. The
tests compare both ways; Dagster's version is pinned.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
import sqlalchemy as db
from dagster import DagsterEventType
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from paraspinal_assets.defs.provenance import BUILT_FROM, FAILURE, NOT_MEASURABLE

CHUNK: Final = 500
"""Events in memory at once: one with an inline picture has 30 kB."""

_CONTENT: Final = {
    DagsterEventType.ASSET_MATERIALIZATION.value: "materialization",
    DagsterEventType.ASSET_OBSERVATION.value: "asset_observation",
}
_WANTED: Final = {BUILT_FROM: "data", FAILURE: "data", NOT_MEASURABLE: "text"}
"""Metadata that is kept, and the field of an entry that has its value."""
_ROWS: Final = SqlEventLogStorageTable.c
_MATERIALIZATION: Final = DagsterEventType.ASSET_MATERIALIZATION.value


@dataclass(frozen=True, slots=True)
class Event:
    """A materialization or observation: where it stands in the log, its tags, and the metadata of `_WANTED`."""

    storage_id: int
    run_id: str
    timestamp: float
    partition: str | None
    tags: dict[str, str]
    metadata: dict[str, Any]


class EventRows:
    """Materializations and observations of one asset, as rows of the event log.

    Parameters
    ----------
    instance
        Its event log is in SQLite or PostgreSQL.
    asset
        Asset key.
    before
        Only events with a lower number exist; all when absent.
    partitions
        Only events of these, and those of no partition; all when absent.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        asset: str,
        before: int | None = None,
        partitions: Collection[str] | None = None,
    ) -> None:
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage):
            raise TypeError(f"{type(storage).__name__} is no event log in SQL")
        self._storage = storage
        self._key = dg.AssetKey(asset).to_string()
        self._before = before
        self._partitions = None if partitions is None else list(partitions)

    def wiped(self) -> datetime | None:
        """When all events so far were declared void, if they were."""
        query = db.select(AssetKeyTable.c.wipe_timestamp).where(AssetKeyTable.c.asset_key == self._key)
        with self._storage.index_connection() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found

    def last_before(self, moment: float, after: int, wiped: datetime | None) -> int | None:
        """Number of the last event behind `after` that is from before a moment (Unix time)."""
        settled = _ROWS.timestamp < datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
        query = db.select(db.func.max(_ROWS.id)).where(*self._these(after, wiped), settled)
        with self._storage.index_connection() as connection:
            found: int | None = connection.execute(query).scalar()
        return found

    def latest(self, after: int, wiped: datetime | None) -> Iterator[Event]:
        """The last event of each partition that has one behind `after`, in the order of the log."""
        query = db.select(db.func.max(_ROWS.id)).where(*self._these(after, wiped)).group_by(_ROWS.partition)
        with self._storage.index_connection() as connection:
            found = sorted(connection.execute(query).scalars().all())
        for start in range(0, len(found), CHUNK):
            chosen = _ROWS.id.in_(found[start : start + CHUNK])
            # Closed again before anything is handed out: Dagster's own SQLite log has one connection at a time, and
            # whoever reads on for an event would wait for it for ever.
            with self._storage.index_connection() as connection:
                query_rows = db.select(SqlEventLogStorageTable).where(chosen).order_by(_ROWS.id)
                events = list(self._read(connection, query_rows))
            yield from events

    def tries_before(self, event: Event, wiped: datetime | None) -> list[Event]:
        """Earlier observations of an event's partition since its last materialization, the latest first."""
        same = (_ROWS.partition == event.partition, _ROWS.id < event.storage_id)
        built = db.select(db.func.max(_ROWS.id)).where(
            *self._these(0, wiped), *same, _ROWS.dagster_event_type == _MATERIALIZATION
        )
        query = (
            db.select(SqlEventLogStorageTable).where(*self._these(0, wiped), *same).order_by(_ROWS.id.desc())
        )
        with self._storage.index_connection() as connection:
            last = connection.execute(built).scalar() or 0
            return list(self._read(connection, query.where(_ROWS.id > last)))

    def _these(self, after: int, wiped: datetime | None) -> list[db.ColumnElement[bool]]:
        found = [_ROWS.asset_key == self._key, _ROWS.dagster_event_type.in_(list(_CONTENT))]
        if after:
            found.append(_ROWS.id > after)
        if self._before is not None:
            found.append(_ROWS.id < self._before)
        if self._partitions is not None:
            found.append(_ROWS.partition.in_(self._partitions) | _ROWS.partition.is_(None))
        if wiped is not None:
            found.append(_ROWS.timestamp > wiped)
        return found

    def _read(self, connection: db.Connection, query: db.Select[Any]) -> Iterator[Event]:
        for row in connection.execute(query).all():
            yield _event(row)


def _event(row: Any) -> Event:
    entry = json.loads(row.event)
    content = entry["dagster_event"]["event_specific_data"][_CONTENT[row.dagster_event_type]]
    metadata = {
        item["label"]: item["entry_data"].get(_WANTED[item["label"]])
        for item in content["metadata_entries"]
        if item["label"] in _WANTED
    }
    return Event(
        storage_id=row.id,
        run_id=entry["run_id"],
        timestamp=entry["timestamp"],
        partition=content["partition"],
        tags=content["tags"] or {},
        metadata=metadata,
    )
