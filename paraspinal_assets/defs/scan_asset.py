"""Per-scan assets: many scans in one run, an event for each, and one failure that names the bad ones.

No postponed annotations here: Dagster looks at the types of an asset's arguments when it is declared.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, Final

import dagster as dg

from paraspinal_assets.defs.automation.staleness import Staleness
from paraspinal_assets.defs.code_links import code_link
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.provenance import (
    BUILT_FROM,
    DATA_VERSION_TAG,
    FAILURE,
    NOT_MEASURABLE,
    dagster_tags,
)
from paraspinal_assets.defs.results import ScanOutcome, ScanResult, failure_metadata
from paraspinal_assets.defs.rules import AssetRule, ScanParts, StudyParts, register
from paraspinal_assets.defs.table_metadata import columns_metadata
from paraspinal_assets.defs.workspace import StudyResource, Workspace
from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.schema import TableSchema

SCANS: Final = dg.DynamicPartitionsDefinition(name="scan")
OWNERS: Final = ("team:imaging-core",)

UNATTENDED: Final = "dagster/backfill"
"""Tag of runs that the daemon started as part of a backfill: nobody waits for them, so they may wait."""

RETRY_OF_DAEMON: Final = "dagster/retry_number"

BatchFunction = Callable[[Sequence[Scan], Workspace], Iterator[ScanOutcome]]
ScanFunction = Callable[[Scan, Workspace], ScanResult]

_index: EventIndex | None = None


def shared_index(instance: dg.DagsterInstance) -> EventIndex:
    """The event index of this process, so that a worker that runs many batches reads each event once."""
    global _index
    if _index is None or _index.instance is not instance:
        _index = EventIndex(instance)
    return _index


def one_by_one(function: ScanFunction) -> BatchFunction:
    """A batch function that calls a scan function for each scan and keeps errors to their scan."""

    @wraps(function)
    def batch(scans: Sequence[Scan], workspace: Workspace) -> Iterator[ScanOutcome]:
        for scan in scans:
            try:
                yield ScanOutcome(scan, result=function(scan, workspace))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one scan must not stop the others
                yield ScanOutcome(scan, error=error)

    return batch


def scan_asset(
    *,
    name: str,
    batch_function: BatchFunction,
    description: str,
    group: str,
    inputs: Sequence[str],
    code_version: str,
    batch: int,
    kinds: set[str],
    optional: Sequence[str] = (),
    settings: StudyParts | None = None,
    scan_settings: ScanParts | None = None,
    failure_settings: StudyParts | None = None,
    pool: str | None = None,
    table: TableSchema | None = None,
) -> dg.AssetsDefinition:
    """A per-scan asset.

    Parameters
    ----------
    name, description, group, kinds, pool
        As Dagster shows and uses them.
    batch_function
        Yields one outcome per scan, in any order.
    inputs, optional, code_version, settings, scan_settings, failure_settings
        What decides about staleness (see `AssetRule`).
    batch
        Scans per run in a backfill. Every asset needs its own number: Dagster puts assets with equal
        backfill policies into one run and then skips the second one without a word.
    table
        Documented columns of each scan's artifact, where that is a table.
    """
    rule = register(
        AssetRule(
            name,
            True,
            tuple(inputs),
            tuple(optional),
            code_version,
            settings,
            scan_settings,
            failure_settings,
            batch=batch,
            function=batch_function,
        )
    )

    @dg.asset(
        name=name,
        description=description,
        group_name=group,
        deps=list(inputs),
        metadata={**code_link(batch_function), **(columns_metadata([table]) if table else {})},
        partitions_def=SCANS,
        code_version=code_version,
        kinds=kinds,
        owners=list(OWNERS),
        pool=pool,
        output_required=False,
        backfill_policy=dg.BackfillPolicy.multi_run(batch),
    )
    def asset(context: dg.AssetExecutionContext, study: StudyResource) -> Iterator[Any]:
        workspace = study.open()
        keys = list(context.partition_keys)
        # A backfill of 100,000 scans is thousands of processes: each reads the events of its own scans.
        index = EventIndex(context.instance, partitions=keys)
        done = built_before(index, rule.name, context.run, tries=context.retry_number)
        staleness = Staleness(workspace, index, keys)
        todo = [key for key in keys if key not in done]
        now = {key: staleness.built_from(rule.name, key) for key in todo}
        why = {key: staleness.why(rule.name, key) for key in todo}
        pointers = {key: staleness.pointers(rule.name, key) for key in todo}
        failed: dict[str, str] = {}
        try_again = False
        started = time.monotonic()
        for outcome in batch_function([Scan.from_key(key) for key in todo], workspace):
            key = outcome.scan.key
            metadata: dict[str, Any] = {
                "exam": outcome.scan.exam,
                "participant": outcome.scan.participant,
                **(outcome.result.metadata if outcome.result else {}),
                "why": why[key],
                "seconds": round(time.monotonic() - started, 3),
                BUILT_FROM: now[key].as_metadata(),
            }
            started = time.monotonic()
            if outcome.result is None:
                failure = failure_metadata(outcome.error or RuntimeError("no result"), workspace.root)
                failed[key] = failure["code"]
                try_again |= isinstance(outcome.error, OSError | MemoryError | MachineError)
                context.log.error(f"{rule.name} {key}: {failure['message']}")
                metadata[FAILURE] = dg.MetadataValue.json(failure)
                metadata[BUILT_FROM] = staleness.built_from(rule.name, key, failed=True).as_metadata()
                yield dg.AssetObservation(rule.name, partition=key, metadata=metadata)
                continue
            if outcome.result.not_measurable is not None:
                metadata[NOT_MEASURABLE] = outcome.result.not_measurable
            tags = dagster_tags(outcome.result.data_version, now[key], pointers[key])
            if len(keys) == 1:
                version = dg.DataVersion(tags.pop(DATA_VERSION_TAG))
                inputs = {name: value for name, value in tags.items() if "/input_" in name}
                yield dg.MaterializeResult(metadata=metadata, data_version=version, tags=inputs)
            else:
                yield dg.AssetMaterialization(rule.name, partition=key, metadata=metadata, tags=tags)
        waits = workspace.study.automation.retry_seconds
        if try_again and UNATTENDED in context.run.tags and context.retry_number < len(waits):
            raise dg.RetryRequested(max_retries=len(waits), seconds_to_wait=waits[context.retry_number])
        if failed:
            named = ", ".join(f"{key} ({code})" for key, code in failed.items())
            raise dg.Failure(
                f"{len(failed)} of {len(keys)} scans failed: {named}",
                metadata={"failed": dg.MetadataValue.json(failed)},
                allow_retries=False,
            )

    return asset


def built_before(index: EventIndex, asset: str, run: dg.DagsterRun, *, tries: int) -> set[str]:
    """Scans that this run built in an earlier try, or the run whose dead worker the daemon replaces by it."""
    runs = {run.run_id} if tries else set()
    if RETRY_OF_DAEMON in run.tags:
        runs |= {run_id for run_id in (run.parent_run_id, run.root_run_id) if run_id is not None}
    if not runs:
        return set()
    return {
        key
        for key, record in index.records(asset).items()
        if key is not None and record.run_id in runs and record.failure is None
    }


def external_scan_asset(name: str, description: str, group: str, kinds: set[str]) -> dg.AssetSpec:
    """An input that comes with the scans: observed, never built."""
    register(AssetRule(name, partitioned=True, external=True))
    return dg.AssetSpec(
        name,
        description=description,
        group_name=group,
        partitions_def=SCANS,
        kinds=kinds,
        owners=list(OWNERS),
    )
