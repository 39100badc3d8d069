"""Backfills of chosen partitions: the one place that uses Dagster's inner parts, those behind the UI's button.

Dagster has no public way to launch a backfill from code. Its version is pinned, and the tests run a real one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.execution.backfill import (
    BULK_ACTION_TERMINAL_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from dagster._core.utils import make_new_backfill_id

from paraspinal_assets.defs.scan_asset import SCANS

REBUILD: Final = "paraspinal/rebuild"
"""Tag of a rebuild's backfills and runs: the id of the run that began it."""
OPTIONS: Final = "paraspinal/rebuild_options"
"""Tag of a rebuild's backfills: what it was asked for, as JSON."""
STILL_OPEN: Final = tuple(
    status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES
)
LOOK_BACK: Final = 100


def launch(
    instance: dg.DagsterInstance,
    partitions: Mapping[str, Sequence[str]],
    *,
    rebuild: str,
    options: Mapping[str, Any],
    title: str,
    description: str,
) -> str:
    """Ask the daemon for a backfill of some scans of some assets; returns its id.

    Parameters
    ----------
    instance
        Where the daemon finds it.
    partitions
        Asset -> scan keys; the daemon builds an asset's scan after the inputs that are in the same backfill.
    rebuild, options
        See `REBUILD` and `OPTIONS`.
    title, description
        What the list of backfills shows.
    """
    with partition_loading_context(dynamic_partitions_store=instance):
        backfill = PartitionBackfill.from_asset_graph_subset(
            backfill_id=make_new_backfill_id(),
            backfill_timestamp=time.time(),
            tags={REBUILD: rebuild, OPTIONS: json.dumps(options, sort_keys=True)},
            dynamic_partitions_store=instance,
            asset_graph_subset=AssetGraphSubset(  # type: ignore[call-arg]  # its defaults are not seen
                partitions_subsets_by_asset_key={
                    dg.AssetKey(asset): SCANS.empty_subset().with_partition_keys(keys)
                    for asset, keys in partitions.items()
                },
                non_partitioned_asset_keys=set(),
            ),
            title=title,
            description=description,
            run_config=None,
        )
        instance.add_backfill(backfill)
    return str(backfill.backfill_id)


def rebuilds(instance: dg.DagsterInstance) -> list[PartitionBackfill]:
    """The latest backfills that rebuilds launched, newest first."""
    found = instance.get_backfills(limit=LOOK_BACK)
    return [backfill for backfill in found if REBUILD in backfill.tags]


def in_progress(instance: dg.DagsterInstance) -> list[PartitionBackfill]:
    """The backfills that are not done, of rebuilds and of people."""
    return list(instance.get_backfills(filters=BulkActionsFilter(statuses=list(STILL_OPEN))))


def targets(backfill: PartitionBackfill, asset_graph: BaseAssetGraph[Any]) -> dict[str, set[str]]:
    """Asset -> scan keys of a backfill."""
    subset = backfill.get_asset_backfill_data(asset_graph).target_subset
    return {
        key.to_user_string(): set(keys.get_partition_keys())
        for key, keys in subset.partitions_subsets_by_asset_key.items()
    }
