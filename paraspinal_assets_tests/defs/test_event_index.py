"""The index reads by SQL what Dagster's own interface says of the same events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from paraspinal_assets.defs.event_index import EventIndex, Failure, Record
from paraspinal_assets.defs.event_log import StudyEventLog
from paraspinal_assets.defs.provenance import BUILT_FROM, DATA_VERSION_TAG, FAILURE, NOT_MEASURABLE, BuiltFrom
from paraspinal_assets_tests.defs.test_event_log import configured

ASSET = "attenuation"
OLD, NEW = BuiltFrom("1", {"levels": "aa"}, {"ct": "v1"}), BuiltFrom("1", {"levels": "aa"}, {"ct": "v2"})


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with configured(tmp_path, StudyEventLog) as instance:
        yield instance


def built(instance: dg.DagsterInstance, key: str | None, version: str, made: BuiltFrom, **more: Any) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            ASSET,
            partition=key,
            metadata={"picture": '"label": "failure"', BUILT_FROM: made.as_metadata(), **more},
            tags={DATA_VERSION_TAG: version},
        )
    )


def failed(instance: dg.DagsterInstance, key: str, made: BuiltFrom | None, code: str = "E-X-01") -> None:
    said = {"code": code, "message": "it is é", "bad_input": made is not None}
    metadata: dict[str, Any] = {FAILURE: dg.MetadataValue.json(said)}
    if made is not None:
        metadata[BUILT_FROM] = made.as_metadata()
    instance.report_runless_asset_event(dg.AssetObservation(ASSET, partition=key, metadata=metadata))


def everything(instance: dg.DagsterInstance) -> None:
    """Rebuilt, failing, failing otherwise, mended and interrupted partitions, and an observation of an input."""
    built(instance, "a", "v1", OLD)
    built(instance, "b", "v1", OLD)
    built(instance, "a", "v2", NEW, **{NOT_MEASURABLE: "no_vertebra"})
    for _ in range(3):
        failed(instance, "b", NEW)
    failed(instance, "c", OLD)
    failed(instance, "c", NEW)
    failed(instance, "d", OLD)
    built(instance, "d", "v3", NEW)
    failed(instance, "e", NEW)
    built(instance, "e", "v4", OLD)
    failed(instance, "e", NEW)
    failed(instance, "f", None)
    failed(instance, "f", None, "E-OTHER")
    built(instance, None, "v5", OLD)
    instance.report_runless_asset_event(
        dg.AssetObservation(ASSET, partition="g", tags={DATA_VERSION_TAG: "v6"})
    )


def by_dagster(instance: dg.DagsterInstance) -> dict[str | None, Record]:
    """The same records from every event that Dagster's own interface hands out, in the order of the log."""
    events = [
        (event, content)
        for fetch in (instance.fetch_materializations, instance.fetch_observations)
        for event in fetch(dg.AssetKey(ASSET), limit=1000).records
        if (content := event.asset_materialization or event.asset_observation)
    ]
    records: dict[str | None, Record] = {}
    for event, content in sorted(events, key=lambda pair: pair[0].storage_id):
        said = {name: value.value for name, value in content.metadata.items()}
        data = said.get(BUILT_FROM)
        made = BuiltFrom(data["code_version"], data["settings"], data["inputs"]) if data else None
        before = records.get(content.partition)
        failure = None
        if FAILURE in said:
            again = before is not None and before.failure is not None and before.built_from == made
            attempts = before.failure.attempts + 1 if again and before and before.failure else 1
            failure = Failure(**said[FAILURE], attempts=attempts)
        records[content.partition] = Record(
            event.storage_id,
            event.run_id,
            event.timestamp,
            None if failure else (content.tags or {}).get(DATA_VERSION_TAG),
            made,
            failure,
            said.get(NOT_MEASURABLE),
        )
    return records


def test_the_records_are_those_of_dagsters_own_interface(instance: dg.DagsterInstance) -> None:
    everything(instance)
    records = EventIndex(instance).records(ASSET)
    assert records == by_dagster(instance)
    attempts = {key: record.failure.attempts for key, record in records.items() if record.failure}
    assert attempts == {"b": 3, "c": 1, "e": 1, "f": 2}


def test_what_is_read_in_several_looks_is_what_is_read_in_one(instance: dg.DagsterInstance) -> None:
    index = EventIndex(instance)
    assert index.records(ASSET) == {}
    everything(instance)
    index.records(ASSET)
    failed(instance, "b", NEW)
    built(instance, "c", "v7", NEW)
    failed(instance, "c", NEW)
    failed(instance, "a", NEW)
    assert index.records(ASSET) == by_dagster(instance)
    assert index.records(ASSET) is index.records(ASSET)


def test_an_earlier_moment_is_as_it_was_then(instance: dg.DagsterInstance) -> None:
    everything(instance)
    then = by_dagster(instance)
    last = max(record.storage_id for record in then.values())
    failed(instance, "b", NEW)
    built(instance, "f", "v8", NEW)
    assert EventIndex(instance, until=last).records(ASSET) == then


def test_an_index_of_some_scans_has_the_records_of_those_and_of_tables(instance: dg.DagsterInstance) -> None:
    everything(instance)
    found = EventIndex(instance, partitions={"b", "e"}).records(ASSET)
    assert found == {key: record for key, record in by_dagster(instance).items() if key in ("b", "e", None)}
    assert {"b", "e"} <= set(found)


def test_wiped_events_are_void_for_an_index_that_has_read_them(instance: dg.DagsterInstance) -> None:
    everything(instance)
    index = EventIndex(instance)
    assert len(index.records(ASSET)) == 8
    instance.wipe_assets([dg.AssetKey(ASSET)])
    assert index.records(ASSET) == by_dagster(instance) == {}
    failed(instance, "b", NEW)
    records = index.records(ASSET)
    assert records == by_dagster(instance)
    assert records["b"].failure == Failure("E-X-01", "it is é", True, 1)


def test_equal_settings_are_in_memory_once(instance: dg.DagsterInstance) -> None:
    built(instance, "a", "v1", OLD)
    built(instance, "b", "v1", OLD)
    a, b = (record.built_from for record in EventIndex(instance).records(ASSET).values())
    assert a is not None
    assert b is not None
    assert a.settings is b.settings
    assert json.loads(json.dumps(a.settings)) == {"levels": "aa"}
