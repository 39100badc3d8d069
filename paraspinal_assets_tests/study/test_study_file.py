"""Every mistake in a study file is named with its line, all at once."""

import pytest

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.study_file import StudyFileError, load_study, settings_digest
from paraspinal_assets_tests.study.builders import MINIMAL


@pytest.fixture
def load(tmp_path):
    def write_and_load(text):
        path = tmp_path / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return load_study(path)

    return write_and_load


def problems(load, text):
    with pytest.raises(StudyFileError) as caught:
        load(text)
    assert caught.value.code == "E-STUDY-02"
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_the_minimal_file_is_valid(load):
    study = load(MINIMAL)
    assert (study.baseline, study.follow_up) == ("exam5", "exam6")
    assert study.levels == tuple(f"T{number}" for number in range(1, 11))


def test_an_absent_file_says_how_to_make_one(tmp_path):
    with pytest.raises(StudyError, match=r"E-STUDY-01.*no study file.*\n.*paraspinal init"):
        load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [a\nexams: 1\n", "line 2, column"),
        ("name: a\n\tb: 1\n", "line 2"),
        ("", "empty"),
        ("- a\n- b\n", "not a table of keys"),
        ("name: &x [*x, *y]\n", "line 1"),
        ("? &x [*x]\n: b\n", "line 1"),
        ("name: !!python/object/apply:os.system ['true']\n", "line 1"),
        ("? [a, b]\n: c\n", "line 1"),
    ],
)
def test_what_is_not_yaml_names_the_line(load, text, said):
    with pytest.raises(StudyError, match="E-STUDY-01") as caught:
        load(text)
    assert said in caught.value.message
    assert caught.value.message.count("\n") == 0


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "study.yaml").write_bytes("name: Müller\n".encode("latin-1"))
    with pytest.raises(StudyError, match=r"E-STUDY-01.*not UTF-8"):
        load_study(tmp_path / "study.yaml")


def test_a_text_that_contains_itself_is_no_name(load):
    assert "line 1: name: Input should be a valid string" in problems(load, "name: &x [*x]\n")


def test_an_unknown_key_names_its_line(load):
    assert problems(load, MINIMAL + "leves: T1-T10\n") == ["line 16: unknown key leves"]


def test_a_missing_key_names_the_line_of_its_section(load):
    assert problems(load, MINIMAL.replace("    role: baseline\n", "")) == [
        "line 3: exams.exam5.role is required"
    ]


def test_a_wrong_type_shows_what_was_found(load):
    (problem,) = problems(load, MINIMAL + "analysis:\n  folds: ten\n")
    assert problem.startswith("line 17: analysis.folds: Input should be a valid integer")
    assert problem.endswith("(found 'ten')")


def test_all_problems_come_at_once_in_the_order_of_lines(load):
    found = problems(
        load, MINIMAL.replace("role: baseline", "role: first") + "measurement:\n  fat: [1, 0]\nx: 1\n"
    )
    assert [problem.split(":")[0] for problem in found] == ["line 4", "line 17", "line 18"]
    assert "the window [1.0, 0.0] is empty" in found[1]


def test_a_repeated_key_is_refused(load):
    (problem,) = problems(load, MINIMAL + "levels: T1-T4\nlevels: T1-T10\n")
    assert problem == "line 17: levels is there twice (first on line 16)"


def test_multiple_imputation_needs_copies(load):
    (problem,) = problems(load, MINIMAL + "analysis: {imputation: multiple, imputations: 0}\n")
    assert "imputation: multiple needs imputations of at least 2, not 0" in problem


def test_ids_and_codes_stay_as_they_are_written(load):
    study = load(
        MINIMAL.replace(
            "bmi: {unit: kg/m2, range: [12, 80]}", "sex: {type: category, values: {1: Male, 02: no}}"
        )
        + "exclude:\n  - {participant: 0012, reason: Consent withdrawn}\n  - {participant: 1001, reason: on hold}\n"
    )
    assert [entry.participant for entry in study.exclude] == ["0012", "1001"]
    assert study.clinical.tables["people"].columns["sex"].values == {"1": "Male", "02": "no"}


def test_dates_and_numbers_are_read_where_they_are_asked_for(load):
    study = load(
        MINIMAL + "calibration:\n  - {slope: 7.5e-1, intercept: -5, from_date: 2011-01-31}\nsynthetic: true\n"
    )
    entry = study.calibration[0]
    assert (entry.slope, entry.intercept, entry.from_date.isoformat()) == (0.75, -5, "2011-01-31")
    assert study.synthetic is True


def test_a_union_is_one_problem_without_the_names_of_its_branches(load):
    (problem,) = problems(
        load, MINIMAL.replace("{unit: kg/m2, range: [12, 80]}", "{type: category, values: 5}")
    )
    assert "clinical.tables.people.columns.bmi.values: " in problem
    assert "tuple[" not in problem


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("role: follow_up", "role: baseline", "exactly one with role baseline"),
        ("exam6:", "Exam-6:", "exam name 'Exam-6'"),
        ("range: [12, 80]", "type: date", "dates are not kept"),
        ("range: [12, 80]", "type: text, range: [1, 2]", "a range needs type number"),
        ("file: people.csv", "file: people.csv\n      encoding: latin-11", "no text encoding"),
        ("bmi: {", "volume: {", "a name that the study makes itself"),
        ("fracture: none", "fracture: column", "no table has a column named fracture"),
        ("imaging: dicom/exam5", "imaging: dicom/exam5\n    pattern: ../{participant}", "must stay inside"),
        ("imaging: dicom/exam5", "imaging: dicom/exam5\n    pattern: scans", "exactly once"),
        (
            "imaging: dicom/exam5",
            "imaging: a\n    series: {series_description: '['}",
            "not a regular expression",
        ),
        ("name: Test study", "name: Test study\nlevels: T10-T1", "is not a range of levels"),
        ("name: Test study", "name: Test study\nlevels: [T1, X9]", "unknown levels"),
        ("name: Test study", "name: t\nexclude: [{participant: a/b, reason: why}]", "not a participant id"),
        ("name: Test study", "name: t\nexclude: [{participant: a, exam: exam9, reason: why}]", "exam9"),
        (
            "name: Test study",
            "name: t\ncalibration: [{slope: 1, intercept: 0}, {slope: 1, intercept: 0, material: CaCO3}]",
            "materials do not mix",
        ),
    ],
)
def test_a_broken_rule_is_said_in_words(load, old, new, said):
    assert old in MINIMAL
    found = problems(load, MINIMAL.replace(old, new, 1))
    assert any(said in problem and problem.startswith("line ") for problem in found), found


def test_columns_that_differ_in_capitals_are_one_too_many(load):
    (problem,) = problems(load, MINIMAL + "        BMI: {}\n")
    assert "capitals do not count" in problem


def test_a_digest_depends_on_content_alone():
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1})
    assert settings_digest({"a": 1}) != settings_digest({"a": 2})


def test_the_address_of_artifacts_is_a_bucket_and_a_secret_in_it_is_refused_and_not_repeated(load):
    assert load(MINIMAL + "artifacts: {url: s3://people/lungs/}\n").artifacts.url == "s3://people/lungs"
    for url in (
        "s3://id:secret@people/lungs",
        "s3://people/../lungs",
        "s3://people/a?b",
        "/people",
        "s3://x",
    ):
        (problem,) = problems(load, MINIMAL + f"artifacts: {{url: '{url}'}}\n")
        assert "artifacts.url: write it as s3://bucket/prefix" in problem
        assert "secret" not in problem
