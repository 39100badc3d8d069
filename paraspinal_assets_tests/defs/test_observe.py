"""What is taken in, what is left alone for now, and what is never taken for gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from paraspinal_assets.defs.automation.sensors import describe, new_scans
from paraspinal_assets.defs.automation.staleness import Staleness, State
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.observe import Incoming, look, take_in
from paraspinal_assets.defs.workspace import StudyResource
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.automation_settings import AutomationSettings
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import write_scan

SCANS = ["exam5-1001", "exam5-1002", "exam6-1001", "exam6-1002"]


@pytest.fixture
def study(new_study: Callable[[], BuiltStudy]) -> BuiltStudy:
    return new_study()


@pytest.fixture
def instance(study: BuiltStudy) -> Iterator[dg.DagsterInstance]:
    with study_instance(study.workspace) as instance:
        yield instance


def look_now(study: BuiltStudy, instance: dg.DagsterInstance, **options: object) -> Incoming:
    incoming = look(study.workspace, instance, EventIndex(instance), **options)  # type: ignore[arg-type]
    take_in(incoming, instance)
    return incoming


def set_quiet(study: BuiltStudy, seconds: int) -> None:
    path = study.root / "study.yaml"
    text = path.read_text().partition("automation:")[0]
    path.write_text(f"{text}automation: {{quiet_seconds: {seconds}}}\n")


def test_scans_that_may_still_be_copied_are_no_partitions_yet(
    study: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    set_quiet(study, 3600)
    held = look_now(study, instance).held
    assert instance.get_dynamic_partitions("scan") == []
    assert "may still be copied (quiet period 3600 s)" in held["raw_scan", "exam5-1001"]
    set_quiet(study, 0)
    assert look_now(study, instance).held == {}
    assert instance.get_dynamic_partitions("scan") == SCANS


def test_nobody_at_the_keyboard_means_a_quiet_period(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    assert look_now(study, instance, unattended=True).added == []
    assert look_now(study, instance).added == SCANS


def test_a_known_scan_that_is_being_replaced_waits_and_says_so(
    study: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    look_now(study, instance)
    write_scan(study.root, "exam5", "1002", muscle_hu=44.0)
    set_quiet(study, 3600)
    incoming = look_now(study, instance)
    assert incoming.observations == []
    standings = (
        Staleness(study.workspace, EventIndex(instance), SCANS, incoming.held).assess().standings["ct_nifti"]
    )
    assert standings["exam5-1001"].state == State.MISSING
    assert standings["exam5-1002"].state == State.BLOCKED
    assert standings["exam5-1002"].reason.startswith("waits for raw_scan: changed ")
    assert not standings["exam5-1002"].unsettled


def test_an_exam_whose_disk_is_away_loses_no_scan(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    look_now(study, instance)
    folder = study.root / "incoming" / "exam6"
    folder.rename(study.root / "away")
    assert look_now(study, instance).gone == []
    folder.mkdir()
    incoming = look_now(study, instance)
    assert incoming.gone == []
    assert [problem.code for problem in incoming.problems] == ["E-STUDY-14"]
    assert incoming.held["raw_scan", "exam6-1001"] == "the folder of exam6 is away"
    assert instance.get_dynamic_partitions("scan") == SCANS


def test_a_segmentation_that_is_gone_counts_no_more_but_a_disk_that_is_away_does(
    study: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    look_now(study, instance)
    masks = study.root / "masks" / "exam6"
    masks.rename(study.root / "away")
    for _ in ("no folder", "an empty one"):
        incoming = look_now(study, instance)
        assert incoming.observations == []
        assert incoming.held["raw_segmentation", "exam6-1001"] == "the segmentations of exam6 are away"
        masks.mkdir(exist_ok=True)
    masks.rmdir()
    (study.root / "away").rename(masks)
    (masks / "1002.nii.gz").unlink()
    (seen,) = look_now(study, instance).observations
    assert (seen.asset_key, seen.partition) == (dg.AssetKey("raw_segmentation"), "exam6-1002")
    assert EventIndex(instance).records("raw_segmentation")["exam6-1002"].data_version == "absent"
    assert look_now(study, instance).observations == []


def test_a_participant_without_a_scan_cannot_be_run(study: BuiltStudy) -> None:
    with pytest.raises(StudyError, match=r"E-STUDY-63.*no scan of 9999"):
        study.run(participants=frozenset({"1001", "9999"}), assets=frozenset())


def test_a_withdrawn_scan_is_gone(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    look_now(study, instance)
    (study.root / "incoming" / "exam6" / "1002.nii.gz").unlink()
    assert look_now(study, instance).gone == ["exam6-1002"]
    assert instance.get_dynamic_partitions("scan") == SCANS[:3]


def test_a_partition_that_is_no_scan_is_taken_out(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("scan", ["foo"])  # as anybody can in the UI
    assert look_now(study, instance).gone == ["foo"]
    assert instance.get_dynamic_partitions("scan") == SCANS


def test_masks_that_are_still_copied_are_not_imported(
    study: BuiltStudy, instance: dg.DagsterInstance
) -> None:
    study.run(assets=frozenset({"ct_nifti", "segmentation"}))
    study.edit("study.yaml", "levels: T1-T10", "levels: T1-T9")
    held = {("raw_segmentation", "exam5-1001"): "may still be copied"}
    standings = (
        Staleness(study.workspace, EventIndex(instance), SCANS, held).assess().standings["segmentation"]
    )
    assert standings["exam5-1001"].state is State.BLOCKED
    assert standings["exam5-1001"].reason == "waits for raw_segmentation: may still be copied"
    assert standings["exam5-1002"].state is State.STALE


def test_looks_that_end_early_find_each_scan_once(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    after, found = None, []
    for _ in range(len(SCANS)):
        incoming = look_now(study, instance, after=after, enough=lambda incoming: True)
        after = incoming.looked_at
        found.append(incoming.added)
    assert found == [[key] for key in SCANS]
    assert look_now(study, instance, after=after).observations[0].asset_key == dg.AssetKey("clinical_files")
    assert look_now(study, instance).observations == []


def test_the_sensor_says_what_it_took_in(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    set_quiet(study, 0)
    sensor = new_scans(AutomationSettings())
    resource = StudyResource(study_file=str(study.root / "study.yaml"))
    with dg.build_sensor_context(instance=instance, resources={"study": resource}) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.dynamic_partitions_requests or ()
    assert list(request.partition_keys) == SCANS
    assert {event.partition for event in result.asset_events} >= set(SCANS)
    assert "4 new (exam5-1001, exam5-1002, exam6-1001, exam6-1002)" in str(result.skip_reason)


def test_words_name_what_waits(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    words = describe(look_now(study, instance, unattended=True))
    assert "waiting (exam5-1001: changed" in words
