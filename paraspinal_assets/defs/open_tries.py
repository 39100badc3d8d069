"""Which partitions were planned and are not built: Dagster asks it for every page of an asset.

Dagster joins the last two events of every partition with their rows, which are most of the log. Their numbers and
partitions are in an index; here rows are read of those partitions alone that are not built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as db
from dagster import AssetKey, DagsterEventType
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

CHUNK: Final = 500
"""Event numbers in one statement."""


class OpenTries(SqlEventLogStorage):
    """Part of an event log in SQL."""

    def get_latest_asset_partition_materialization_attempts_without_materializations(
        self, asset_key: AssetKey, after_storage_id: int | None = None
    ) -> Mapping[str, tuple[str, int]]:
        """Partition -> run and event that planned it last, for those that were not built since."""
        planned, built = (
            self.get_latest_storage_id_by_partition(asset_key, kind, after_cursor=after_storage_id)
            for kind in (
                DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
                DagsterEventType.ASSET_MATERIALIZATION,
            )
        )
        partitions = {event: key for key, event in planned.items() if event >= built.get(key, 0)}
        columns = SqlEventLogStorageTable.c
        found: dict[str, tuple[str, int]] = {}
        with self.index_connection() as connection:
            for start in range(0, len(partitions), CHUNK):
                chosen = columns.id.in_(list(partitions)[start : start + CHUNK])
                for event, run in connection.execute(db.select(columns.id, columns.run_id).where(chosen)):
                    found[partitions[event]] = (run, event)
        return found
