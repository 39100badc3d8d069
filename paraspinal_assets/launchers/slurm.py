"""Dagster run launcher for Slurm: one run, which is one batch of scans, is one job.

Dagster decides what to build and how many runs may exist at once (its pools); Slurm decides when and where each
runs. The daemon's host needs sbatch, squeue and scancel; the study's folder and the database of runs must be
reachable from the compute nodes. A job is never requeued: a run that lost its node is marked as failed, and what it
had not finished is stale and is built by the next run.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.events import DagsterEvent
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from paraspinal_assets.errors import LaunchError
from paraspinal_assets.launchers.command_runs import command_health
from paraspinal_assets.launchers.resources import asset_names
from paraspinal_assets.launchers.slurm_client import (
    ENDED_WELL,
    Job,
    QueueFullError,
    cancel,
    find,
    has_jobs,
    submit,
)
from paraspinal_assets.launchers.slurm_resources import sbatch_options, slurm_resources
from paraspinal_assets.study import bucket
from paraspinal_assets.study.compute_settings import SlurmSettings
from paraspinal_assets.study.place import WORK_VARIABLE, StudyPlace
from paraspinal_assets.study.store import StudyStore

JOB_TAG: Final = "slurm/job_id"
VARIABLES: Final = (
    *(
        "SLURM_CONF",
        "DAGSTER_HOME",
        "PARASPINAL_STUDY",
        "PARASPINAL_POSTGRES_URL",
        "PATH",
        "PYTHONPATH",
        "HOME",
        "USER",
        "LANG",
        "LC_ALL",
    ),
    *("TOTALSEG_HOME_DIR", "TOTALSEG_WEIGHTS_PATH"),
    WORK_VARIABLE,
    *bucket.VARIABLES,
)
"""Variables that a job gets from the daemon, as far as they are set; the study file can name more."""

LOG_TAIL_BYTES: Final = 2000
FULL_AGAIN_AFTER_S: Final = 60.0
"""Pause in which no job is submitted after one was beyond the limit of jobs."""


class SlurmRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Runs as Slurm jobs; resources per asset come from `compute.slurm` of the study file.

    In the instance's ``dagster.yaml``::

        run_launcher:
          module: paraspinal_assets.launchers.slurm
          class: SlurmRunLauncher
          config:
            study_file: {env: PARASPINAL_STUDY}
    """

    def __init__(self, study_file: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._study = StudyPlace.of(study_file)
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's base class has no types here

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """How the instance's settings name this launcher."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        """Settings in ``dagster.yaml``."""
        return {"study_file": dg.Field(dg.StringSource, description="The study whose runs are launched.")}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> SlurmRunLauncher:
        """Made by Dagster from ``dagster.yaml``."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Submit the run's job. The study file is read anew, so that edits of resources count."""
        run = context.dagster_run
        settings = self._study.load().compute.slurm
        log = self.log_file(run.run_id)
        log.parent.mkdir(parents=True, exist_ok=True)
        options = [
            *sbatch_options(slurm_resources(settings, asset_names(run, settings.assets))),
            *settings.options,
            "--no-requeue",
            # The environment of `sbatch`, which is chosen below; naming variables here would make Slurm
            # start a login shell on the node and wait for it.
            "--export=ALL",
            f"--chdir={self._study.folder}",
            f"--output={str(log).replace('%', '%%')}",
        ]
        environment = {
            name: os.environ[name] for name in (*VARIABLES, *settings.environment) if name in os.environ
        }
        try:
            number = submit(job_name(run.run_id), script(context, settings), options, environment)
        except QueueFullError as error:
            self._put_back(run, error)
            return
        self._instance.add_run_tags(run.run_id, {JOB_TAG: number})
        self._instance.report_engine_event(
            f"Submitted as Slurm job {number}: {shlex.join(options)}", run, cls=self.__class__
        )

    def _put_back(self, run: dg.DagsterRun, error: QueueFullError) -> None:
        """Have a run wait in Dagster's queue until Slurm takes its job.

        Not if this user has no job there: then none will end, and the run would wait for ever.
        """
        if not (isinstance(self._instance.run_coordinator, QueuedRunCoordinator) and has_jobs()):
            raise error
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.status is not dg.DagsterRunStatus.STARTING:
            return  # canceled meanwhile
        self._instance.report_engine_event(
            f"Back to the queue, as Slurm takes no more jobs: {error.message}", run, cls=self.__class__
        )
        self._instance.report_dagster_event(DagsterEvent.job_enqueue(run), run.run_id)
        # Dagster would be back in seconds, and each attempt is three events.
        time.sleep(FULL_AGAIN_AFTER_S)

    def terminate(self, run_id: str) -> bool:
        """Cancel the run's job. A job that works gets SIGTERM, and its run reports the end itself."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or command_health(run) is not None:
            return False
        # Asked first: while the controller is away nothing is ended, and the run must not be shown as ending.
        job = self.job(run)
        self._instance.report_run_canceling(run)
        if job is not None and job.state == "PENDING":
            cancel(job.number, only_waiting=True)
            job = self.job(run)
        if job is None or job.ended:
            # No process is there, or is left, that could say so.
            self._instance.report_run_canceled(run, f"Canceled: {job or 'Slurm knows no job of this run'}.")
        else:
            cancel(job.number)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """What Slurm says about the run's job.

        While the controller does not answer, `ControllerAwayError` passes through: Dagster's monitoring then logs
        it and leaves the run as it is, where any answer but "running" would fail a run that works.
        """
        of_command = command_health(run)
        if of_command is not None:
            return of_command
        job = self.job(run)
        if job is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "Slurm knows no job of this run")
        if not job.ended:
            return CheckRunHealthResult(WorkerStatus.RUNNING, str(job), run_worker_id=job.number)
        if job.state in ENDED_WELL:
            # The process reports the run's end before it exits, so this is looked at in the right order.
            now = self._instance.get_run_by_id(run.run_id)
            if now is None or now.is_finished:
                return CheckRunHealthResult(WorkerStatus.SUCCESS, str(job), run_worker_id=job.number)
        return CheckRunHealthResult(WorkerStatus.FAILED, str(job), run_worker_id=job.number)

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """The job's state and the end of its log, for the message of a failed run."""
        lines = [str(self.job(run) or "Slurm knows no job of this run")]
        log = self.log_file(run.run_id)
        if log.exists():
            tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
            lines += [f"End of {log}:", tail]
        return "\n".join(lines)

    def job(self, run: dg.DagsterRun) -> Job | None:
        """The Slurm job of a run, if Slurm knows one."""
        return find(job_name(run.run_id), run.tags.get(JOB_TAG))

    def log_file(self, run_id: str) -> Path:
        """Where the output of a run's job is collected: in the study, beside Dagster's own logs."""
        return job_log(StudyStore(self._study.folder).dagster_home, run_id)


def job_log(home: Path, run_id: str) -> Path:
    """The file with the output of a run's job, in a study's Dagster folder."""
    return home / "slurm" / f"{run_id}.log"


def job_name(run_id: str) -> str:
    """The name of a run's job, which is the only one of its kind."""
    return f"paraspinal-{run_id}"


def script(context: LaunchRunContext, settings: SlurmSettings) -> str:
    """The batch script of a run.

    Its last line replaces the shell, so that signals reach Python. The run's settings are not in it: the process
    opens the instance of DAGSTER_HOME, and no secret stands in a command line.
    """
    run = context.dagster_run
    origin = context.job_code_origin
    if origin is None:
        raise LaunchError(
            "E-SLURM-03", f"run {run.run_id} does not say where its code is", "launch it from a code location"
        )
    arguments = ExecuteRunArgs(origin, run.run_id, instance_ref=None, set_exit_code_on_failure=True)
    serialized = arguments.get_command_args()[-1]
    command = [settings.python or origin.executable_path, "-m", "dagster", "api", "execute_run", serialized]
    return "\n".join(
        (
            "#!/bin/sh",
            'echo "node ${SLURMD_NODENAME}, GPU ${CUDA_VISIBLE_DEVICES:-none}"',
            'export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"',
            f"exec {shlex.join([*settings.prefix, *command])}",
            "",
        )
    )
