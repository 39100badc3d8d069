"""A study whose artifacts are in a bucket: the same bytes and tables as in a folder, and nobody finds the secret."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from paraspinal_assets.cli import main
from paraspinal_assets.defs.automation.batch import execute
from paraspinal_assets.defs.automation.staleness import State
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StorageError
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.scan_records import READ, StepStanding, read_records
from paraspinal_assets.study.scan_table import quality_table
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.study import object_storage
from paraspinal_assets_tests.study.object_storage import KEY_ID, SECRET, Server, rclone_server

pytestmark = pytest.mark.slow

PEOPLE = ("1001", "1002")
TABLES = ("muscle_metrics", "bone_metrics", "deformity", "scans", "quality")
KEYS = [f"exam{exam}-{person}" for exam in (5, 6) for person in PEOPLE]


class Case:
    """Two people of the small study, built into a bucket; what two more commands did; and then one is forgotten."""

    def __init__(self, root: Path, server: Server) -> None:
        study = BuiltStudy(root)
        selected = frozenset(name for name, rule in asset_rules().items() if rule.partitioned) | set(
            TABLES[:4]
        )
        self.root = root
        self.first = study.run(assets=selected)
        self.objects = server.objects()
        self.tables = {name: study.workspace.database.read(name) for name in TABLES}
        shutil.rmtree(root / ".cache")
        self.second = study.run(assets=selected)
        with object_storage.environment(object_storage.free_port()):  # where nobody answers
            with study_instance(study.workspace) as instance:
                execute("scan_muscle", (KEYS[0],), instance)
            with pytest.raises(StorageError) as caught:
                study.run()
            self.away = str(caught.value)
        self.third = study.run(assets=selected)
        self.tried = paraspinal("forget", "1002", root, "--dry-run")
        self.untouched = server.objects()
        self.forgotten = paraspinal("forget", "1002", root)
        self.left = server.objects()


def paraspinal(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def case(built_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("storage")
    root = folder / "study"
    root.mkdir()
    for name in ("people.csv", "review.csv"):
        shutil.copy(built_once / name, root)
    for path in (path for person in PEOPLE for path in built_once.glob(f"*/exam?/{person}.nii.gz")):
        (root / path.relative_to(built_once)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.relative_to(built_once))
    settings = (built_once / "study.yaml").read_text()
    (root / "study.yaml").write_text(f"{settings}artifacts: {{url: s3://people/lungs/study}}\n")
    with pytest.MonkeyPatch.context() as patch, rclone_server(folder / "buckets") as server:
        for name in environment(Workspace.open(root / "study.yaml")):
            patch.setenv(name, "")
        yield Case(root, server)


def of_people(table: pd.DataFrame) -> pd.DataFrame:
    return (
        table[table["participant"].isin(PEOPLE)]
        .sort_values([name for name in ("exam", "participant", "level", "side") if name in table])
        .reset_index(drop=True)
    )


def test_every_artifact_has_the_bytes_that_it_has_in_a_folder(case: Case, built_once: Path) -> None:
    assert case.first.failed == {}
    local = {
        path.relative_to(built_once).as_posix(): path.read_bytes()
        for person in PEOPLE
        for path in built_once.glob(f"scans/*/{person}/*")
    }
    assert len(local) == 4 * 13
    assert {name: content for name, content in case.objects.items() if name != "study.json"} == local
    assert not (case.root / "scans").exists()


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_those_of_the_study_in_a_folder(case: Case, built_once: Path, name: str) -> None:
    local = BuiltStudy(built_once).workspace.database.read(name)
    pd.testing.assert_frame_equal(of_people(case.tables[name]), of_people(local))
    assert len(case.tables[name]) > 0


def test_a_second_run_builds_nothing(case: Case) -> None:
    assert case.first.materialized["quality"] == KEYS
    assert case.second.materialized == {}
    assert case.second.failed == {}


def test_a_storage_that_is_away_stops_a_run_and_is_not_held_against_the_scans(case: Case) -> None:
    assert case.away.startswith("[E-STORE-01] no answer for s3://people/lungs/study/study.json")
    assert case.third.materialized == {"scan_muscle": [KEYS[0]]}  # it had failed in the middle of a run
    assert case.third.failed == {}


def test_forgetting_removes_every_object_of_the_participant_and_no_other(case: Case) -> None:
    assert case.tried.exit_code == 0, case.tried.output
    assert "Would be removed from: s3://people/lungs/study/scans/exam5/1002/ct.nii.gz" in case.tried.output
    assert case.untouched == case.objects
    assert case.forgotten.exit_code == 0, case.forgotten.output
    assert "0 places name the participant" in case.forgotten.output
    assert case.left == {name: content for name, content in case.objects.items() if "/1002/" not in name}


def test_the_credentials_are_nowhere(case: Case) -> None:
    tables = "".join(table.to_csv() for table in case.tables.values())
    files = {path: path.read_bytes() for path in case.root.rglob("*") if path.is_file()}
    assert any(path.suffix == ".db" for path in files)
    for word in (KEY_ID, SECRET):
        assert [path for path, content in files.items() if word.encode() in content] == []
        assert not any(word.encode() in content for content in case.objects.values())
        assert word not in tables + case.away + case.tried.output + case.forgotten.output


def test_nothing_is_stale_after_the_artifacts_were_copied_to_a_bucket(
    built: BuiltStudy, tmp_path: Path
) -> None:
    with rclone_server(tmp_path / "buckets") as server:
        shutil.copytree(built.root / "scans", server.folder / "people" / "moved" / "scans")
        built.edit(
            "study.yaml", "name: Small study\n", "name: Small study\nartifacts: {url: s3://people/moved}\n"
        )
        shutil.rmtree(built.root / "scans")
        standings = built.assess().standings
        assert {s.state for keys in standings.values() for s in keys.values()} == {State.FRESH}
        assert sum(len(keys) for keys in standings.values()) > 100
        done = dict.fromkeys(READ, StepStanding(done=True))
        scans = [Scan.from_key(str(key)) for key in standings["quality"]]
        verdicts = quality_table({scan: read_records(built.workspace.store, scan, done) for scan in scans})
        pd.testing.assert_frame_equal(verdicts, built.workspace.database.read("quality"), check_dtype=False)
