"""Ids that are safe everywhere, and keys that read back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.scan import Scan, check_exam, check_participant

IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "/",
            "a/b",
            "..",
            ".",
            "../../etc",
            "o'brien",
            "1;DROP TABLE scans",
            "10 01",
            " 1001",
            "1001\n",
        ),
        *("a" * 65, "a" * 100, "-1001", "é1", "1\x00", "a|b", "a,b", "٣"),
        *(None, float("nan"), np.float64("nan"), pd.NA, 1.5),
    ],
)
def test_an_unsafe_id_is_refused_with_its_place(value):
    with pytest.raises(StudyError) as caught:
        check_participant(value, where="people.csv row 7")
    assert caught.value.code == "E-STUDY-10"
    assert "people.csv row 7" in caught.value.message
    assert "letters, digits and hyphens" in caught.value.remedy


def test_a_long_id_is_not_printed_whole():
    with pytest.raises(StudyError) as caught:
        check_participant("x" * 5000, where="here")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("value", "text"),
    [("0012", "0012"), (1001, "1001"), (1001.0, "1001"), (np.float32(7), "7"), ("A-1", "A-1")],
)
def test_numbers_of_binary_formats_become_ids_and_zeros_stay(value, text):
    assert check_participant(value, where="here") == text


@pytest.mark.parametrize("exam", ["Exam5", "5", "exam-5", "exam 5", "", "exam_5", "e" * 33, "exam5\n"])
def test_an_exam_name_is_a_lower_case_word(exam):
    with pytest.raises(StudyError, match="E-STUDY-11"):
        check_exam(exam, where="study.yaml")


@given(st.from_regex(r"\A[a-z][a-z0-9]{0,31}\Z"), IDS)
def test_a_key_reads_back(exam, participant):
    scan = Scan(exam, participant)
    assert Scan.from_key(scan.key) == scan
    assert not set(scan.key) & set(",|/ ")


@pytest.mark.parametrize("key", ["exam5", "", "exam5-../x", "-1001"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(StudyError, match="E-STUDY-1"):
        Scan.from_key(key)
