"""The event log answers like Dagster's own and keeps every event of processes that write at once."""

import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, StepMaterializationData
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.base import AssetRecordsFilter

from paraspinal_assets.defs.event_log import StudyEventLog


def configured(folder, storage):
    """An instance in a folder whose events go to a storage class."""
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nevent_log_storage:\n  module: {storage.__module__}\n"
        f"  class: {storage.__name__}\n  config: {{base_dir: '{folder / 'events'}'}}\n"
    )
    return dg.DagsterInstance.from_config(str(folder))


SCANS = dg.StaticPartitionsDefinition(["exam5-1", "exam5-2", "exam5-3"])


@dg.asset(partitions_def=SCANS, backfill_policy=dg.BackfillPolicy.single_run(), output_required=False)
def attenuation(context):
    for key in context.partition_keys[:2]:
        yield dg.AssetMaterialization(
            "attenuation", partition=key, metadata={"hu": 41.5}, tags={"dagster/data_version": key}
        )
    yield dg.AssetObservation("attenuation", partition="exam5-3", metadata={"failure": "no vertebrae"})


@dg.asset_check(asset=attenuation)
def plausible():
    return dg.AssetCheckResult(passed=True)


def history(instance):
    """Everything that a run leaves behind, without times and ids."""
    result = dg.materialize(
        [attenuation, plausible],
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": "exam5-1",
            "dagster/asset_partition_range_end": "exam5-3",
        },
    )
    assert result.success
    key = dg.AssetKey("attenuation")
    built = instance.fetch_materializations(AssetRecordsFilter(asset_key=key), limit=10).records
    seen = instance.fetch_observations(AssetRecordsFilter(asset_key=key), limit=10).records
    check = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, "plausible"), limit=5
    )
    latest = instance.get_latest_materialization_event(key)
    return {
        "events": sorted(event.dagster_event.event_type_value for event in instance.all_logs(result.run_id)
                         if event.is_dagster_event),
        "built": [(event.partition_key, event.asset_materialization.tags) for event in built],
        "seen": [event.partition_key for event in seen],
        "checks": [record.status.value for record in check],
        "partitions": instance.get_materialized_partitions(key),
        "latest": latest.asset_materialization.partition,
        "tags": instance.event_log_storage.get_event_tags_for_asset(key),
        "run": instance.get_run_by_id(result.run_id).status.value,
        "keys": [str(found) for found in instance.all_asset_keys()],
    }  # fmt: skip


@pytest.mark.parametrize("batch", ["0", "100"])
def test_a_run_leaves_the_same_history_as_in_dagsters_own_log(tmp_path, monkeypatch, batch):
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", batch)
    with configured(tmp_path / "theirs", SqliteEventLogStorage) as theirs:
        expected = history(theirs)
    with configured(tmp_path / "ours", StudyEventLog) as ours:
        assert history(ours) == expected
    with configured(tmp_path / "ours", StudyEventLog) as again:
        assert again.get_materialized_partitions(dg.AssetKey("attenuation")) == {"exam5-1", "exam5-2"}


def planned_and_built(instance, events):
    """Which partitions Dagster takes for not built after planned (-) and built (+) partitions of runs."""
    for run_id, event in events:
        kind, key = event[0], event[1:]
        if run_id not in {run.run_id for run in instance.get_runs()}:
            instance.add_run(dg.DagsterRun("job", run_id=run_id))
        if kind == "-":
            instance.report_dagster_event(
                DagsterEvent.build_asset_materialization_planned_event(
                    "job", "step", AssetMaterializationPlannedData(dg.AssetKey("attenuation"), partition=key)
                ),
                run_id=run_id,
            )
        else:
            built = dg.AssetMaterialization("attenuation", partition=key)
            instance.report_dagster_event(
                DagsterEvent(
                    "ASSET_MATERIALIZATION", "job", event_specific_data=StepMaterializationData(built)
                ),
                run_id=run_id,
            )
    log = instance.event_log_storage
    ask = log.get_latest_asset_partition_materialization_attempts_without_materializations
    return [ask(dg.AssetKey("attenuation"), after) for after in (None, 3)]


@pytest.mark.parametrize("wiped", [False, True])
def test_planned_and_not_built_are_as_in_dagsters_own_log(tmp_path, wiped):
    """Built, not built, built before it was planned again, built and planned by different runs."""
    events = [("1", each) for each in ("-a", "-b", "-c", "+a", "+c")]
    events += [("2", each) for each in ("-c", "-d", "+d", "-e")] + [("3", "+e"), ("3", "-d")]
    with (
        configured(tmp_path / "theirs", ConsolidatedSqliteEventLogStorage) as theirs,
        configured(tmp_path / "ours", StudyEventLog) as ours,
    ):
        for instance in (theirs, ours):
            planned_and_built(instance, events)
            if wiped:
                instance.wipe_assets([dg.AssetKey("attenuation")])
        more = [("4", "-f"), ("4", "-g"), ("4", "+g")]
        expected, found = planned_and_built(theirs, more), planned_and_built(ours, more)
    assert set(found[0]) == ({"f"} if wiped else {"b", "c", "d", "f"})
    assert found == expected


@pytest.mark.parametrize("asked", [["exam5-7", "exam5-x"], [f"exam5-{n}" for n in range(600, 0, -1)]])
def test_partitions_that_exist_are_as_in_dagsters_own_log(tmp_path, asked):
    added = [f"exam5-{n}" for n in (7, 599, 601, 3)]
    answers = []
    for name, storage in (("theirs", ConsolidatedSqliteEventLogStorage), ("ours", StudyEventLog)):
        with configured(tmp_path / name, storage) as instance:
            instance.add_dynamic_partitions("scan", added)
            instance.add_dynamic_partitions("other", asked)
            log = instance.event_log_storage
            answers.append(
                (log.get_dynamic_partitions("scan"), log.get_existing_dynamic_partitions("scan", asked))
            )
    assert answers[1] == answers[0]
    assert answers[1][1] == set(added) & set(asked)


WRITER = """
import sys, dagster as dg
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    for number in range(100):
        key = f"exam{sys.argv[2]}-{number}"
        instance.report_runless_asset_event(dg.AssetMaterialization("attenuation", partition=key))
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    with configured(tmp_path, StudyEventLog) as instance:
        commands = [[sys.executable, "-c", WRITER, str(tmp_path), str(writer)] for writer in range(4)]
        writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
        assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 4
        kept = instance.get_materialized_partitions(dg.AssetKey("attenuation"))
    assert kept == {f"exam{writer}-{number}" for writer in range(4) for number in range(100)}


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path):
    with configured(tmp_path, StudyEventLog) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("attenuation", partition="exam5-1"))
        log = instance.event_log_storage
        (known,) = instance.fetch_materializations(dg.AssetKey("attenuation"), limit=1).records
        with pytest.raises(AttributeError):
            log.store_event_batch([known.event_log_entry, None])
        assert len(instance.fetch_materializations(dg.AssetKey("attenuation"), limit=9).records) == 1
