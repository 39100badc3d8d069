"""Names and texts with quotes in them come back from DuckDB as they were."""

import duckdb
import pytest

from paraspinal_assets.study.sql import literal, quoted

HOSTILE = ["plain", 'a"b', "a'b", "'; DROP TABLE x; --", '" OR "1"="1', "line\nbreak", ""]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_comes_back(text):
    assert duckdb.sql(f"SELECT {literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize("name", HOSTILE[:-1])
def test_a_name_comes_back(name):
    assert duckdb.sql(f"SELECT 1 AS {quoted(name)}").columns == [name]
