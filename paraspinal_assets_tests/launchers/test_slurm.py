"""Runs as jobs of a real Slurm cluster on this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.automation.staleness import Staleness
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.launchers import slurm as slurm_launcher
from paraspinal_assets.launchers.lost_jobs import end_lost_runs
from paraspinal_assets.launchers.slurm_client import ControllerAwayError
from paraspinal_assets_tests.launchers.cluster_study import ASSETS, ClusterStudy, data_versions, file_digests
from paraspinal_assets_tests.launchers.local_slurm import LocalSlurm

pytestmark = pytest.mark.slow


@dataclass
class Backfill:
    """What a backfill with trouble in the middle was: runs of CTs, then runs of segmentations."""

    ct_runs: list[str]
    gpu_runs: list[str]
    jobs: dict[str, dict[str, str]]
    drained: str
    waiting: list[str]


@pytest.fixture(scope="module")
def backfill(study: ClusterStudy, slurm: LocalSlurm) -> Backfill:
    """30 scans in six jobs, a node drained and the controller restarted meanwhile; then their segmentation."""
    scans = study.scans
    ct_runs = [study.submit("ct_nifti", scans[first : first + 5]) for first in range(0, len(scans), 5)]
    study.wait(lambda: all(study.job_number(run) for run in ct_runs))
    study.wait(lambda: study.slurm_job(ct_runs[0])["JobState"] == "RUNNING")
    drained = study.slurm_job(ct_runs[0])["NodeList"]
    slurm.command("scontrol", "update", f"nodename={drained}", "state=drain", "reason=test")
    waiting = [run for run in ct_runs if study.slurm_job(run)["JobState"] == "PENDING"]
    slurm.stop_controller()
    slurm.start_controller()
    study.wait(lambda: study.finished(*ct_runs))
    slurm.command("scontrol", "update", f"nodename={drained}", "state=resume")

    with slurm.full():
        # Both wait, so that they start at the same time.
        gpu_runs = [study.submit("segmentation", scans[:15]), study.submit("segmentation", scans[15:])]
        study.wait(lambda: all(study.job_number(run) for run in gpu_runs))
    study.wait(lambda: study.finished(*gpu_runs))
    slurm.wait_until_idle()
    jobs = {run: study.slurm_job(run) for run in (*ct_runs, *gpu_runs)}
    return Backfill(ct_runs, gpu_runs, jobs, drained, waiting)


@pytest.fixture(scope="module")
def local(thirty_scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same scans built by one process on this machine, and what it recorded."""
    root = tmp_path_factory.mktemp("local") / "study"
    shutil.copytree(thirty_scans, root)
    workspace = Workspace.open(root / "study.yaml")
    with pytest.MonkeyPatch.context() as patch:
        for name in environment(workspace):
            patch.setenv(name, "")
        with study_instance(workspace) as instance:
            run_study(workspace, instance, Selection(frozenset(ASSETS)), workers=1, progress=Progress())
    return root


def test_each_run_of_a_backfill_is_a_job_that_succeeds(study: ClusterStudy, backfill: Backfill) -> None:
    assert study.status(*backfill.jobs) == {"SUCCESS"}, study.describe()
    assert {job["JobState"] for job in backfill.jobs.values()} == {"COMPLETED"}
    assert len({job["JobId"] for job in backfill.jobs.values()}) == 8


def test_jobs_go_to_other_nodes_while_one_is_drained(backfill: Backfill) -> None:
    # Four nodes take four of the six jobs at first.
    assert backfill.waiting
    assert backfill.drained not in {backfill.jobs[run]["NodeList"] for run in backfill.waiting}


def test_a_job_asks_for_what_its_asset_needs(backfill: Backfill) -> None:
    for run, job in backfill.jobs.items():
        segmentation = run in backfill.gpu_runs
        assert job["CPUs/Task"] == ("1" if segmentation else "2")
        assert job.get("TresPerNode") == ("gres:gpu:1" if segmentation else None)
        assert job["TimeLimit"] == ("00:20:00" if segmentation else "00:10:00")


def test_each_gpu_job_has_a_gpu_of_its_own(study: ClusterStudy, backfill: Backfill) -> None:
    first = {run: study.launcher.log_file(run).read_text().partition("\n")[0] for run in backfill.jobs}
    gpus = {first[run] for run in backfill.gpu_runs}
    assert len(gpus) == 2
    for line in gpus:
        assert re.fullmatch(r"node n[1-4], GPU [01]", line)
    assert all(first[run].endswith("GPU none") for run in backfill.ct_runs)


def test_logs_of_jobs_are_collected_in_the_study(study: ClusterStudy, backfill: Backfill) -> None:
    for run, job in backfill.jobs.items():
        log = study.launcher.log_file(run)
        assert job["StdOut"] == str(log)
        assert "RUN_SUCCESS" in log.read_text()


def test_a_job_killed_by_scancel_leaves_only_whole_scans_and_the_next_run_does_the_rest(
    study: ClusterStudy, slurm: LocalSlurm, backfill: Backfill, local: Path
) -> None:
    run = study.submit("paraspinal_levels", study.scans)
    study.wait(lambda: study.built(run) > 0)
    slurm.command("scancel", study.job_number(run) or "")
    study.wait(lambda: study.finished(run))
    # Nobody asked Dagster for it, so it is a failure and not a cancellation.
    assert study.status(run) == {"FAILURE"}
    assert 0 < study.built(run) < 30

    workspace = Workspace.open(study.root / "study.yaml")
    staleness = Staleness(workspace, EventIndex(study.instance), study.scans)
    rest = [key for key in staleness.assess().buildable("paraspinal_levels") if key is not None]
    assert len(rest) == 30 - study.built(run)
    after = study.submit("paraspinal_levels", sorted(rest, key=study.scans.index))
    study.wait(lambda: study.finished(after))
    assert study.status(after) == {"SUCCESS"}, study.describe()

    assert data_versions(study.instance) == data_versions_of(local)
    assert file_digests(study.root) == file_digests(local)


def data_versions_of(root: Path) -> dict[tuple[str, str | None], str | None]:
    """Data versions that a study's own instance recorded: 30 scans of each asset."""
    workspace = Workspace.open(root / "study.yaml")
    with pytest.MonkeyPatch.context() as patch:
        for name in environment(workspace):
            patch.setenv(name, "")
        with study_instance(workspace) as instance:
            found = data_versions(instance)
    assert len(found) == 30 * len(ASSETS)
    return found


def test_a_run_whose_process_is_lost_fails_and_says_what_slurm_knows(study: ClusterStudy) -> None:
    run = study.submit("ct_nifti", study.scans[:5])
    study.wait(lambda: study.status(run) == {"STARTED"})
    os.kill(study.process(run), signal.SIGKILL)
    study.wait(lambda: study.finished(run))
    assert study.status(run) == {"FAILURE"}
    message = study.last_message(run)
    assert f"Slurm job {study.job_number(run)} is FAILED" in message
    assert str(study.launcher.log_file(run)) in message


def test_while_the_controller_is_away_nothing_is_known_and_the_run_goes_on(
    study: ClusterStudy, slurm: LocalSlurm
) -> None:
    run = study.submit("ct_nifti", study.scans[:5])
    study.wait(lambda: study.status(run) == {"STARTED"})
    slurm.stop_controller()
    try:
        with pytest.raises(ControllerAwayError, match="E-SLURM-02"):
            study.launcher.check_run_worker_health(study.run(run))
    finally:
        slurm.start_controller()
    study.wait(lambda: study.finished(run))
    assert study.status(run) == {"SUCCESS"}, study.describe()


def test_a_run_is_not_shown_as_ending_while_nobody_can_end_its_job(
    study: ClusterStudy, slurm: LocalSlurm
) -> None:
    with slurm.full():
        run = study.submit("ct_nifti", study.scans[:5])
        study.wait(lambda: study.job_number(run))
        slurm.stop_controller()
        try:
            with pytest.raises(ControllerAwayError, match="E-SLURM-02"):
                study.launcher.terminate(run)
        finally:
            slurm.start_controller()
        assert study.status(run) == {"STARTING"}
        assert study.launcher.terminate(run)


def test_terminating_ends_a_job_that_works(study: ClusterStudy) -> None:
    run = study.submit("ct_nifti", study.scans)
    study.wait(lambda: study.status(run) == {"STARTED"})
    assert study.launcher.terminate(run)
    study.wait(lambda: study.finished(run))
    assert study.status(run) == {"CANCELED"}
    assert study.built(run) < 30
    assert not study.launcher.terminate(run)


def test_terminating_ends_a_job_that_waits(study: ClusterStudy, slurm: LocalSlurm) -> None:
    with slurm.full():
        run = study.submit("ct_nifti", study.scans[:5])
        study.wait(lambda: study.job_number(run))
        assert study.launcher.terminate(run)
        assert study.status(run) == {"CANCELED"}
        assert study.slurm_job(run)["JobState"] == "CANCELLED"


def test_a_run_whose_waiting_job_was_cancelled_fails_instead_of_waiting_for_ever(
    study: ClusterStudy, slurm: LocalSlurm
) -> None:
    with slurm.full():
        run = study.submit("ct_nifti", study.scans[:5])
        study.wait(lambda: study.job_number(run))
        assert end_lost_runs(study.instance, study.launcher) == []
        slurm.command("scancel", study.job_number(run) or "")
        assert end_lost_runs(study.instance, study.launcher) == [run]
    assert study.status(run) == {"FAILURE"}
    assert "CANCELLED" in study.last_message(run)


@contextmanager
def limit_of_jobs(folder: Path) -> Iterator[None]:
    """`sbatch` as it is while the user has as many jobs as the cluster allows."""
    command = folder / "sbatch"
    command.write_text("#!/bin/sh\necho 'sbatch: error: AssocMaxSubmitJobLimit' >&2\nexit 1\n")
    command.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        patch.setattr(slurm_launcher, "FULL_AGAIN_AFTER_S", 0.0)
        yield


def test_a_run_waits_in_the_queue_while_slurm_takes_no_more_jobs(
    study: ClusterStudy, slurm: LocalSlurm, tmp_path: Path
) -> None:
    with slurm.full():
        first = study.submit("ct_nifti", study.scans[:5])
        study.wait(lambda: study.job_number(first))
        second = study.submit("ct_nifti", study.scans[5:10])
        with limit_of_jobs(tmp_path):
            study.work()
            assert study.status(second) == {"QUEUED"}
        study.wait(lambda: study.job_number(second))
        for run in (first, second):
            study.launcher.terminate(run)
    assert study.status(first, second) == {"CANCELED"}


def test_a_run_fails_where_slurm_takes_no_job_at_all(study: ClusterStudy, tmp_path: Path) -> None:
    run = study.submit("ct_nifti", study.scans[:5])
    with limit_of_jobs(tmp_path):
        study.work()
    assert study.status(run) == {"FAILURE"}


def test_the_gpu_pool_throttles_jobs(study: ClusterStudy, slurm: LocalSlurm) -> None:
    # The deployment says how many GPUs there are; with none free, runs stay in Dagster's queue.
    with slurm.full():
        study.set_pool("gpu", 1)
        first, second = (study.submit("segmentation", study.scans[at : at + 5]) for at in (0, 5))
        study.wait(lambda: study.job_number(first))
        for _ in range(3):
            study.work()
        assert study.job_number(second) is None
        assert study.status(second) == {"QUEUED"}
        study.set_pool("gpu", slurm.gpus)
        study.wait(lambda: study.job_number(second))
        for run in (first, second):
            study.launcher.terminate(run)
    assert study.status(first, second) == {"CANCELED"}


def test_no_secret_is_in_a_jobs_script(study: ClusterStudy, slurm: LocalSlurm, backfill: Backfill) -> None:
    number = study.job_number(backfill.ct_runs[0]) or ""
    script = slurm.command("scontrol", "write", "batch_script", number, "-")
    assert "execute_run" in script
    assert "dagster.yaml" not in script
    assert os.environ["DAGSTER_HOME"] not in script
