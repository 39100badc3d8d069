"""Dagster's event log in one SQLite file, written through connections that stay open.

Dagster's own SQLite log opens a new engine for every statement and keeps a file per run beside the file for
all runs: 11 ms of one core for an event. A study writes an event per scan and asset, so that is most of what
orchestration costs. Here an event and its index entries are one transaction (about 1 ms), and events that
Dagster reports together (the planned partitions of a run) are one transaction as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import sqlalchemy as db
from dagster import DagsterEventType
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy.engine import Connection, Engine

from paraspinal_assets.defs.many_partitions import ManyPartitions

INDEX_COLUMN: Final = "last_materialization_timestamp"


class StudyEventLog(ManyPartitions, ConsolidatedSqliteEventLogStorage):
    """The event log of a study without PostgreSQL."""

    @cached_property
    def _engine(self) -> Engine:
        engine = db.create_engine(self._conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

        @db.event.listens_for(engine, "connect")
        def _(connection: Any, _record: Any) -> None:
            # With a write-ahead log, a killed process loses nothing and a power cut at most the last events,
            # which then are scans that are built once more.
            connection.execute("PRAGMA synchronous=NORMAL")

        return engine

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @cached_property
    def _tables(self) -> frozenset[str]:
        return frozenset(db.inspect(self._engine).get_table_names())

    def has_table(self, table_name: str) -> bool:
        """Whether the file has a table; its schema is fixed when it is made or upgraded."""
        return table_name in self._tables

    @cached_property
    def _has_index_column(self) -> bool:
        return bool(self.has_asset_key_col(INDEX_COLUMN))

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        return self._has_index_column

    def upgrade(self) -> None:
        """Bring the file to the schema of the installed Dagster."""
        super().upgrade()  # type: ignore[no-untyped-call]
        for name in ("_tables", "_has_index_column"):
            self.__dict__.pop(name, None)

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events with their tags and what is known last of each asset, all or nothing."""
        checks: list[tuple[EventLogEntry, int]] = []
        newest: dict[tuple[Any, DagsterEventType], tuple[EventLogEntry, int]] = {}
        _ = self._tables, self._has_index_column  # looked up before the transaction holds the file
        with self._connect() as connection:
            for event in events:
                identifier = connection.execute(self.prepare_insert_event(event)).lastrowid
                kind = event.dagster_event_type
                if kind in ASSET_EVENTS and event.get_dagster_event().asset_key:
                    self._store_asset_event_tags(connection, [event], [identifier])
                    newest[event.get_dagster_event().asset_key, kind] = event, identifier
                elif kind in ASSET_CHECK_EVENTS:
                    checks.append((event, identifier))
            for event, identifier in newest.values():
                self._store_asset_event(connection, event, identifier)
        for event, identifier in checks:
            self.store_asset_check_event(event, identifier)

    def dispose(self) -> None:
        """Close the file."""
        super().dispose()  # type: ignore[no-untyped-call]
        self._engine.dispose()
