"""Clinical tables: every wrong cell named, no date kept, the same values from every format."""

import datetime as dt
import re

import pandas as pd
import pyreadstat
import pytest

from paraspinal_assets.study.clinical import MAX_SHOWN, ClinicalError, exam_dates, read_clinical
from paraspinal_assets_tests.study.builders import study

COLUMNS = {
    "bmi": {"unit": "kg/m2", "range": [12, 80], "missing": ["9999"]},
    "sex": {"from": "gender", "type": "category", "values": {"1": "Male", "2": "Female"}},
    "smoker": {"type": "binary"},
    "visits": {"type": "integer"},
}
HEADER = "participant,bmi,gender,smoker,visits\n"


def people(tmp_path, text, *, encoding="utf-8", columns=None, **settings):
    (tmp_path / "people.csv").write_bytes(text.encode(encoding))
    tables = {"people": {"file": "people.csv", "columns": columns or COLUMNS, **settings}}
    return read_clinical(study(tables), tmp_path).participants


def problems(tmp_path, text, **settings):
    with pytest.raises(ClinicalError) as caught:
        people(tmp_path, text, **settings)
    assert caught.value.code == "E-STUDY-20"
    return caught.value.problems


def test_values_are_typed_and_codes_are_labelled(tmp_path):
    frame = people(tmp_path, HEADER + "0012,27.5,1,yes,3\n0007,NA,2,0,\n")
    assert frame["participant"].tolist() == ["0007", "0012"]
    assert frame["bmi"].tolist() == [pd.NA, 27.5]
    assert frame["sex"].tolist() == ["Female", "Male"]
    assert frame["smoker"].tolist() == [0, 1]
    assert frame["visits"].tolist() == [pd.NA, 3]


@pytest.mark.parametrize("cell", ["", " ", "NA", ".", "nan", "9999"])
def test_missing_codes_are_missing_and_never_zero(tmp_path, cell):
    assert people(tmp_path, HEADER + f"1,{cell},1,1,1\n")["bmi"].isna().all()


@pytest.mark.parametrize("cell", ["-9", "-9.0", " -9.00"])
@pytest.mark.parametrize("kind", ["number", "integer", "binary"])
def test_a_missing_code_is_one_however_many_decimals_it_has(tmp_path, cell, kind):
    columns = {"x": {"type": kind, "missing": ["-9"]}}
    assert people(tmp_path, f"participant,x\n1,{cell}\n", columns=columns)["x"].isna().all()


def test_none_is_an_answer_among_words(tmp_path):
    columns = {"a": {"type": "category"}, "b": {"type": "category", "values": ["NA", "EU"]}, "c": {}}
    frame = people(tmp_path, "participant,a,b,c\n1,None,NA,None\n2,NA,EU,1\n", columns=columns)
    assert frame["a"].fillna("").tolist() == ["None", ""]
    assert frame["b"].tolist() == ["NA", "EU"]
    assert frame["c"].tolist() == [pd.NA, 1]


EUROPEAN = "participant;bmi;gender;smoker;visits\r\n0012;27,5;1;1;3\r\n0013;9999,0;2;0,0;.\r\n"


def test_semicolons_and_decimal_commas_are_read_where_they_are_named(tmp_path):
    frame = people(tmp_path, EUROPEAN, separator=";", decimal=",")
    assert frame["bmi"].tolist() == [27.5, pd.NA]
    assert frame["smoker"].tolist() == [1, 0]
    (problem,) = problems(tmp_path, EUROPEAN.replace("27,5", "1.027,5"), separator=";", decimal=",")
    assert "bmi '9.999,9' is not a number" in problem
    (problem,) = problems(tmp_path, EUROPEAN.replace("27,5", "27.5"), separator=";", decimal=",")
    assert "bmi '99.9' is not a number" in problem


def test_an_unnamed_separator_or_decimal_comma_is_told_as_such(tmp_path):
    (problem,) = problems(tmp_path, EUROPEAN)
    assert "separated by ';', not by ','" in problem
    assert "name its `separator`" in problem
    found = problems(tmp_path, EUROPEAN, separator=";")
    assert "bmi '99,9' is not a number, or not with `decimal` as it is set" in found[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,200,1,1,1", "bmi '999' is outside the allowed range 12 to 80 kg/m2"),
        ("1,27;5,1,1,1", "bmi '99;9' is not a number"),
        ("1,inf,1,1,1", "bmi 'xxx' is not a number"),
        ("1,2_0,1,1,1", "bmi '9_9' is not a number"),
        ("1,20,3,1,1", "sex '9' is not one of the codes 1, 2"),
        ("1,20,1,2,1", "smoker '9' is not 0/1, yes/no or true/false"),
        ("1,20,1,1,1.5", "visits '9.9' is not a whole number"),
    ],
)
def test_a_wrong_cell_names_file_row_participant_shape_and_rule(tmp_path, row, said):
    (problem,) = problems(tmp_path, HEADER + "7,20,1,1,1\n" + row + "\n")
    assert problem == f"{tmp_path / 'people.csv'} row 3 participant 1: {said}"


def test_all_problems_are_found_and_the_first_are_shown(tmp_path):
    rows = "".join(f"{number},{'1' * (number + 3)},1,1,1\n" for number in range(50))
    with pytest.raises(ClinicalError, match="50 problems") as caught:
        people(tmp_path, HEADER + rows)
    assert len(caught.value.problems) == 50
    assert str(caught.value).count("outside the allowed range") == MAX_SHOWN
    assert "and 30 more" in str(caught.value)


def test_a_fault_of_many_rows_is_told_once_with_the_first(tmp_path):
    rows = "1,20,1,1,1\n2,200,1,1,1\n3,300,1,1,1\n4,20,9,1,1\n5,400,1,1,1\n"
    assert problems(tmp_path, HEADER + rows) == [
        f"{tmp_path / 'people.csv'} row 3 participant 2 and 2 more: "
        "bmi '999' is outside the allowed range 12 to 80 kg/m2",
        f"{tmp_path / 'people.csv'} row 5 participant 4: sex '9' is not one of the codes 1, 2",
    ]


def test_empty_rows_at_the_end_are_those_of_a_spreadsheet(tmp_path):
    assert len(people(tmp_path, HEADER + "1,20,1,1,1\n,,,,\n ,,,,\n")) == 1


def test_a_repeated_participant_names_its_rows(tmp_path):
    (problem,) = problems(tmp_path, HEADER + "1,20,1,1,1\n2,20,1,1,1\n1,21,1,1,1\n")
    assert "rows 2, 4: participant 1 is there more than once" in problem


@pytest.mark.parametrize("who", ["a/b", "..", "o'brien", "1;2", "1 2", "a" * 100, ""])
def test_an_unsafe_participant_is_refused_and_the_others_are_checked(tmp_path, who):
    found = problems(tmp_path, HEADER + f"{who},20,1,1,1\n2,1,1,1,1\n")
    assert "row 2: participant id" in found[0]
    assert "participant 2: bmi" in found[1]


def test_latin_1_is_read_if_declared_and_named_if_not(tmp_path):
    columns = {"town": {"type": "text"}}
    text = "participant,town\n1,Zürich\n"
    (problem,) = problems(tmp_path, text, encoding="latin-1", columns=columns)
    assert "people.csv row 2 is not utf-8 text (byte 0xfc)" in problem
    assert "encoding: latin-1" in problem
    (tmp_path / "people.csv").write_bytes(text.encode("latin-1"))
    tables = {"people": {"file": "people.csv", "encoding": "latin-1", "columns": columns}}
    assert read_clinical(study(tables), tmp_path).participants["town"].tolist() == ["Zürich"]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    assert people(tmp_path, "\ufeff" + HEADER + "1,20,1,1,1\n")["participant"].tolist() == ["1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no header"),
        (HEADER + "1,20,1,1,1,7\n", "row 2 has 6 cells, the header has 5"),
        (HEADER + "1,20,1,1,1\n2,20\n", "row 3 has 2 cells, the header has 5"),
        (HEADER + '1,"20,1,1,1\n', "cannot be read"),
        ("participant,bmi\n1,20\n", "no column 'gender', 'smoker', 'visits' among the 2 in its first row"),
        ("participant,bmi,bmi,gender,smoker,visits\n1,20,20,1,1,1\n", "more than one column 'bmi'"),
    ],
)
def test_a_malformed_csv_is_refused_in_words(tmp_path, text, said):
    (problem,) = problems(tmp_path, text)
    assert str(tmp_path / "people.csv") in problem
    assert said in problem


def test_empty_lines_at_the_end_do_not_count(tmp_path):
    assert len(people(tmp_path, HEADER + "1,20,1,1,1\n\n\n")) == 1


def test_an_absent_file_and_an_unknown_kind_are_named(tmp_path):
    tables = {
        "a": {"file": "absent.csv", "columns": {"x": {}}},
        "b": {"file": "b.xlsx", "columns": {"y": {}}},
    }
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    with pytest.raises(ClinicalError) as caught:
        read_clinical(study(tables), tmp_path)
    assert [problem.split(" (")[0] for problem in caught.value.problems] == [
        f"no clinical table at {tmp_path / 'absent.csv'}",
        f"{tmp_path / 'b.xlsx'}: unknown kind of table",
    ]


def test_tables_are_joined_and_an_empty_one_loses_no_column(tmp_path):
    (tmp_path / "a.csv").write_text("participant,bmi\n")
    (tmp_path / "b.csv").write_text("participant,site\n1,Bern\n")
    tables = {
        "a": {"file": "a.csv", "columns": {"bmi": {}}},
        "b": {"file": "b.csv", "columns": {"site": {"type": "category"}}},
    }
    frame = read_clinical(study(tables), tmp_path).participants
    assert list(frame.columns) == ["participant", "bmi", "site"]
    assert frame["bmi"].isna().all()


# Dates


def dated(tmp_path, births, exams):
    (tmp_path / "births.csv").write_text("participant,date_of_birth\n" + births)
    (tmp_path / "exams.csv").write_text("participant,exam,exam_date\n" + exams)
    return study(
        {
            "births": {"file": "births.csv", "columns": {"date_of_birth": {"type": "date"}}},
            "exams": {"file": "exams.csv", "exam": "exam", "columns": {"exam_date": {"type": "date"}}},
        }
    )


def test_dates_become_age_and_years_and_are_not_kept(tmp_path):
    data = read_clinical(
        dated(tmp_path, "1,1950-01-01\n", "1,exam5,2010-01-01\n1,exam6,2015-01-01\n"), tmp_path
    )
    assert data.participants["age"].tolist() == pytest.approx([60.0], abs=0.01)
    assert data.exams["years_from_baseline"].tolist() == pytest.approx([0, 5], abs=0.01)
    for frame in (data.participants, data.exams):
        assert not {"date_of_birth", "exam_date"} & set(frame.columns)
        assert not re.search(r"19\d\d|20\d\d", frame.to_csv())


@pytest.mark.parametrize(
    ("births", "exams", "said"),
    [
        (
            "1,2012-05-06\n",
            "1,exam5,2010-03-04\n",
            "exam_date of exam5 is 2.2 years before the date of birth",
        ),
        ("1,1950-05-06\n", "1,exam5,2010-03-04\n1,exam6,2009-03-04\n", "is 1.0 years before the exam5 date"),
        ("1,1950-13-46\n", "1,exam5,2010-03-04\n", "'9999-99-99' is not a date like"),
        ("1,1950\n", "1,exam5,2010-03-04\n", "'9999' is not a date like"),
        ("1,06.05.1950\n", "1,exam5,2010-03-04\n", "'99.99.9999' is not a date like"),
    ],
)
def test_wrong_dates_are_told_without_printing_one(tmp_path, births, exams, said):
    with pytest.raises(ClinicalError) as caught:
        read_clinical(dated(tmp_path, births, exams), tmp_path)
    text = str(caught.value)
    assert said in text
    assert "participant 1" in text
    assert not re.search(
        r"1950|201[0-9]|2009", text.replace("like 2012-07-31", "").replace(str(tmp_path), "")
    )


def test_an_unknown_exam_is_named(tmp_path):
    with pytest.raises(ClinicalError, match="row 2: exam 'xxxx9' is not one of exam5, exam6"):
        read_clinical(dated(tmp_path, "1,1950-01-01\n", "1,exam7,2010-01-01\n"), tmp_path)


def test_exam_dates_for_calibrations_leave_wrong_cells_out(tmp_path):
    settings = dated(tmp_path, "", "1,exam5,2010-01-01\n2,exam5,soon\n")
    assert exam_dates(settings, tmp_path) == {("1", "exam5"): dt.date(2010, 1, 1)}
    (tmp_path / "exams.csv").unlink()
    assert exam_dates(settings, tmp_path) == {}


# The same table in other formats


def _write_dta(frame, path):
    pyreadstat.write_dta(frame, str(path))


def _write_xpt(frame, path):
    pyreadstat.write_xport(frame, str(path))


def _write_parquet(frame, path):
    frame.to_parquet(path)


@pytest.mark.parametrize(
    ("name", "write"), [("t.dta", _write_dta), ("t.xpt", _write_xpt), ("t.parquet", _write_parquet)]
)
def test_a_binary_format_gives_the_same_values_as_csv(tmp_path, name, write):
    frame = pd.DataFrame(
        {
            "idno": [12.0, 7.0],
            "bmi": [27.5, 9999.0],
            "gender": [1.0, 2.0],
            "smoker": [1.0, None],
            "visits": [3.0, 4.0],
            "site": ["Bern", ""],
            "born": [dt.date(1950, 1, 1), dt.date(1960, 1, 1)],
        }
    )
    write(frame, tmp_path / name)
    text = frame.to_csv(index=False).replace(".0,", ",")
    (tmp_path / "t.csv").write_text(text)
    columns = {**COLUMNS, "site": {"type": "category"}, "date_of_birth": {"from": "born", "type": "date"}}
    binary, text = (
        read_clinical(
            study({"t": {"file": file, "participant": "idno", "columns": columns}}), tmp_path
        ).participants
        for file in (name, "t.csv")
    )
    pd.testing.assert_frame_equal(binary, text)
    assert binary["bmi"].tolist() == [27.5, pd.NA]
    assert binary["participant"].tolist() == ["12", "7"]


def test_a_number_is_no_date(tmp_path):
    pd.DataFrame({"participant": ["1"], "born": [18262.0]}).to_parquet(tmp_path / "t.parquet")
    columns = {"date_of_birth": {"from": "born", "type": "date"}}
    with pytest.raises(ClinicalError, match=r"'99999\.9' is not a date"):
        read_clinical(study({"t": {"file": "t.parquet", "columns": columns}}), tmp_path)


@pytest.mark.parametrize("name", ["t.dta", "t.xpt", "t.parquet", "t.sas7bdat"])
def test_a_damaged_binary_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not this format " * 10)
    with pytest.raises(ClinicalError, match=f"{name} cannot be read"):
        read_clinical(study({"t": {"file": name, "columns": COLUMNS}}), tmp_path)
