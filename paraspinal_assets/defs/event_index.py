"""The latest event of every asset and partition, read incrementally from Dagster's event log."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, Final

import dagster as dg
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqliteEventLogStorage

from paraspinal_assets.defs.event_rows import Event, EventRows
from paraspinal_assets.defs.provenance import BUILT_FROM, DATA_VERSION_TAG, FAILURE, NOT_MEASURABLE, BuiltFrom

SETTLE_S: Final = 30.0
"""PostgreSQL numbers an event before it commits it, so that of two writers the one with the higher number may
be seen first. Events of the last so many seconds are therefore read again at the next look. (SQLite has one
writer at a time: what has been read is read once.)"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a scan or table could not be built. `bad_input` failures wait until an input changes."""

    code: str
    message: str
    bad_input: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class Record:
    """The latest event of one asset and partition: a success with a data version, or a failure."""

    storage_id: int
    run_id: str
    timestamp: float
    data_version: str | None
    built_from: BuiltFrom | None
    failure: Failure | None = None
    note: str | None = None


@dataclass(frozen=True)
class _AssetState:
    """What is known of one asset: up to which event, since which wipe, and the latest event of each partition."""

    settled: int = 0
    wiped: datetime | None = None
    records: Mapping[str | None, Record] = field(default_factory=dict)


class EventIndex:
    """Latest records per asset; only events newer than the last look are read.

    Parameters
    ----------
    instance
        The Dagster instance whose event log is the single source of what was built from what.
    until
        Number of the last event that counts, for looking at an earlier moment; all count when absent.
    partitions
        The only partitions that are looked at, beside tables; all when absent.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        until: int | None = None,
        partitions: Collection[str] | None = None,
    ) -> None:
        self.instance = instance
        self._partitions = partitions
        self._before = None if until is None else until + 1
        self._states: dict[str, _AssetState] = {}
        self._settings: dict[tuple[Any, ...], Mapping[str, str]] = {}
        self._lock = threading.Lock()
        one_writer = isinstance(
            instance.event_log_storage, SqliteEventLogStorage | ConsolidatedSqliteEventLogStorage
        )
        self._settle_s = 0.0 if one_writer else SETTLE_S

    def records(self, asset: str) -> Mapping[str | None, Record]:
        """Partition key (None for an unpartitioned asset) -> its latest record, as it is now."""
        with self._lock:
            state = self._look(
                EventRows(self.instance, asset, self._before, self._partitions), self._states.get(asset)
            )
            self._states[asset] = state
            return state.records

    def _look(self, rows: EventRows, known: _AssetState | None) -> _AssetState:
        wiped = rows.wiped()
        if known is None or known.wiped != wiped:
            known = _AssetState(wiped=wiped)
        settled, news = known.settled, {}
        if self._settle_s:
            # Not up to the last event seen: one that is committed late has a number before it.
            settled = rows.last_before(time.time() - self._settle_s, known.settled, wiped) or known.settled
        for event in rows.latest(known.settled, wiped):
            if not self._settle_s:
                settled = max(settled, event.storage_id)
            before = known.records.get(event.partition)
            if before is None or before.storage_id < event.storage_id:
                news[event.partition] = self._record(rows, event, wiped)
        records = {**known.records, **news} if news else known.records
        return _AssetState(settled, wiped, records)

    def _record(self, rows: EventRows, event: Event, wiped: datetime | None) -> Record:
        built_from = self._built_from(event)
        failure: Failure | None = None
        found = event.metadata.get(FAILURE)
        if isinstance(found, dict):
            attempts = 1
            for earlier in rows.tries_before(event, wiped):
                if FAILURE not in earlier.metadata or self._built_from(earlier) != built_from:
                    break
                attempts += 1
            failure = Failure(str(found["code"]), str(found["message"]), bool(found["bad_input"]), attempts)
        version = event.tags.get(DATA_VERSION_TAG)
        return Record(
            storage_id=event.storage_id,
            run_id=intern(event.run_id),
            timestamp=event.timestamp,
            data_version=None if failure or version is None else intern(version),
            built_from=built_from,
            failure=failure,
            note=event.metadata.get(NOT_MEASURABLE),
        )

    def _built_from(self, event: Event) -> BuiltFrom | None:
        """What an event says that it was built from; what many scans have in common is in memory once."""
        data = event.metadata.get(BUILT_FROM)
        if not isinstance(data, dict):
            return None
        settings = data["settings"]
        shared = self._settings.setdefault(tuple(settings.items()), settings)
        inputs = {intern(name): intern(version) for name, version in data["inputs"].items()}
        return BuiltFrom(intern(str(data["code_version"])), shared, inputs)
