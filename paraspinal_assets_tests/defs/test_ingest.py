"""Conversion of incoming scans: one walk per folder tree, and intervals in place of dates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paraspinal_assets.defs.ingest.assets import convert_batch
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.imaging.dicom_headers import HeaderIndex
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.dicom_writer import Acquisition, write_series
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets.study.place import WORK_VARIABLE
from paraspinal_assets.study.scan import Scan
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.study.object_storage import rclone_server

PEOPLE = ("1001", "1002")
SCANS = [Scan(exam, person) for exam in ("exam5", "exam6") for person in PEOPLE]
DATES = {"exam5": "20110713", "exam6": "20160112"}
CONVERSION = frozenset({"ct_nifti"})
YEARS = round(1644 / 365.25, 4)  # days from 13 July 2011 to 12 January 2016


def sidecar(root: Path, scan: Scan) -> dict:
    return json.loads((root / "scans" / scan.exam / scan.participant / "ct.json").read_text())


def converted(root: Path | str, scans: list[Scan]) -> dict[str, str]:
    outcomes = list(convert_batch(scans, Workspace.open(root)))
    assert [outcome.error for outcome in outcomes] == [None] * len(scans)
    return {outcome.scan.key: outcome.result.data_version for outcome in outcomes}


@pytest.fixture
def one_tree(tmp_path: Path) -> Path:
    """Both exams of a participant in one folder tree, told apart by their kernel."""
    make_small_study(tmp_path, people=PEOPLE)
    phantom = make_phantom(tiny_parameters(), np.random.default_rng(1))
    for exam, kernel in (("exam5", "B30f"), ("exam6", "B60f")):
        for person in PEOPLE:
            acquisition = Acquisition(f"{exam}-{person}", DATES[exam], kernel=kernel)
            write_series(tmp_path / "incoming" / "both" / person / exam, phantom.ct, acquisition)
        file = tmp_path / "study.yaml"
        old = f'imaging: incoming/{exam}, pattern: "{{participant}}.nii.gz"'
        new = f'imaging: incoming/both, pattern: "{{participant}}", series: {{kernel: [{kernel}]}}'
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    return tmp_path


def test_the_headers_of_a_tree_with_several_scans_are_read_once(one_tree, monkeypatch):
    read: list[Path] = []
    original = HeaderIndex.read
    monkeypatch.setattr(HeaderIndex, "read", lambda self, paths: read.extend(paths) or original(self, paths))
    converted(one_tree, SCANS)
    assert sorted(read) == sorted(path for path in (one_tree / "incoming" / "both").rglob("*.dcm"))
    assert {sidecar(one_tree, scan)["kernel"] for scan in SCANS[:2]} == {"B30f"}
    assert {sidecar(one_tree, scan)["kernel"] for scan in SCANS[2:]} == {"B60f"}


def test_headers_give_the_interval_where_the_tables_have_no_dates(one_tree):
    converted(one_tree, SCANS[:1] + SCANS[2:])
    assert [sidecar(one_tree, scan)["years_since_baseline"] for scan in SCANS[2:]] == [YEARS, YEARS]
    assert sidecar(one_tree, SCANS[0])["years_since_baseline"] == 0
    for path in (one_tree / "scans").rglob("*.json"):
        assert not any(date in path.read_text() for date in DATES.values())


def test_a_baseline_disk_that_is_away_makes_no_follow_up_stale(one_tree, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    file = one_tree / "study.yaml"
    for person in PEOPLE:
        moved = one_tree / "incoming" / "first" / person
        moved.parent.mkdir(exist_ok=True)
        (one_tree / "incoming" / "both" / person / "exam5").rename(moved)
    file.write_text(file.read_text().replace("incoming/both", "incoming/first", 1))
    study, follow_up = BuiltStudy(one_tree), frozenset({"exam6"})
    assert study.run(assets=CONVERSION).failed == {}
    (one_tree / "incoming" / "first").rename(one_tree / "away")
    assert study.run(assets=CONVERSION, exams=follow_up).materialized == {}
    assert study.run(assets=CONVERSION, exams=follow_up).held["raw_scan", "exam5-1001"]
    (one_tree / "away").rename(one_tree / "incoming" / "first")
    assert study.run(assets=CONVERSION).materialized == {}
    assert sidecar(one_tree, SCANS[2])["years_since_baseline"] == YEARS


def test_series_in_a_bucket_have_the_same_voxels_and_intervals(one_tree, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("bucket")
    monkeypatch.setenv(WORK_VARIABLE, str(folder / "work"))
    with rclone_server(folder / "buckets") as server:
        bucket = server.bucket(folder / "copies", prefix="tree")
        for path in (path for path in one_tree.rglob("*") if path.is_file()):
            bucket.upload(path.relative_to(one_tree).as_posix(), path)
        assert converted("s3://people/tree", SCANS) == converted(one_tree, SCANS)
        for scan in SCANS:
            name = f"scans/{scan.exam}/{scan.participant}/ct.json"
            assert bucket.fetch(name).read_bytes() == (one_tree / name).read_bytes()
            assert json.loads(bucket.fetch(name).read_bytes())["years_since_baseline"] is not None


def test_an_exam_date_concerns_its_own_scan_and_no_voxel(tmp_path):
    file = make_small_study(tmp_path, people=PEOPLE)
    visits = "    visits: {file: visits.csv, exam: exam, columns: {exam_date: {type: date}}}\nreaders:"
    file.write_text(file.read_text().replace("readers:", visits))

    def dated(last: str) -> tuple[dict[str, object], dict[str, str]]:
        rows = [f"{p},exam5,2011-07-13\n{p},exam6,{last if p == '1002' else '2016-01-12'}\n" for p in PEOPLE]
        (tmp_path / "visits.csv").write_text("participant,exam,exam_date\n" + "".join(rows))
        workspace, rule = Workspace.open(file), asset_rules()["ct_nifti"]
        return {s.key: rule.scan_settings(workspace, s) for s in SCANS}, converted(tmp_path, SCANS)

    before, versions = dated("2016-01-12")
    assert sidecar(tmp_path, SCANS[3])["years_since_baseline"] == YEARS
    after, same = dated("2017-07-13")
    assert [key for key in before if before[key] != after[key]] == ["exam6-1002"]
    assert sidecar(tmp_path, SCANS[3])["years_since_baseline"] == pytest.approx(6, abs=0.01)
    assert same == versions
