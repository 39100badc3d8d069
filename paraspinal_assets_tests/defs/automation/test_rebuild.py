"""What a rebuild launches: exactly the stale partitions, with reasons, once."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from paraspinal_assets.defs.automation import backfill
from paraspinal_assets.defs.automation.batch import execute
from paraspinal_assets.defs.automation.rebuild import Step, rebuild_step
from paraspinal_assets.defs.automation.run_lock import exclusive
from paraspinal_assets.defs.automation.runner import Selection
from paraspinal_assets.defs.automation.sensors import rebuild_next
from paraspinal_assets.defs.build import build_definitions
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.forget_events import refuse_at_work
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.defs.workspace import StudyResource
from paraspinal_assets.errors import MachineError
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import write_scan

pytestmark = pytest.mark.slow

CHAIN = ["ct_nifti", "segmentation", "quality", "paraspinal_levels", "scan_muscle", "scan_bone"]
CHAIN += ["scan_radiomics", "scan_deformity"]
GRAPH = build_definitions().resolve_asset_graph()


@pytest.fixture
def instance(built: BuiltStudy) -> Iterator[dg.DagsterInstance]:
    text = (built.root / "study.yaml").read_text()
    (built.root / "study.yaml").write_text(f"{text}\nautomation: {{quiet_seconds: 0}}\n")
    with study_instance(built.workspace) as instance:
        yield instance


def step(
    built: BuiltStudy, instance: dg.DagsterInstance, *, rebuild: str = "first", **options: object
) -> Step:
    selection = options.pop("selection", Selection())
    return rebuild_step(
        built.workspace,
        instance,
        GRAPH,
        selection,
        rebuild=rebuild,
        options={},
        **options,  # type: ignore[arg-type]
    )


def end(instance: dg.DagsterInstance, status: BulkActionStatus = BulkActionStatus.COMPLETED_FAILED) -> None:
    """As if the daemon had come to the end of the backfill and built nothing."""
    (running,) = backfill.in_progress(instance)
    instance.update_backfill(running.with_status(status))


def test_nothing_stale_launches_nothing(built: BuiltStudy, instance: dg.DagsterInstance) -> None:
    assert step(built, instance).words == "nothing to build"
    assert instance.get_backfills() == []


def test_a_replaced_scan_is_one_partition_until_its_content_is_known(
    built: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    write_scan(built.root, "exam5", "1003", muscle_hu=41.0)
    launched = step(built, instance)
    assert launched.plan.partitions == {"ct_nifti": {"exam5-1003": "input raw_scan changed"}}
    (found,) = instance.get_backfills()
    assert backfill.targets(found, GRAPH) == {"ct_nifti": {"exam5-1003"}}
    assert found.title == "Stale: ct_nifti (1)"


def test_a_new_scan_is_its_whole_chain_in_one_backfill(
    built: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    write_scan(built.root, "exam5", "1007", muscle_hu=33.0)
    launched = step(built, instance)
    assert launched.plan.partitions == {asset: {"exam5-1007": "never built"} for asset in CHAIN}
    assert launched.plan.tables == {}


def test_one_backfill_at_a_time(built: BuiltStudy, instance: dg.DagsterInstance) -> None:
    write_scan(built.root, "exam5", "1003", muscle_hu=41.0)
    first = step(built, instance)
    again = step(built, instance, rebuild="second")
    assert again.backfill_id is None
    assert again.words == f"backfill {first.backfill_id} is in progress: nothing launched"
    with pytest.raises(MachineError, match=f"E-STUDY-62.*backfill {first.backfill_id}"):
        refuse_at_work(instance, built.workspace.store.dagster_home)


def test_a_rebuild_tries_each_scan_once_and_the_next_one_again(
    built: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    write_scan(built.root, "exam5", "1003", muscle_hu=41.0)
    step(built, instance)
    end(instance)
    assert step(built, instance).plan.partitions == {}
    assert step(built, instance, rebuild="next night").plan.partitions == {
        "ct_nifti": {"exam5-1003": "input raw_scan changed"}
    }


def test_a_dry_run_says_why_and_launches_nothing(built: BuiltStudy, instance: dg.DagsterInstance) -> None:
    for exam in ("exam5", "exam6"):
        write_scan(built.root, exam, "1003", muscle_hu=41.0)
    said: list[str] = []
    only = Selection(exams=frozenset({"exam6"}), participants=frozenset({"1003"}))
    done = step(built, instance, dry_run=True, selection=only, log=said.append)
    assert said == ["ct_nifti exam6-1003: input raw_scan changed"]
    assert done.words == "dry run; would build ct_nifti (1)"
    assert instance.get_backfills() == []


def test_a_partition_materialized_by_hand_is_not_built_again(
    built: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    for who, width in (("1002", 13.0), ("1003", 14.0)):  # as before, so that the masks are the same
        write_scan(built.root, "exam5", who, muscle_hu=41.0, width=width)
    take_in(look(built.workspace, instance, EventIndex(instance)), instance)
    execute("ct_nifti", ("exam5-1002",), instance)
    planned = step(built, instance).plan.partitions
    assert planned["ct_nifti"] == {"exam5-1003": "input raw_scan changed"}
    assert planned["segmentation"] == {"exam5-1002": "input ct_nifti changed"}


def test_the_tables_follow_when_no_scan_is_stale(built: BuiltStudy, instance: dg.DagsterInstance) -> None:
    built.edit("people.csv", "1001,60.0", "1001,71.0")
    path = built.root / "incoming" / "exam5" / "1001.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9, mtime=1))
    assert list(step(built, instance).plan.partitions) == ["ct_nifti"]
    end(instance, BulkActionStatus.COMPLETED_SUCCESS)
    execute("ct_nifti", ("exam5-1001",), instance)
    tables = step(built, instance)
    assert tables.report is not None
    assert not tables.report.failed
    assert {"clinical", "cohort", "regression", "auc", "exports"} <= set(tables.report.materialized)
    assert not {"muscle_metrics", "bone_metrics"} & set(tables.report.materialized)
    assert step(built, instance).words == "nothing to build"


def test_while_a_command_runs_the_study_nothing_is_launched(
    built: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    write_scan(built.root, "exam5", "1003", muscle_hu=41.0)
    with exclusive(built.workspace.store):
        assert step(built, instance).words.startswith("nothing launched: ")
    assert instance.get_backfills() == []


def test_a_rebuild_waits_for_a_command_and_goes_on_behind_it(
    built: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    write_scan(built.root, "exam5", "1003", muscle_hu=41.0)
    launched = step(built, instance)
    end(instance, BulkActionStatus.COMPLETED_SUCCESS)
    resource = StudyResource(study_file=str(built.root / "study.yaml"))
    with dg.build_sensor_context(instance=instance, resources={"study": resource}) as context:
        with exclusive(built.workspace.store):
            waiting = rebuild_next()(context)
        going_on = rebuild_next()(context)
    assert isinstance(waiting, dg.SensorResult)
    assert isinstance(going_on, dg.SensorResult)
    assert (waiting.run_requests, waiting.cursor) == ([], None)
    assert going_on.cursor == launched.backfill_id
    assert len(going_on.run_requests or ()) == 1


def test_a_scan_that_is_gone_meanwhile_does_not_stop_its_batch(
    built: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    keys = tuple(instance.get_dynamic_partitions("scan")[:3])
    before = {key: record.storage_id for key, record in EventIndex(instance).records("scan_muscle").items()}
    instance.delete_dynamic_partition("scan", keys[-1])
    execute("scan_muscle", keys, instance)
    after = {key: record.storage_id for key, record in EventIndex(instance).records("scan_muscle").items()}
    assert {key for key in after if after[key] != before[key]} == set(keys[:2])
