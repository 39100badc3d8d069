"""Which scans are found, what is refused, and when a file is read again."""

import os
import sqlite3
import time

import pytest

from paraspinal_assets.study.manifest import FingerprintCache, find_scans, input_files
from paraspinal_assets.study.scan import Scan
from paraspinal_assets_tests.study.builders import study


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def one_exam(**settings):
    return study(exams={"exam5": {"role": "baseline", "imaging": "in", **settings}})


@pytest.mark.parametrize(
    ("pattern", "files", "found"),
    [
        ("{participant}", ["1001/a.dcm", "1002/b.dcm"], {"1001": "1001", "1002": "1002"}),
        ("{participant}.nii.gz", ["1001.nii.gz", "1002.nii", "notes.txt"], {"1001": "1001.nii.gz"}),
        ("sub-{participant}_ct", ["sub-1001_ct/a", "1002_ct/a"], {"1001": "sub-1001_ct"}),
        ("{participant}/CHEST", ["1001/CHEST/a", "1002/HEAD/a"], {"1001": "1001/CHEST"}),
        ("site/{participant}/ct.nii", ["site/1001/ct.nii", "1002/ct.nii"], {"1001": "site/1001/ct.nii"}),
        ("a.b+{participant}", ["a.b+1001/x", "aXb+1002/x"], {"1001": "a.b+1001"}),
        ("{participant}", [".DS_Store", "1001/x"], {"1001": "1001"}),
    ],
)
def test_a_pattern_finds_its_scans_and_no_others(tmp_path, pattern, files, found):
    for name in files:
        touch(tmp_path / "in" / name)
    manifest = find_scans(one_exam(pattern=pattern), tmp_path)
    assert manifest.scans == {Scan("exam5", who): tmp_path / "in" / path for who, path in found.items()}
    assert manifest.problems == ()


@pytest.mark.parametrize("name", ["10 01", "o'brien", "1;2", "a" * 100, "1001.old", "-1001", "1001 "])
def test_a_folder_with_a_bad_name_is_a_problem_and_stops_no_other(tmp_path, name):
    touch(tmp_path / "in" / name / "a.dcm")
    touch(tmp_path / "in" / "1001" / "a.dcm")
    manifest = find_scans(one_exam(), tmp_path)
    assert list(manifest.scans) == [Scan("exam5", "1001")]
    (problem,) = manifest.problems
    assert problem.code == "E-STUDY-10"
    assert str(tmp_path / "in" / name) in problem.message


def test_an_absent_exam_folder_is_a_problem_and_stops_no_other(tmp_path):
    touch(tmp_path / "dicom/exam6/1001/a.dcm")
    manifest = find_scans(study(), tmp_path)
    assert list(manifest.scans) == [Scan("exam6", "1001")]
    assert [problem.code for problem in manifest.problems] == ["E-STUDY-13"]


def test_an_absent_folder_of_the_pattern_is_a_problem(tmp_path):
    touch(tmp_path / "in" / "elsewhere" / "1001" / "a.dcm")
    manifest = find_scans(one_exam(pattern="site/{participant}"), tmp_path)
    (problem,) = manifest.problems
    assert str(tmp_path / "in" / "site") in problem.message


def test_segmentations_are_found_beside_the_scans(tmp_path):
    touch(tmp_path / "in" / "1001" / "a.dcm")
    touch(tmp_path / "seg" / "1001.nii.gz")
    manifest = find_scans(
        one_exam(segmentations="seg", segmentation_pattern="{participant}.nii.gz"), tmp_path
    )
    assert manifest.segmentations == {Scan("exam5", "1001"): tmp_path / "seg" / "1001.nii.gz"}


def test_scans_come_by_exam_and_participant(tmp_path):
    for name in ("exam6/1", "exam5/2", "exam5/10"):
        touch(tmp_path / "dicom" / name / "a.dcm")
    assert [scan.key for scan in find_scans(study(), tmp_path).scans] == ["exam5-10", "exam5-2", "exam6-1"]


def test_hidden_files_are_no_input(tmp_path):
    wanted = touch(tmp_path / "1" / "deep" / "a.dcm")
    touch(tmp_path / "1" / ".DS_Store")
    assert input_files(tmp_path / "1") == [wanted]
    assert input_files(wanted) == [wanted]


@pytest.fixture
def cache(tmp_path):
    with FingerprintCache(tmp_path / "cache" / "fingerprints.sqlite") as cache:
        yield cache


def test_a_file_changed_in_place_with_its_old_time_is_read_again(tmp_path, cache):
    file = touch(tmp_path / "scan" / "a.dcm", b"first")
    before = file.stat()
    first = cache.fingerprint(tmp_path / "scan")
    time.sleep(0.02)  # longer than the clock tick of a file system
    with open(file, "r+b") as stream:
        stream.write(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert cache.fingerprint(tmp_path / "scan") != first


def test_only_the_content_counts(tmp_path, cache):
    file = touch(tmp_path / "scan" / "a.dcm", b"first")
    first = cache.fingerprint(tmp_path / "scan")
    os.utime(file)
    file.rename(file.with_name("b.dcm"))
    assert cache.fingerprint(tmp_path / "scan") == first


def test_an_added_and_a_removed_file_change_the_fingerprint(tmp_path, cache):
    touch(tmp_path / "scan" / "a.dcm", b"first")
    first = cache.fingerprint(tmp_path / "scan")
    second = touch(tmp_path / "scan" / "b.dcm", b"second")
    assert cache.fingerprint(tmp_path / "scan") != first
    second.unlink()
    assert cache.fingerprint(tmp_path / "scan") == first


def test_an_unchanged_scan_is_not_read_again(tmp_path, cache, monkeypatch):
    touch(tmp_path / "scan" / "a.dcm")
    first = cache.fingerprint(tmp_path / "scan")
    monkeypatch.setattr(
        "paraspinal_assets.study.manifest.fingerprint", lambda files: pytest.fail("read again")
    )
    assert cache.fingerprint(tmp_path / "scan") == first


def test_what_was_read_is_remembered_although_the_process_dies(tmp_path, cache):
    touch(tmp_path / "scan" / "a.dcm")
    cache.fingerprint(tmp_path / "scan")
    other = sqlite3.connect(tmp_path / "cache" / "fingerprints.sqlite", timeout=0.1)
    assert other.execute("SELECT count(*) FROM fingerprints").fetchone() == (1,)
    other.execute("DELETE FROM fingerprints")
    other.close()


def test_a_file_that_cannot_be_read_stops_nothing(tmp_path, cache):
    link = tmp_path / "scan" / "a.dcm"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    assert cache.fingerprint(tmp_path / "scan") == "unreadable: No such file or directory"
    touch(tmp_path / "nowhere")
    assert not cache.fingerprint(tmp_path / "scan").startswith("unreadable")
