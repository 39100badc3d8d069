"""Runs whose process was killed: Dagster would show them as started for ever, and their pools as taken.

While a run works on a study its process holds a lock on a file that has the run's name. The operating system
takes the lock away when the process ends, however it ends, on whatever machine it was, so a file without a lock
is a run that was cut off. (Dagster's own monitoring does not notice this with its default launcher.)
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus

from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.provenance import FAILURE
from paraspinal_assets.defs.results import INTERRUPTED
from paraspinal_assets.study.complete import is_held

FOLDER: Final = "at-work"
START_S: Final = 120.0
"""A started run opens the study, and with it its file, within this time."""
DRAFT_S: Final = 3600.0
_OPEN: Final = (
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


@contextmanager
def at_work(home: Path, run_id: str) -> Iterator[None]:
    """Show that a run's process is alive, until it is done with the study or dies."""
    path = home / FOLDER / run_id
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{run_id}-{os.getpid()}")
    with open(draft, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.replace(draft, path)  # under its name it is locked from the start
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def working(home: Path) -> list[str]:
    """Runs whose process is alive, whatever the instance says of them: it may have given one up too soon."""
    return [path.name for path in sorted((home / FOLDER).glob("[!.]*")) if is_held(path)]


def close_abandoned(index: EventIndex, home: Path, *, own: str | None = None) -> list[str]:
    """End the runs whose process is gone, and mark what they had not finished; returns their ids.

    What such a run was to build may be half new on disk (one of two files, or both without an event that says
    from what), so each of these partitions is marked as interrupted and built again.

    Parameters
    ----------
    index
        Events of the study's instance.
    home
        Folder of that instance.
    own
        Tag of runs that are known to have no process any more, also when they never opened the study.
    """
    instance = index.instance
    closed: list[str] = []
    for path in sorted((home / FOLDER).glob("[!.]*")):
        if not is_held(path):
            _mark_interrupted(instance, index, path.name)
            _fail(instance, path.name)
            path.unlink(missing_ok=True)
            closed.append(path.name)
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(_OPEN))):
        run_id = record.dagster_run.run_id
        gone = own is not None and own in record.dagster_run.tags
        late = record.start_time is not None and time.time() - record.start_time > START_S
        if (gone or late) and not (home / FOLDER / run_id).exists():
            _fail(instance, run_id)
            closed.append(run_id)
    for draft in (home / FOLDER).glob(".*"):
        if time.time() - draft.stat().st_mtime > DRAFT_S:
            draft.unlink(missing_ok=True)
    return closed


def _mark_interrupted(instance: dg.DagsterInstance, index: EventIndex, run_id: str) -> None:
    """An observation for each partition that the run had planned and of which it left no event.

    Not where another run built it after this one was known to have ended: it is whole again.
    """
    known_run = instance.get_run_record_by_id(run_id)
    ended = known_run.end_time if known_run is not None else None
    planned = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    for entry in planned:
        data = entry.get_dagster_event().asset_materialization_planned_data
        asset = data.asset_key.to_user_string()
        keys = data.partitions_subset.get_partition_keys() if data.partitions_subset else [data.partition]
        known = index.records(asset)
        for key in keys:
            record = known.get(key)
            if record is not None and (
                record.run_id == run_id or (ended is not None and record.timestamp > ended)
            ):
                continue
            mark_interrupted(instance, asset, key, f"run {run_id} was killed while it built this")


def mark_interrupted(instance: dg.DagsterInstance, asset: str, key: str | None, why: str) -> None:
    """Note that what is on disk of a partition may be half or damaged: it is built again."""
    failure = {"code": INTERRUPTED, "message": f"[{INTERRUPTED}] {why}", "bad_input": False}
    instance.report_runless_asset_event(
        dg.AssetObservation(asset, partition=key, metadata={FAILURE: dg.MetadataValue.json(failure)})
    )


def _fail(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(
            run, "The process of this run was killed; what it had not finished is stale."
        )
