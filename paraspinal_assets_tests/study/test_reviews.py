"""Readers' decisions, read whole or refused with the row."""

import pytest

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.reviews import Review, read_reviews
from paraspinal_assets.study.scan import Scan
from paraspinal_assets_tests.study.builders import study

HEADER = "participant,exam,decision,reader,reason\n"
STUDY = study(readers={"decisions": "review.csv"})


def reviews(tmp_path, text):
    (tmp_path / "review.csv").write_text(text, encoding="utf-8")
    return read_reviews(STUDY, tmp_path)


def test_a_study_without_reviews_has_none(tmp_path):
    assert read_reviews(study(), tmp_path) == {}


def test_decisions_are_read(tmp_path):
    rows = [
        "1,exam5,accept,AB,",
        '0002,exam5,reject,AB,"motion, severe"',
        "1,exam6,relabel-2,CD,T1 is T3",
        "3,exam5,relabel+1,CD,x",
    ]
    assert reviews(tmp_path, HEADER + "\n".join(rows)) == {
        Scan("exam5", "1"): Review("accept", "AB", ""),
        Scan("exam5", "0002"): Review("reject", "AB", "motion, severe"),
        Scan("exam6", "1"): Review("relabel", "CD", "T1 is T3", -2),
        Scan("exam5", "3"): Review("relabel", "CD", "x", 1),
    }


@pytest.mark.parametrize(
    "decision",
    ["", "maybe", "relabel", "relabel0", "relabel+0", "relabel1", "relabel+1-2", "relabel+-", "accept5"],
)
def test_an_unknown_decision_names_its_row(tmp_path, decision):
    with pytest.raises(StudyError, match=r"E-STUDY-40.*row 3: unknown decision") as caught:
        reviews(tmp_path, HEADER + f"1,exam5,accept,AB,\n2,exam5,{decision},AB,\n")
    assert "relabel+1" in caught.value.remedy


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,exam5,accept,AB,again", "a second decision about exam5-1"),
        ("1,exam7,accept,AB,", "exam 'xxxx9' is not in the study"),
        ("../1,exam5,accept,AB,", "participant id '../9' is not allowed"),
        ("1,exam5,accept", "row 3 has 3 cells, the header has 5"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, said):
    with pytest.raises(StudyError, match=r"row 3") as caught:
        reviews(tmp_path, HEADER + "1,exam5,accept,AB,\n" + row + "\n")
    assert said in caught.value.message


def test_an_absent_file_and_an_absent_column_are_named(tmp_path):
    with pytest.raises(StudyError, match=r"E-STUDY-40.*no review file"):
        read_reviews(STUDY, tmp_path)
    with pytest.raises(StudyError, match=r"E-STUDY-40.*no column decision, reason"):
        reviews(tmp_path, "participant,exam,reader\n")
