"""A study whose runs are Slurm jobs, with Dagster's queue and run monitoring worked by hand."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_graphql.schema import create_schema

from paraspinal_assets.defs.automation.batch import RANGE_END, RANGE_START
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.launchers.slurm import JOB_TAG, SlurmRunLauncher
from paraspinal_assets_tests.launchers.local_slurm import LocalSlurm

DEPLOY = Path(__file__).parents[2] / "deploy"
ASSETS = ("ct_nifti", "segmentation", "paraspinal_levels")
WAIT_S = 180.0

LAUNCH = """
mutation ($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message stack }
  }
}
"""


class ClusterStudy:
    """An instance with the Slurm launcher and a code server, as the daemon of a deployment has them."""

    def __init__(
        self, root: Path, slurm: LocalSlurm, instance: dg.DagsterInstance, context: WorkspaceProcessContext
    ) -> None:
        self.root = root
        self.scans = list(instance.get_dynamic_partitions(SCANS.name or ""))
        self._slurm = slurm
        self.instance = instance
        self._context = context
        self._queue = QueuedRunCoordinatorDaemon(interval_seconds=1)
        self._log = logging.getLogger("test")

    @property
    def launcher(self) -> SlurmRunLauncher:
        """The launcher of the instance."""
        launcher = self.instance.run_launcher
        assert isinstance(launcher, SlurmRunLauncher)
        return launcher

    def submit(self, asset: str, keys: Sequence[str]) -> str:
        """Put a run of a contiguous range of scans into Dagster's queue, as the UI does; returns its id."""
        (location,) = self._context.create_request_context().code_locations
        (repository,) = location.get_repositories()
        run = {
            "selector": {
                "repositoryLocationName": location.name,
                "repositoryName": repository,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": [asset]}],
                "assetCheckSelection": [],
            },
            "mode": "default",
            "executionMetadata": {
                "tags": [{"key": RANGE_START, "value": keys[0]}, {"key": RANGE_END, "value": keys[-1]}]
            },
        }
        answer = asyncio.run(
            create_schema().execute_async(
                LAUNCH, context_value=self._context.create_request_context(), variable_values={"run": run}
            )
        )
        assert answer.data is not None, answer.errors
        assert answer.data["launchRun"]["__typename"] == "LaunchRunSuccess", answer.data
        return str(answer.data["launchRun"]["run"]["runId"])

    def work(self) -> None:
        """One turn of the daemon: start what may start, look after what runs."""
        list(self._queue.run_iteration(self._context))
        problems = [item for item in execute_run_monitoring_iteration(self._context, self._log) if item]
        assert not problems, problems

    def wait(self, is_so: Callable[[], object]) -> None:
        """Turn the daemon until something is so."""
        end = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < end, self.describe()
            self.work()
            time.sleep(0.3)

    def run(self, run_id: str) -> dg.DagsterRun:
        """A run as it is now."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def status(self, *runs: str) -> set[str]:
        """Statuses of runs."""
        return {self.run(run).status.value for run in runs}

    def finished(self, *runs: str) -> bool:
        """Whether all of them have ended."""
        return all(self.run(run).is_finished for run in runs)

    def job_number(self, run_id: str) -> str | None:
        """Slurm's number of a run's job; None while it is in Dagster's queue."""
        return self.run(run_id).tags.get(JOB_TAG)

    def slurm_job(self, run_id: str) -> dict[str, str]:
        """What Slurm knows about a run's job."""
        return self._slurm.job(self.job_number(run_id) or "")

    def process(self, run_id: str) -> int:
        """The process that works on a run, on this machine as all nodes are."""
        found = (
            re.search(r"process for run \(pid: (\d+)\)", entry.message)
            for entry in self.instance.all_logs(run_id)
        )
        return int(next(match for match in found if match)[1])

    def last_message(self, run_id: str) -> str:
        """Why a run failed."""
        failures = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        return failures[-1].message

    def set_pool(self, name: str, limit: int) -> None:
        """Set the limit of a pool, as `dagster instance concurrency set` does."""
        self.instance.event_log_storage.set_concurrency_slots(name, limit)

    def built(self, run_id: str) -> int:
        """How many artifacts a run has finished."""
        return len(self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION))

    def describe(self) -> str:
        """All runs and the ends of their logs, for a failing test."""
        return "\n".join(
            f"{run.run_id} {run.status.value}\n{self.launcher.get_run_worker_debug_info(run)}"
            for run in self.instance.get_runs()
        )


@contextmanager
def on_cluster(root: Path, slurm: LocalSlurm) -> Iterator[ClusterStudy]:
    """A study on the cluster with the shipped dagster.yaml, its scans registered."""
    workspace = Workspace.open(root / "study.yaml")
    workspace.store.write_bytes(
        workspace.store.dagster_home / "dagster.yaml", (DEPLOY / "slurm" / "dagster.yaml").read_bytes()
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (*environment(workspace).items(), *slurm.environment.items()):
            patch.setenv(name, value)
        with study_instance(workspace) as instance:
            take_in(look(workspace, instance, EventIndex(instance)), instance)
            target = ModuleTarget("paraspinal_assets.definitions", None, None, None)
            with WorkspaceProcessContext(instance, target) as context:
                study = ClusterStudy(root, slurm, instance, context)
                study.set_pool("gpu", slurm.gpus)
                yield study


def data_versions(instance: dg.DagsterInstance) -> dict[tuple[str, str | None], str | None]:
    """Asset and scan -> data version, for all assets that the tests build."""
    index = EventIndex(instance)
    return {
        (asset, key): record.data_version for asset in ASSETS for key, record in index.records(asset).items()
    }


def file_digests(root: Path) -> dict[str, str]:
    """Path below the study -> digest, for every artifact of a scan."""
    files = sorted(path for path in (root / "scans").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
