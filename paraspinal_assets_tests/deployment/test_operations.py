"""What an administrator does with a study: back it up, restore it, upgrade the package, delete old runs."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy
from click.testing import CliRunner

import paraspinal_assets_tests
from paraspinal_assets.cli import main
from paraspinal_assets.defs.automation.retention import superseded_runs
from paraspinal_assets.defs.automation.staleness import State
from paraspinal_assets.defs.dagster_storage import POSTGRES_VARIABLE
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.launchers.slurm import job_log
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import write_scan
from paraspinal_assets_tests.deployment.servers import Postgres, program

pytestmark = pytest.mark.slow

SCRIPTS = Path(paraspinal_assets_tests.__file__).parents[1] / "deploy" / "postgres"


def script(name: str, database: str, *words: Path) -> None:
    """Run a shipped script as an administrator would."""
    address = sqlalchemy.make_url(database)
    programs = Path(program("pg_dump", "usr/lib/postgresql/*/bin")).parent
    variables = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PGHOST": str(address.host),
        "PGPORT": str(address.port),
        "PGUSER": str(address.username),
        "PGPASSWORD": str(address.password),
        "PGDATABASE": str(address.database),
    }
    subprocess.run([SCRIPTS / name, *words], env={**os.environ, **variables}, check=True)


def test_a_restored_backup_has_nothing_stale(
    built: BuiltStudy, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("backup", os.environ[POSTGRES_VARIABLE], built.root, tmp_path / "backup")
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "backup").iterdir()} == {0}
    database = postgres.database("restored", copy_of="template0")
    script("restore", database, tmp_path / "backup", tmp_path / "restored")
    postgres.execute(f'DROP DATABASE "{tmp_path.name}" WITH (FORCE)')
    built.root.rename(tmp_path / "lost")

    monkeypatch.setenv(POSTGRES_VARIABLE, database)
    restored = BuiltStudy(tmp_path / "restored")
    assert restored.run().materialized == {}
    standings = restored.assess().standings
    assert {standing.state for keys in standings.values() for standing in keys.values()} == {State.FRESH}


def test_an_upgrade_makes_stale_what_its_code_versions_say(
    built: BuiltStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study as an earlier release left it; the installed one has a new version of one measurement."""
    now = asset_rules()["scan_bone"]
    with monkeypatch.context() as earlier:
        earlier.setitem(asset_rules(), "scan_bone", dataclasses.replace(now, code_version="0.9"))
        built.run()
    standings = built.assess().standings
    stale = {name for name, keys in standings.items() if any(x.state is State.STALE for x in keys.values())}
    assert stale == {"scan_bone"}
    assert {x.reason for x in standings["scan_bone"].values()} == {f"code version 0.9 -> {now.code_version}"}

    materialized = built.run().materialized
    assert {name: len(keys) for name, keys in materialized.items()} == {"scan_bone": 12}


def test_superseded_runs_can_go_and_nothing_becomes_stale(built: BuiltStudy) -> None:
    with study_instance(built.workspace) as instance:
        assert superseded_runs(instance, EventIndex(instance), datetime.now(UTC)) == []
        before = {run.run_id for run in instance.get_runs()}
    home = built.workspace.store.dagster_home
    for run_id in before:
        job_log(home, run_id).parent.mkdir(exist_ok=True)
        job_log(home, run_id).write_text("printed by the job")
    write_scan(built.root, "exam5", "1003", muscle_hu=41.0, width=14.0)
    built.run()
    tidied = CliRunner().invoke(main, ["tidy", str(built.root), "--older-than", "0"])
    assert tidied.exit_code == 0, tidied.output
    with study_instance(built.workspace) as instance:
        gone = before - {run.run_id for run in instance.get_runs()}
    assert gone
    assert {path.stem for path in (home / "slurm").iterdir()} == before - gone
    assert not gone & {path.name for path in (home / "storage").iterdir()}
    assert tidied.output == f"Deleted {len(gone)} runs.\n"
    assert built.run().materialized == {}
