"""Which runs are taken for dead, and what is done about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from paraspinal_assets.defs.abandoned import FOLDER, at_work, close_abandoned
from paraspinal_assets.defs.event_index import EventIndex

TAG = "paraspinal/command"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def started_run(instance: dg.DagsterInstance, **tags: str) -> str:
    """A run that has started, as a killed process leaves it."""

    @dg.job
    def job() -> None:
        pass

    run = instance.create_run_for_job(job, tags=tags, status=DagsterRunStatus.STARTED)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def test_a_run_whose_process_lives_is_left_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = started_run(instance, **{TAG: "run"})
    with at_work(tmp_path, run):
        assert close_abandoned(EventIndex(instance), tmp_path, own=TAG) == []
        assert status(instance, run) == "STARTED"
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_run_whose_lock_is_gone_is_ended(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = started_run(instance)
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / run).touch()
    assert close_abandoned(EventIndex(instance), tmp_path) == [run]
    assert status(instance, run) == "FAILURE"
    assert list((tmp_path / FOLDER).iterdir()) == []
    assert close_abandoned(EventIndex(instance), tmp_path) == []


def test_only_the_commands_own_runs_are_ended_before_they_opened_the_study(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    from_ui, from_command = started_run(instance), started_run(instance, **{TAG: "run"})
    assert close_abandoned(EventIndex(instance), tmp_path, own=TAG) == [from_command]
    assert (status(instance, from_ui), status(instance, from_command)) == ("STARTED", "FAILURE")
