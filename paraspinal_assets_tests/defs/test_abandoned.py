"""Which runs are taken for dead, and what is done about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

from paraspinal_assets.defs.abandoned import FOLDER, at_work, close_abandoned
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.forget_events import refuse_at_work
from paraspinal_assets.defs.provenance import DATA_VERSION_TAG
from paraspinal_assets.errors import MachineError

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


def test_what_was_built_since_a_run_failed_is_not_built_again(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    killed = started_run(instance)
    for key in ("exam5-1", "exam5-2"):
        planned = AssetMaterializationPlannedData(dg.AssetKey("muscle"), partition=key)
        event = DagsterEvent.build_asset_materialization_planned_event("job", "step", planned)
        instance.report_dagster_event(event, run_id=killed)
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / killed).touch()
    run = instance.get_run_by_id(killed)
    assert run is not None
    instance.report_run_failed(run, "as run monitoring does")
    instance.report_runless_asset_event(
        dg.AssetMaterialization("muscle", partition="exam5-1", tags={DATA_VERSION_TAG: "whole"})
    )
    index = EventIndex(instance)
    assert close_abandoned(index, tmp_path) == [killed]
    assert {key: record.data_version for key, record in index.records("muscle").items()} == {
        "exam5-1": "whole",
        "exam5-2": None,
    }


def test_nobody_is_removed_while_the_process_of_a_run_that_counts_as_failed_works(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run_id = started_run(instance)
    with at_work(tmp_path, run_id):
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_failed(run, "its node could not be reached")
        with pytest.raises(MachineError, match=f"E-STUDY-62.*{run_id}"):
            refuse_at_work(instance, tmp_path)
    refuse_at_work(instance, tmp_path)
