"""One batch in a worker process: a Dagster run in this process, recorded in the study's instance."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import dagster as dg

from paraspinal_assets.defs.asset_definitions import asset_definitions
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import study_place
from paraspinal_assets.launchers.command_runs import COMMAND_TAG
from paraspinal_assets.study.disk import disk_error

RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
_OUTCOMES: Final = (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION)
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@cache
def _own_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, opened once for all batches of a worker process."""
    return dg.DagsterInstance.get()


@cache
def _all_assets() -> dg.JobDefinition:
    """The job with every asset, resolved once."""
    return asset_definitions().resolve_implicit_global_asset_job_def()


def execute(
    asset: str,
    keys: tuple[str, ...],
    instance: dg.DagsterInstance | None = None,
    scan_done: Callable[[str], None] = lambda asset: None,
) -> None:
    """Build an asset, for a contiguous range of scans or as a table. Failures are in the event log, not raised.

    Ctrl-C and SIGTERM are (KeyboardInterrupt), which Dagster takes for one more failure of its run.

    `scan_done` is called with the asset's name whenever the event of another scan is in the log.
    """
    # The daemon must not try again what this command is about to try again itself.
    options: dict[str, Any] = {"tags": {COMMAND_TAG: "run", "dagster/max_retries": "0"}}
    if len(keys) == 1:
        options["partition_key"] = keys[0]
    elif keys:
        options["tags"] |= {RANGE_START: keys[0], RANGE_END: keys[-1]}
    place = study_place()
    instance = instance or _own_instance()
    run_id = str(uuid.uuid4())

    interrupted = False

    def logged(entry: dg.EventLogEntry) -> None:
        nonlocal interrupted
        event = entry.dagster_event
        error = getattr(event.event_specific_data, "error", None) if event is not None else None
        interrupted |= getattr(error, "cls_name", None) == dg.DagsterExecutionInterruptedError.__name__
        if event is not None and event.event_type in _OUTCOMES and event.partition is not None:
            scan_done(asset)

    instance.add_event_listener(run_id, logged)
    try:
        _all_assets().execute_in_process(
            run_config={**_QUIET, "resources": {"study": {"config": {"study_file": str(place)}}}},
            instance=instance,
            asset_selection=[dg.AssetKey(asset)],
            raise_on_error=False,
            run_id=run_id,
            **options,
        )
    except (dg.DagsterUnknownPartitionError, dg.DagsterInvalidInvocationError):
        # A sensor, or `paraspinal status`, has seen meanwhile that a scan is gone.
        there = set(instance.get_dynamic_partitions(SCANS.name or ""))
        left = tuple(key for key in keys if key in there)
        if left == keys:
            raise
        if left:
            execute(asset, left, instance, scan_done)
    except Exception as error:
        # Only the event log itself is left: what it cannot take down stops the whole command.
        of_disk = disk_error(error, place.folder)
        if of_disk is None:
            raise
        raise of_disk from error
    if interrupted:
        raise KeyboardInterrupt
