"""Questions that Dagster asks for every page and run of an asset, answered in time for 100,000 scans.

The answers are Dagster's own (tests compare them); its statements read rows where the index knows, or ask for keys in
pieces where one look at all of them is quicker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import sqlalchemy as db
from dagster import AssetKey, DagsterEventType
from dagster._core.storage.event_log.schema import DynamicPartitionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

CHUNK: Final = 500
"""Keys or event numbers in one statement."""


class ManyPartitions(SqlEventLogStorage):
    """Part of an event log in SQL."""

    def get_latest_asset_partition_materialization_attempts_without_materializations(
        self, asset_key: AssetKey, after_storage_id: int | None = None
    ) -> Mapping[str, tuple[str, int]]:
        """Partition -> run and event that planned it last, for those that were not built since.

        Dagster joins the last two events of every partition with their rows, which are most of the log; here rows are
        read of those alone that are not built.
        """
        planned, built = (
            self._latest_event_ids_by_partition_subquery(
                asset_key, [kind], after_cursor=after_storage_id
            ).alias(kind.name)
            for kind in (
                DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
                DagsterEventType.ASSET_MATERIALIZATION,
            )
        )
        query = (
            db.select(planned.c.id, planned.c.partition)
            .join_from(planned, built, planned.c.partition == built.c.partition, isouter=True)
            .where(db.or_(built.c.id.is_(None), planned.c.id >= built.c.id))
        )
        columns = SqlEventLogStorageTable.c
        found: dict[str, tuple[str, int]] = {}
        with self.index_connection() as connection:
            partitions = {row.id: row.partition for row in connection.execute(query)}
            for start in range(0, len(partitions), CHUNK):
                chosen = columns.id.in_(list(partitions)[start : start + CHUNK])
                for event, run in connection.execute(db.select(columns.id, columns.run_id).where(chosen)):
                    found[partitions[event]] = (run, event)
        return found

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """Keys in the order in which they were added."""
        columns = DynamicPartitionsTable.c
        query = (
            db.select(columns.partition)
            .where(columns.partitions_def_name == partitions_def_name)
            .order_by(columns.id)
        )
        with self.index_connection() as connection:
            return list(connection.execute(query).scalars())

    def get_existing_dynamic_partitions(
        self, partitions_def_name: str, partition_keys: Sequence[str]
    ) -> AbstractSet[str]:
        """Those of the keys that exist."""
        wanted = set(partition_keys)
        if len(wanted) <= CHUNK:
            return super().get_existing_dynamic_partitions(partitions_def_name, partition_keys)
        return wanted.intersection(self.get_dynamic_partitions(partitions_def_name))
