"""Dagster's PostgreSQL storages over connections that stay open.

dagster-postgres opens a connection for every statement, and an event takes several: most of what an event costs
there. Its webserver has an option to hold one; here every process holds two, as an event takes two at a time.
"""

from __future__ import annotations

import sqlalchemy
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage

from paraspinal_assets.defs.many_partitions import ManyPartitions


class StudyPostgresEventLog(ManyPartitions, PostgresEventLogStorage):
    """The event log of a study with PostgreSQL."""

    def dispose(self) -> None:
        """Close the connections, which runs and schedules share."""
        super().dispose()
        self._engine.dispose()


def open_storages(url: str) -> tuple[PostgresRunStorage, StudyPostgresEventLog, PostgresScheduleStorage]:
    """Runs, events and schedules of a database; tables are made if it has none.

    A connection that the server has closed meanwhile is noticed before it is used.
    """
    storages = PostgresRunStorage(url), StudyPostgresEventLog(url), PostgresScheduleStorage(url)
    engine = sqlalchemy.create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=2, max_overflow=-1, pool_pre_ping=True
    )
    for storage in storages:
        storage._engine = engine
    return storages
