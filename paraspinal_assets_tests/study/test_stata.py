"""Column names as Stata takes them."""

import re

import pandas as pd
import pyreadstat
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.stata import stata_names, write_stata


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=40), max_size=8))
def test_any_names_become_valid_and_distinct(names):
    made = stata_names(names)
    assert len(set(made)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", name) for name in made)


def test_short_names_stay():
    assert stata_names(["exam", "p", "std_error"]) == ["exam", "p", "std_error"]


def test_reserved_and_numbered_names_get_a_prefix():
    assert stata_names(["if", "class", "str20", "2nd", "bmi.1"]) == [
        *("v_if", "v_class", "v_str20", "v_2nd", "bmi_1")
    ]


def test_names_that_agree_in_32_characters_are_counted():
    assert stata_names(["a" * 40, "a" * 41]) == ["a" * 32, "a" * 30 + "_2"]


def test_documented_tables_can_be_written(tmp_path):
    for schema in map(schemas().get, ("radiomics", "calibration", "quality", "longitudinal")):
        row = {c.name: {"text": "x", "flag": True}.get(c.type, 1) for c in schema.columns}
        write_stata(tmp_path / "t.dta", schema, schema.conform(pd.DataFrame([row])))
        read, meta = pyreadstat.read_dta(str(tmp_path / "t.dta"))
        assert read.shape == (1, len(schema.columns)), schema.name
        assert all(meta.column_labels)


def test_an_empty_table_and_empty_columns_can_be_written(tmp_path):
    schema = schemas()["outcomes"]
    empty = schema.conform(pd.DataFrame({column.name: [] for column in schema.columns}))
    write_stata(tmp_path / "t.dta", schema, empty)
    assert pyreadstat.read_dta(str(tmp_path / "t.dta"))[0].shape == (0, 4)
    missing = schema.conform(pd.DataFrame({column.name: [None] for column in schema.columns}))
    write_stata(tmp_path / "t.dta", schema, missing)
    assert pyreadstat.read_dta(str(tmp_path / "t.dta"))[0]["fracture"].isna().all()
