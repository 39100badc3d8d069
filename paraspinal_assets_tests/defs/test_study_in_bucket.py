"""A study that is in a bucket as a whole: its inputs are taken from there, and what people read is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from paraspinal_assets.cli import main
from paraspinal_assets.defs.automation.run_report import Report
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StorageError, StudyError
from paraspinal_assets.study.erase import published_objects
from paraspinal_assets.study.place import WORK_VARIABLE, StudyPlace
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import PEOPLE, write_reader_masks, write_scan
from paraspinal_assets_tests.study import object_storage
from paraspinal_assets_tests.study.object_storage import Server, rclone_server

pytestmark = pytest.mark.slow

ADDRESS = "s3://people/lungs/study"
INPUTS = ("study.yaml", "people.csv", "review.csv", "incoming", "masks")
OF_EVENTS = ("provenance",)
"""Tables that name runs and times."""
SCANS = frozenset(name for name, rule in asset_rules().items() if rule.partitioned) | {
    *("clinical", "muscle_metrics", "bone_metrics", "deformity", "scans")
}


class Case:
    """The small study, built from and into a bucket; then a scan, a table and a consent changed."""

    def __init__(self, built_once: Path, folder: Path, server: Server) -> None:
        self.work = folder / "work"
        self.bucket = server.bucket(folder / "copies")
        for name in INPUTS:
            for path in [built_once / name, *(built_once / name).rglob("*")]:
                if path.is_file():
                    self.bucket.upload(path.relative_to(built_once).as_posix(), path)
        self.first = self.run()
        self.objects = server.objects()
        self.tables = self.workspace.database.read_all(without=OF_EVENTS)
        self.second = self.run()
        self.status = paraspinal("status", ADDRESS, "--json")
        self.check = paraspinal("check", f"{ADDRESS}/study.yaml")
        self.folder = sorted(path.name for path in StudyPlace.of(ADDRESS).folder.iterdir())

        write_scan(folder, "exam6", "1002", muscle_hu=33.0, width=13.0)  # as it was, but for 7 HU
        self.replace("incoming/exam6/1002.nii.gz", folder)
        self.one_scan = self.run(SCANS, workers=2)
        self.hu = mean_hu(self.workspace.database.read("muscle_metrics"))

        self.people = pd.read_csv(self.bucket.fetch("people.csv"))
        self.people["age"] += 1
        self.people.to_csv(folder / "people.csv", index=False)
        self.replace("people.csv", folder)
        self.one_table = self.run(SCANS)
        self.ages = self.workspace.database.read("clinical")["age"]

        shutil.copytree(built_once / "masks", folder / "masks", dirs_exist_ok=True)
        for path in write_reader_masks(folder, "exam5", "1001").iterdir():
            self.replace(path.relative_to(folder).as_posix(), folder)
        text = (built_once / "study.yaml").read_text()
        (folder / "study.yaml").write_text(text.replace("review.csv}", "review.csv, masks: readers}"))
        self.replace("study.yaml", folder)
        self.with_readers = self.run(SCANS | {"reader_agreement"})
        self.agreement = self.workspace.database.read("reader_agreement")

        self.published = [published_objects(self.workspace.store)]
        self.forgotten = paraspinal("forget", "1003", ADDRESS)
        self.published.append(published_objects(self.workspace.store))
        self.without = server.objects()
        self.anew = self.run(SCANS)
        self.left = server.objects()
        self.scanned = set(self.workspace.database.read("scans")["participant"])

    def replace(self, name: str, folder: Path) -> None:
        self.bucket.upload(name, folder / name)

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(ADDRESS)

    def run(self, assets: frozenset[str] | None = None, workers: int = 1) -> Report:
        workspace, selection = self.workspace, Selection(assets)
        with study_instance(workspace) as instance:
            return run_study(workspace, instance, selection, workers=workers, progress=Progress())


def mean_hu(muscle: pd.DataFrame) -> float:
    of_scan = muscle[(muscle["exam"] == "exam6") & (muscle["participant"] == "1002")]
    return float(of_scan["mean_hu"].mean())


def paraspinal(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def case(built_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("in-bucket")
    with pytest.MonkeyPatch.context() as patch, rclone_server(folder / "buckets") as server:
        patch.setenv(WORK_VARIABLE, str(folder / "work"))
        for name in environment(Workspace.open(built_once / "study.yaml")):
            patch.setenv(name, "")
        yield Case(built_once, folder, server)


def test_tables_are_those_of_the_study_in_a_folder(case: Case, built_once: Path) -> None:
    assert case.first.failed == {}
    local = BuiltStudy(built_once).workspace.database.read_all(without=OF_EVENTS)
    assert case.tables.keys() == local.keys()
    for name, table in local.items():
        keys = [column for column in ("exam", "participant", "level", "side") if column in table]
        here, there = (frame.sort_values(keys) if keys else frame for frame in (table, case.tables[name]))
        pd.testing.assert_frame_equal(here.reset_index(drop=True), there.reset_index(drop=True))


def test_what_is_read_by_people_is_in_the_bucket(case: Case, built_once: Path) -> None:
    written = [
        *(path for path in built_once.glob("scans/*/*/*")),
        *(path for path in built_once.glob("exports/*/*") if path.stem not in OF_EVENTS),
        *(path for path in built_once.glob("report/*/*")),
    ]
    assert len(written) > 12 * 13 + 40
    for path in written:
        assert case.objects[path.relative_to(built_once).as_posix()] == path.read_bytes(), path
    assert b"Small study" in case.objects["report/report.html"]
    kinds = {name.partition("/")[0] for name in case.objects}
    assert kinds == {*INPUTS, "scans", "exports", "report", "study.json"}


def test_the_work_folder_is_for_one_user_and_has_no_scan(case: Case) -> None:
    folder = StudyPlace.of(ADDRESS).folder
    assert folder == case.work / "people" / "lungs+study"
    assert folder.stat().st_mode & 0o077 == 0
    assert "study.duckdb" in case.folder
    assert not {"scans", "incoming", "masks"} & set(case.folder)
    assert list((folder / ".cache").glob("incoming/*")) == []


def test_a_second_run_builds_nothing(case: Case) -> None:
    assert case.second.materialized == {}
    assert case.status.exit_code == 0, case.status.output
    counts = json.loads(case.status.output)["assets"]
    assert counts["ct_nifti"]["fresh"] == 12
    assert {name for name, count in counts.items() if count["stale"] or count["missing"]} == set()
    assert "No problems found." in case.check.output


def test_only_what_a_changed_object_concerns_is_built(case: Case) -> None:
    built = case.one_scan.materialized
    assert case.one_scan.failed == {}
    assert built["ct_nifti"] == built["scan_muscle"] == ["exam6-1002"]
    assert "clinical" not in built
    assert case.hu - mean_hu(case.tables["muscle_metrics"]) == pytest.approx(7.0, abs=0.5)


def test_an_edited_table_is_seen(case: Case) -> None:
    assert "clinical" in case.one_table.materialized
    assert "ct_nifti" not in case.one_table.materialized
    assert sorted(case.ages) == sorted(case.people["age"])


def test_masks_of_readers_are_read_from_there(case: Case) -> None:
    assert case.with_readers.failed == {}
    assert set(case.agreement["participant"]) == {"1001"}
    assert (case.agreement["dice"] == 1).all()


def test_another_work_folder_is_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORK_VARIABLE, str(tmp_path))
    with pytest.raises(StorageError, match="E-STORE-03"):
        case.run()


def test_a_storage_that_is_away_is_said(case: Case) -> None:
    with object_storage.environment(object_storage.free_port()):
        said = paraspinal("status", ADDRESS)
    assert said.exit_code != 0
    assert f"no answer for {ADDRESS}/study.yaml" in said.output


def test_a_study_begins_in_a_bucket(case: Case) -> None:
    new = "s3://people/new"
    with pytest.raises(StudyError, match=r"E-STUDY-01.*s3://people/new/study\.yaml"):
        Workspace.open(new)
    assert f"Wrote {new}/study.yaml" in paraspinal("init", new).output
    assert Workspace.open(new).study.exams
    assert "is there already" in paraspinal("init", new).output


@pytest.mark.parametrize(
    "name", ["s3://", "s3://People/x", "s3://people/../x", "s3://people/a b", "s3://user@host/x"]
)
def test_an_address_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(StudyError, match="E-STUDY-67"):
        StudyPlace.of(name)


def test_a_forgotten_participant_is_in_no_result(case: Case) -> None:
    said = case.forgotten
    assert said.exit_code == 0, said.output
    assert "0 places name the participant" in said.output
    assert [name for name in case.without if name.startswith("scans/") and "/1003/" in name] == []
    assert [name for name in case.without if name.startswith(("report/", "exports/"))] == []
    assert f"{ADDRESS}/report/report.html" in case.published[0]
    assert case.published[1] == []
    assert f"{ADDRESS}/incoming/exam5/1003.nii.gz" in said.output
    assert f"{ADDRESS}/people.csv: 1 rows" in said.output


def test_a_forgotten_participant_is_not_taken_in_again(case: Case) -> None:
    assert case.anew.failed == {}
    assert "withdrawn.json" in case.left
    assert [name for name in case.left if name.startswith("scans/") and "/1003/" in name] == []
    assert case.scanned == {*PEOPLE} - {"1003"}
