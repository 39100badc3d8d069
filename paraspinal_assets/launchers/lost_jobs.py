"""A sensor that ends runs whose Slurm job was lost before it began.

Dagster's own monitoring asks about the worker of a run that has started; a run that still waits it only gives up
after a time limit, and a job may rightly wait for days. So a job that an administrator cancelled while it was
waiting, or that Slurm never got, would keep its run, and its place in the pools, until then.
"""

from __future__ import annotations

import time
from typing import Final

import dagster as dg

from paraspinal_assets.launchers.slurm import SlurmRunLauncher

SUBMISSION_TAKES_S: Final = 600.0
"""A run without a job is given this long: its submission may be waiting for the controller."""


@dg.sensor(
    name="lost_slurm_jobs",
    description="Marks runs as failed whose Slurm job ended before it began. Idle with other launchers.",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def lost_slurm_jobs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Compare the runs that are being started with what Slurm says."""
    if not isinstance(context.instance.run_launcher, SlurmRunLauncher):
        return dg.SkipReason("runs are not Slurm jobs")
    lost = end_lost_runs(context.instance, context.instance.run_launcher)
    return dg.SkipReason(f"{len(lost)} runs had lost their job" if lost else "no job was lost")


def end_lost_runs(instance: dg.DagsterInstance, launcher: SlurmRunLauncher) -> list[str]:
    """Mark runs as failed that are being started and have no job that could still start; returns their ids."""
    lost = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
        run = record.dagster_run
        job = launcher.job(run)
        if job is None and time.time() - record.update_timestamp.timestamp() < SUBMISSION_TAKES_S:
            continue
        if job is not None and not job.ended:
            continue
        # Looked at again after Slurm: a short job may have begun and ended meanwhile.
        now = instance.get_run_by_id(run.run_id)
        if now is not None and now.status is dg.DagsterRunStatus.STARTING:
            instance.report_run_failed(now, launcher.get_run_worker_debug_info(now))
            lost.append(run.run_id)
    return lost
