from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paraspinal_assets.defs.dagster_storage import POSTGRES_VARIABLE
from paraspinal_assets.defs.instance import environment
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.conftest import BuiltStudy, new_study
from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.deployment.servers import Postgres, postgres_server

__all__ = ["built", "built_on_postgres", "new_study", "postgres"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@dataclass(frozen=True)
class OnPostgres:
    """A study that was built with its runs and events in a database."""

    root: Path
    database: str


@pytest.fixture(scope="session")
def built_on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> OnPostgres:
    """The small study, built by eight concurrent workers."""
    root = tmp_path_factory.mktemp("postgres") / "study"
    make_small_study(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in environment(Workspace.open(root / "study.yaml")):
            patch.setenv(name, "")
        patch.setenv(POSTGRES_VARIABLE, postgres.database("built"))
        report = BuiltStudy(root).run(workers=8)
    assert not report.failed, report.messages
    return OnPostgres(root, "built")


@pytest.fixture
def built(
    postgres: Postgres,
    built_on_postgres: OnPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> BuiltStudy:
    """A copy of that study, with a copy of its database."""
    root = tmp_path / "study"
    shutil.copytree(built_on_postgres.root, root)
    for name in environment(Workspace.open(root / "study.yaml")):
        monkeypatch.setenv(name, "")
    copy = postgres.database(tmp_path.name, copy_of=built_on_postgres.database)
    monkeypatch.setenv(POSTGRES_VARIABLE, copy)
    return BuiltStudy(root)
