import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.design import build_design
from paraspinal_assets.statistics.models import LINEAR_MODELS
from paraspinal_assets.statistics.rank import independent_columns
from paraspinal_assets_tests.statistics.r_reference import imputed, reference


def test_columns_are_named_and_ordered_as_in_r():
    design = build_design(imputed(), f"vBMD ~ {LINEAR_MODELS['model6']}")
    assert list(design.names) == reference("A")["linear"]["model6"]["coefficients"]["all_terms"]


def test_first_factor_of_an_interaction_varies_fastest():
    table = pd.DataFrame({"y": range(6), "g": list("abcabc"), "h": list("xxxyyy"), "v": np.arange(6.0)})
    names = build_design(table, "y ~ g*h + g:v + v").names
    assert names[-4:] == ("gb:hy", "gc:hy", "gb:v", "gc:v")


def test_truth_values_are_a_factor_as_in_r():
    table = pd.DataFrame({"y": [1.0, 2, 3], "b": [True, False, True]})
    assert build_design(table, "y ~ b").names == ("(Intercept)", "bTRUE")


def test_incomplete_rows_are_dropped_and_counted():
    table = pd.DataFrame({"y": [1.0, np.nan, 3, 4], "g": ["a", "b", None, "b"], "x": [1.0, 2, 3, 5]})
    design = build_design(table, "y ~ g + x")
    assert list(design.rows) == [0, 3]
    assert (design.n_dropped, dict(design.dropped_by)) == (2, {"y": 1, "g": 1})


@pytest.mark.parametrize(
    ("table", "formula", "code"),
    [
        ({"y": [1.0, 2], "x": [1.0, 2]}, "y ~ z", "E-STAT-COLUMN"),
        ({"y": [1.0, 2], "x": [None, None]}, "y ~ x", "E-STAT-EMPTY"),
        ({"y": ["1", "two"], "x": [1.0, 2]}, "y ~ x", "E-STAT-TYPE"),
        ({"y": [1.0, 2], "x": [1.0, np.inf]}, "y ~ x", "E-STAT-INFINITE"),
        ({"y": [1.0, np.nan], "x": [np.nan, 2]}, "y ~ x", "E-STAT-ROWS"),
        ({"y": range(300), "x": [f"id{i}" for i in range(300)]}, "y ~ x", "E-STAT-LEVELS"),
        ({"y": [1.0, 2], "x": [1.0, 2], "z": [1.0, 2]}, "y ~ x:z", "E-STAT-MARGIN"),
    ],
)
def test_bad_input_is_named(table, formula, code):
    with pytest.raises(StatisticsError) as error:
        build_design(pd.DataFrame(table), formula)
    assert error.value.code == code


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_later_combinations_are_aliased_whatever_their_units(seed, p, copies):
    generator = np.random.default_rng(seed)
    base = generator.normal(size=(40, p)) * 10.0 ** generator.integers(-6, 7, p)
    mixed = base @ generator.normal(size=(p, copies))
    kept, aliased = independent_columns(np.hstack([base, mixed]))
    assert list(kept) == list(range(p))
    assert list(aliased) == list(range(p, p + copies))


def test_constant_columns_are_aliased_to_the_intercept():
    x = np.column_stack([np.ones(10), np.full(10, 0.3), np.arange(10.0), np.zeros(10)])
    kept, aliased = independent_columns(x)
    assert (list(kept), list(aliased)) == ([0, 2], [1, 3])
