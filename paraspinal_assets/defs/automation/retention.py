"""Which old runs may go. What was built from what is in their events, so most may not."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg

from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.launchers.slurm import job_log

PAGE: Final = 500
_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def superseded_runs(instance: dg.DagsterInstance, index: EventIndex, before: datetime) -> list[str]:
    """Runs that ended, were started before a time, and of which no event is the latest of anything.

    Deleting a run deletes its events. Without the latest event of a scan or table, that would count as never
    built; such runs stay, however old they are.
    """
    filters = dg.RunsFilter(statuses=_ENDED, created_before=before)
    ended: list[str] = []
    cursor: str | None = None
    while page := instance.get_runs(filters, cursor=cursor, limit=PAGE):
        ended += [run.run_id for run in page]
        cursor = page[-1].run_id
    # Only now: the events of a run that ended while the others were listed are read too.
    needed = {record.run_id for asset in asset_rules() for record in index.records(asset).values()}
    return [run_id for run_id in ended if run_id not in needed]


def delete_run(instance: dg.DagsterInstance, home: Path, run_id: str) -> None:
    """Delete a run, its events, and the files with what its steps and its Slurm job printed."""
    instance.delete_run(run_id)
    printed = home / "storage" / run_id
    if printed.exists():
        shutil.rmtree(printed)
    job_log(home, run_id).unlink(missing_ok=True)
