"""The rules of staleness hold with runs and events in PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
import yaml
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster_postgres.event_log import PostgresEventLogStorage

from paraspinal_assets.defs.automation.batch import execute
from paraspinal_assets.defs.automation.sensors import rebuild_next
from paraspinal_assets.defs.dagster_storage import POSTGRES_VARIABLE
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import StudyResource
from paraspinal_assets.errors import StudyError
from paraspinal_assets_tests.defs import test_event_index as events
from paraspinal_assets_tests.defs import test_only_what_is_stale as matrix
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.deployment.servers import Postgres

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
MAX_CONNECTIONS = 100
"""What PostgreSQL takes unless it is told otherwise."""
OTHERS = 20
"""Those of daemon, code server and webservers, and the server's own reserve."""

CASES = [
    matrix.test_everything_is_fresh_after_a_run,
    matrix.test_one_ct_replaced_reruns_its_chain_and_the_tables,
    matrix.test_a_withdrawn_scan_leaves_the_tables,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.removeprefix("test_"))
def test_only_what_is_stale(case: Callable[[BuiltStudy], None], built: BuiltStudy) -> None:
    case(built)
    assert not (built.root / ".dagster" / "history").exists()


def test_eight_workers_build_everything_once(built: BuiltStudy) -> None:
    """The study was built by eight workers at once (see `built_on_postgres`): one event for each result."""
    with study_instance(built.workspace) as instance:
        for name, rule in asset_rules().items():
            if rule.external:
                continue
            found = instance.fetch_materializations(dg.AssetKey(name), limit=100).records
            expected = list(instance.get_dynamic_partitions("scan")) if rule.partitioned else [None]
            assert sorted(event.partition_key or "" for event in found) == sorted(
                key or "" for key in expected
            ), name


def test_the_shipped_number_of_jobs_fits_the_connections_that_a_server_has(built: BuiltStudy) -> None:
    settings = yaml.safe_load((DEPLOY / "slurm" / "dagster.yaml").read_text())
    jobs = settings["concurrency"]["runs"]["max_concurrent_runs"]
    with study_instance(built.workspace) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("one", partition="exam5-1001"))
        with closing(psycopg2.connect(os.environ[POSTGRES_VARIABLE])) as asking, asking.cursor() as cursor:
            cursor.execute("SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()")
            (held,) = cursor.fetchone() or (0,)
    assert held == 2
    assert held * jobs + OTHERS <= MAX_CONNECTIONS


def test_questions_of_an_assets_page_are_answered_as_by_dagsters_own_storage(built: BuiltStudy) -> None:
    key, scan = dg.AssetKey("scan_muscle"), "exam5-1001"
    with study_instance(built.workspace) as instance:
        instance.add_run(dg.DagsterRun("job", run_id="late"))
        planned = AssetMaterializationPlannedData(key, partition=scan)
        event = DagsterEvent.build_asset_materialization_planned_event("job", "step", planned)
        instance.report_dagster_event(event, run_id="late")
        log, theirs = instance.event_log_storage, PostgresEventLogStorage
        asked = [scan, *(f"exam5-{number}" for number in range(1000))]
        open_tries = log.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        assert open_tries == (
            theirs.get_latest_asset_partition_materialization_attempts_without_materializations(log, key)
        )
        assert [(each, run) for each, (run, _) in open_tries.items()] == [(scan, "late")]
        assert log.get_dynamic_partitions("scan") == theirs.get_dynamic_partitions(log, "scan")
        existing = log.get_existing_dynamic_partitions("scan", asked)
        assert scan in existing
        assert existing == theirs.get_existing_dynamic_partitions(log, "scan", asked)


def test_the_records_are_those_of_dagsters_own_interface(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.database("records").replace("postgresql:", "postgresql+psycopg2:")
    (tmp_path / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nstorage: {{postgres: {{postgres_url: '{url}'}}}}\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        index = EventIndex(instance)
        assert index.records(events.ASSET) == {}
        events.everything(instance)
        assert index.records(events.ASSET) == events.by_dagster(instance)
        events.failed(instance, "b", events.NEW)
        assert index.records(events.ASSET) == events.by_dagster(instance)
        assert EventIndex(instance).records(events.ASSET) == events.by_dagster(instance)


def test_an_event_that_is_committed_late_is_seen(built: BuiltStudy) -> None:
    """Two writers: the one that got the lower number commits after the index read the higher one."""
    with study_instance(built.workspace) as instance:
        for key in ("exam5-1001", "exam5-1002"):
            instance.report_runless_asset_event(dg.AssetMaterialization("late", partition=key))
        connection = psycopg2.connect(os.environ[POSTGRES_VARIABLE])
        with connection.cursor() as cursor:
            cursor.execute("SELECT min(id) FROM event_logs WHERE asset_key LIKE '%late%'")
            (first,) = cursor.fetchone() or (None,)
            columns = "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
            cursor.execute(
                f"CREATE TEMP TABLE kept AS SELECT id, {columns} FROM event_logs WHERE id = %s", [first]
            )
            cursor.execute("DELETE FROM event_logs WHERE id = %s", [first])
            connection.commit()
            cursor.execute(f"INSERT INTO event_logs (id, {columns}) SELECT id, {columns} FROM kept")
            index = EventIndex(instance)
            assert list(index.records("late")) == ["exam5-1002"]
            connection.commit()
        connection.close()
        assert set(index.records("late")) == {"exam5-1001", "exam5-1002"}


def test_a_forgotten_variable_is_an_error_and_builds_nothing(
    built: BuiltStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(POSTGRES_VARIABLE)
    with pytest.raises(StudyError, match="E-STUDY-53"):
        built.run()


def run_an_asset(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    execute("clinical", (), instance)


def run_a_sensor(study: BuiltStudy, instance: dg.DagsterInstance) -> None:
    resource = StudyResource(study_file=str(study.root / "study.yaml"))
    with dg.build_sensor_context(instance=instance, resources={"study": resource}) as context:
        rebuild_next()(context)


@pytest.mark.parametrize("work", [run_an_asset, run_a_sensor])
def test_a_study_of_another_dagster_instance_is_not_opened_without_its_database(
    work: Callable[[BuiltStudy, dg.DagsterInstance], None],
    new_study: Callable[[], BuiltStudy],
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with the Helm chart: Dagster's own settings name the database, the study's commands have the study's."""
    study, url = new_study(), postgres.database(f"chart_{work.__name__}")
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        f"storage: {{postgres: {{postgres_url: '{url.replace('postgresql:', 'postgresql+psycopg2:')}'}}}}\n"
    )
    for name, value in environment(study.workspace).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        work(study, instance)
        instance.report_runless_asset_event(dg.AssetMaterialization("marked"))
    with pytest.raises(StudyError, match="E-STUDY-53"):
        study.assess()
    monkeypatch.setenv(POSTGRES_VARIABLE, url)
    with study_instance(study.workspace) as instance:
        assert list(EventIndex(instance).records("marked")) == [None]


def test_a_study_with_its_events_in_files_is_not_started_anew(
    new_study: Callable[[], BuiltStudy], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()
    study.assess()
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres.database("unused"))
    with pytest.raises(StudyError, match="E-STUDY-55"):
        study.assess()


def test_an_empty_database_is_not_taken_for_that_of_the_study(
    built: BuiltStudy, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres.database("empty"))
    for _ in range(2):
        with pytest.raises(StudyError, match=r"E-STUDY-57.*another database than PostgreSQL .*/empty"):
            built.assess()


def test_two_studies_cannot_share_a_database(
    built: BuiltStudy, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = BuiltStudy(make_small_study(tmp_path / "other", people=("1001",)).parent)
    for _ in range(2):
        with pytest.raises(StudyError, match=r"E-STUDY-57.*belongs to another study"):
            other.assess()
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres.database("of_the_other"))
    other.assess()


@pytest.mark.parametrize(
    ("url", "shown", "hidden"),
    [
        ("postgresql://me:s3cret@127.0.0.1:1/none", "127.0.0.1:1/none", "s3cret"),
        ("mysql://me:s3cret@127.0.0.1:1/none", "postgresql://user:password@host:port/database", "s3cret"),
        ("s3cret", "postgresql://user:password@host:port/database", "s3cret"),
    ],
)
def test_an_unreachable_database_is_named_without_its_password(
    url: str,
    shown: str,
    hidden: str,
    new_study: Callable[[], BuiltStudy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = new_study()
    monkeypatch.setenv(POSTGRES_VARIABLE, url)
    with pytest.raises(StudyError, match="E-STUDY-56") as caught:
        study.assess()
    assert shown in str(caught.value)
    assert hidden not in str(caught.value)


def test_the_password_is_in_no_file_of_the_study(built: BuiltStudy, postgres: Postgres) -> None:
    files = [path for path in Path(built.root).rglob("*") if path.is_file()]
    assert any(path.name == "postgresql.json" for path in files)
    assert not [path for path in files if postgres.password.encode() in path.read_bytes()]
