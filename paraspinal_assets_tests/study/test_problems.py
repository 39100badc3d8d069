"""`check` tells everything at once."""

from paraspinal_assets.study.problems import check_study
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets_tests.study.builders import study


def test_all_kinds_of_problems_come_together(tmp_path):
    for name in ("exam5/1001/a.dcm", "exam5/o'brien/a.dcm", "exam5/1002/.keep"):
        (tmp_path / "dicom" / name).parent.mkdir(parents=True)
        (tmp_path / "dicom" / name).touch()
    (tmp_path / "people.csv").write_text("participant,bmi\n1001,20\n")
    checked = study(
        readers={"decisions": "review.csv"},
        models={"linear": {"m": "bmi + height"}, "fracture": {}},
    )
    found = check_study(checked, StudyStore(tmp_path).inputs)
    assert found.scans == {"exam5": 2, "exam6": 0}
    for said in (
        "exam6: no folder",
        'participant id "x\'xxxxx" is not allowed',
        "exam5-1002: the folder",
        "1 participants have scans but no clinical data: 1002",
        "no review file",
        "models.linear.m: no clinical column is named height",
    ):
        assert sum(said in problem for problem in found.problems) == 1, said
    assert len(found.problems) == 6


def test_a_sound_study_has_none(tmp_path):
    for exam in ("exam5", "exam6"):
        (tmp_path / "dicom" / exam / "1001").mkdir(parents=True)
        (tmp_path / "dicom" / exam / "1001" / "a.dcm").touch()
    (tmp_path / "people.csv").write_text("participant,bmi\n1001,20\n")
    sound = study(models={"linear": {"m": "bmi * volume + `vbmd`"}, "fracture": {}})
    assert check_study(sound, StudyStore(tmp_path).inputs).problems == ()


def test_ids_from_which_a_spreadsheet_took_the_zeros_are_named(tmp_path):
    for exam, participant in (("exam5", "0017"), ("exam6", "0017"), ("exam5", "A2"), ("exam5", "30")):
        (tmp_path / "dicom" / exam / participant).mkdir(parents=True)
        (tmp_path / "dicom" / exam / participant / "a.dcm").touch()
    (tmp_path / "people.csv").write_text("participant,bmi\n17,20\na2,21\n30,22\n")
    checked = study(models={"linear": {"m": "bmi"}, "fracture": {}})
    assert check_study(checked, StudyStore(tmp_path).inputs).problems == (
        "2 participants have scans but no clinical data: 0017, A2",
        "2 participants may be there under two ids, which differ in leading zeros or case alone: "
        "0017 and 17, A2 and a2",
    )


def test_scans_without_the_masks_that_are_to_be_imported_are_named(tmp_path):
    for name in ("dicom/exam5/1001", "dicom/exam5/1002", "dicom/exam5/1003", "dicom/exam6/1001"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.dcm").touch()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "1001_seg.nii.gz").touch()
    (tmp_path / "people.csv").write_text("participant,bmi\n1001,20\n1002,21\n1003,22\n")
    baseline = {
        "role": "baseline",
        "imaging": "dicom/exam5",
        "segmentations": "masks",
        "segmentation_pattern": "{participant}_seg.nii.gz",
    }
    checked = study(
        exams={"exam5": baseline, "exam6": {"role": "follow_up", "imaging": "dicom/exam6"}},
        segmentation={"segmenter": "imported"},
        exclude=[{"participant": "1003", "reason": "moved"}],
        models={"linear": {"m": "bmi"}, "fracture": {}},
    )
    assert check_study(checked, StudyStore(tmp_path).inputs).problems == (
        "1 scans of exam5 have no segmentation (not at masks/{participant}_seg.nii.gz): exam5-1002",
        "1 scans of exam6 have no segmentation (no `segmentations` are given): exam6-1001",
    )


def test_options_of_the_analysis_that_name_nothing_are_told(tmp_path):
    for exam in ("exam5", "exam6"):
        (tmp_path / "dicom" / exam).mkdir(parents=True)
    (tmp_path / "people.csv").write_text("participant,bmi,sex\n1001,20,Female\n")
    models = {"linear": {"m": "bmi"}, "fracture": {}}
    options = {
        "exposure": "volume",
        "reference_levels": {"sex": "Women", "race": "White"},
        "subgroups": ["bmi", "race"],
        "sensitivity_model": "model5",
    }
    columns = {"bmi": {}, "sex": {"type": "category", "values": ["Female", "Male"]}}
    tables = {"people": {"file": "people.csv", "columns": columns}}
    checked = study(tables, models=models, analysis=options)
    found = check_study(checked, StudyStore(tmp_path).inputs).problems
    assert found == (
        "analysis.reference_levels: no clinical column is named race",
        "analysis.subgroups: no clinical column is named race",
        "analysis.reference_levels: sex has no value 'Women'",
        "analysis.sensitivity_model: no model of models.linear is named model5",
    )
    assert check_study(study(tables, models=models), StudyStore(tmp_path).inputs).problems == ()
