"""Which scans are found, and what is refused."""

import pytest

from paraspinal_assets.study.inputs import LocalInput
from paraspinal_assets.study.manifest import find_scans
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets_tests.study.builders import study


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def inputs(root):
    return StudyStore(root).inputs


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
    manifest = find_scans(one_exam(pattern=pattern), inputs(tmp_path))
    assert manifest.scans == {
        Scan("exam5", who): LocalInput(tmp_path / "in" / path) for who, path in found.items()
    }
    assert manifest.problems == ()


@pytest.mark.parametrize("name", ["10 01", "o'brien", "1;2", "a" * 100, "1001.old", "-1001", "1001 "])
def test_a_folder_with_a_bad_name_is_a_problem_and_stops_no_other(tmp_path, name):
    touch(tmp_path / "in" / name / "a.dcm")
    touch(tmp_path / "in" / "1001" / "a.dcm")
    manifest = find_scans(one_exam(), inputs(tmp_path))
    assert list(manifest.scans) == [Scan("exam5", "1001")]
    (problem,) = manifest.problems
    assert problem.code == "E-STUDY-10"
    assert str(tmp_path / "in" / name) in problem.message


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_of_a_nifti_file_the_pattern_is_what_is_wrong(tmp_path, ending):
    touch(tmp_path / "in" / f"ct-1001{ending}")
    (problem,) = find_scans(one_exam(pattern="ct-{participant}"), inputs(tmp_path)).problems
    assert (
        problem.remedy == f"for NIfTI files give the pattern 'ct-{{participant}}{ending}' in the study file"
    )


def test_an_absent_exam_folder_is_a_problem_and_stops_no_other(tmp_path):
    touch(tmp_path / "dicom/exam6/1001/a.dcm")
    manifest = find_scans(study(), inputs(tmp_path))
    assert list(manifest.scans) == [Scan("exam6", "1001")]
    assert [problem.code for problem in manifest.problems] == ["E-STUDY-13"]


def test_an_absent_folder_of_the_pattern_is_a_problem(tmp_path):
    touch(tmp_path / "in" / "elsewhere" / "1001" / "a.dcm")
    manifest = find_scans(one_exam(pattern="site/{participant}"), inputs(tmp_path))
    (problem,) = manifest.problems
    assert str(tmp_path / "in" / "site") in problem.message


def test_segmentations_are_found_beside_the_scans(tmp_path):
    touch(tmp_path / "in" / "1001" / "a.dcm")
    touch(tmp_path / "seg" / "1001.nii.gz")
    manifest = find_scans(
        one_exam(segmentations="seg", segmentation_pattern="{participant}.nii.gz"), inputs(tmp_path)
    )
    assert manifest.segmentations == {Scan("exam5", "1001"): LocalInput(tmp_path / "seg" / "1001.nii.gz")}


def test_scans_come_by_exam_and_participant(tmp_path):
    for name in ("exam6/1", "exam5/2", "exam5/10"):
        touch(tmp_path / "dicom" / name / "a.dcm")
    assert [scan.key for scan in find_scans(study(), inputs(tmp_path)).scans] == [
        "exam5-10",
        "exam5-2",
        "exam6-1",
    ]
