"""The documented tables against the code that makes them."""

from pathlib import Path

import pandas as pd
import pytest

from paraspinal_assets.errors import StudyError
from paraspinal_assets.report.sections.methods import PROBLEM_TABLES
from paraspinal_assets.statistics import longitudinal
from paraspinal_assets.statistics.analysis import analyze
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.statistics.tables import COLUMNS
from paraspinal_assets.study.schema import TYPES, Column, TableSchema, schemas

COHORT = Path(__file__).parent.parent / "data/statistics/A.csv"
ADDED = {"diagnostics": ("participant",), "predictions": ("participant",)}
NOT_STORED = {"problems"}


def column_names(table):
    return tuple(column.name for column in schemas()[table].columns)


@pytest.mark.parametrize("table", sorted(set(COLUMNS) - NOT_STORED))
def test_an_analysis_table_is_documented_column_by_column(table):
    assert column_names(table) == (*ADDED.get(table, ()), *COLUMNS[table])


@pytest.mark.parametrize("table", [name for name in PROBLEM_TABLES if name not in NOT_STORED])
def test_problems_are_documented(table):
    assert column_names(table) == COLUMNS["problems"]


def test_change_tables_are_documented():
    assert column_names("longitudinal_change") == longitudinal.CHANGE_COLUMNS
    assert column_names("longitudinal") == longitudinal.SUMMARY_COLUMNS
    assert column_names("longitudinal_models") == longitudinal.MODEL_COLUMNS


def test_table_one_of_both_measures_has_the_same_columns():
    assert column_names("table_one_volume") == column_names("table_one")


def test_every_column_has_a_known_type_and_a_meaning():
    for schema in schemas().values():
        assert schema.section
        assert schema.description.endswith(".")
        assert set(schema.key) <= {column.name for column in schema.columns}
        assert len({column.name for column in schema.columns}) == len(schema.columns)
        for column in schema.columns:
            assert column.type in TYPES, (schema.name, column.name)
            assert column.meaning, (schema.name, column.name)


@pytest.fixture(scope="module")
def analysis():
    cohort = pd.read_csv(COHORT, keep_default_na=False, na_values=["", "NA"])
    return analyze(cohort, AnalysisSpec(bootstrap=2, imputations=2))


@pytest.mark.slow
@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_a_real_analysis_keeps_to_the_schemas(analysis, table):
    schema = schemas()["regression_problems" if table == "problems" else table]
    frame = analysis[table].copy()
    for column in ADDED.get(table, ()):
        frame[column] = frame["row"].astype("string")
    schema.check(frame)
    conformed = schema.conform(frame)
    assert len(conformed)
    assert {name: str(kind) for name, kind in conformed.dtypes.items()} == {
        column.name: TYPES[column.type][1] for column in schema.columns
    }


PAIRS = TableSchema(
    "pairs", "Pairs.", ("a",), (Column("a", "text", "", "A"), Column("n", "integer", "", "N"))
)


def test_missing_and_unknown_columns_are_named():
    with pytest.raises(StudyError, match=r"E-STUDY-32.*missing columns \['n'\], unknown columns \['m'\]"):
        PAIRS.check(pd.DataFrame({"a": ["x"], "m": [1]}))


def test_a_repeated_row_is_named():
    with pytest.raises(StudyError, match=r"E-STUDY-33.*\{'a': 'x'\}"):
        PAIRS.check(pd.DataFrame({"a": ["x", "x"], "n": [1, 2]}))


def test_a_wrong_type_is_named():
    with pytest.raises(StudyError, match=r"E-STUDY-34.*column n is not integer"):
        PAIRS.conform(pd.DataFrame({"a": ["x"], "n": [1.5]}))


def test_conform_keeps_missing_values_missing():
    conformed = PAIRS.conform(pd.DataFrame({"n": [1.0, None], "a": ["x", None]}))
    assert conformed["n"].tolist() == [1, pd.NA]
    assert conformed["a"].isna().tolist() == [False, True]
    assert list(conformed.columns) == ["a", "n"]


def test_more_columns_keep_section_and_key():
    wider = PAIRS.with_columns([Column("z", "flag", "", "Z")])
    assert (wider.key, wider.name, wider.columns[-1].name) == (("a",), "pairs", "z")
