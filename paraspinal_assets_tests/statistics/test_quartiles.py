from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.quartiles import (
    cut_points,
    low_quartile,
    quantile7,
    quartile_number,
    quartiles_table,
)
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference


@pytest.mark.parametrize(
    ("key", "frame", "measure"),
    [
        ("Median_imputed", imputed, "Median"),
        ("Shape_imputed", imputed, "Shape"),
        ("Median_raw_na_rm", cohort, "Median"),
    ],
)
def test_cut_points_and_groups_match_r(key, frame, measure):
    want = reference("A")["quartiles"][key]
    values = frame()[measure]
    assert cut_points(values).tolist() == list(want["quantiles_type7"].values())
    low = low_quartile(values)
    assert int(low.sum()) == want["n_low_le"]
    assert int((~low).sum()) == want["n_high"]
    counts = quartile_number(values).value_counts().sort_index()
    assert counts.tolist() == want["cut_include_lowest_counts"]


def test_ties_and_small_cohort_match_r():
    edge = reference("edge/edge")
    ties, small = cohort("edge/ties")["s1"], cohort("edge/n30")["Median"]
    assert cut_points(ties).tolist() == edge["ties"]["quantile7_s1"]
    assert int(low_quartile(ties).sum()) == edge["ties"]["n_le_q1"]
    assert cut_points(small)[0] == pytest.approx(edge["n30"]["quartile"], rel=1e-15)
    assert int(low_quartile(small).sum()) == edge["n30"]["n_low"]


def test_missing_belongs_to_no_group():
    low = low_quartile(pd.Series([1.0, np.nan, 3.0, 4.0, 5.0]))
    assert low.isna().tolist() == [False, True, False, False, False]
    assert quartile_number(pd.Series([1.0, np.nan, 3.0, 4.0, 5.0])).isna().sum() == 1


def test_table_names_what_cannot_be_cut():
    frame = pd.DataFrame(
        {
            "good": range(8),
            "flat": 1.0,
            "empty": np.nan,
            "text": list("abcdefgh"),
            "tied": [0, 0, 0, 0, 0, 0, 1, 2],
        }
    )
    table, problems = quartiles_table(frame, list(frame))
    assert table.loc[0, ["n_low", "n_high", "n_quartile_4"]].tolist() == [2, 6, 2]
    assert [(p.model, p.code) for p in problems] == [
        ("flat", "E-STAT-CONSTANT"),
        ("empty", "E-STAT-EMPTY"),
        ("text", "E-STAT-TYPE"),
        ("tied", "E-STAT-TIES"),
    ]
    assert table.loc[4, "n_low"] == 6
    assert pd.isna(table.loc[4, "n_quartile_1"])


def test_constant_measure_is_refused():
    with pytest.raises(StatisticsError, match="no upper group"):
        low_quartile(pd.Series([2.0, 2.0, 2.0], name="Median"))


def test_deciles_have_r_s_rounding():
    """R: ``quantile(0:700, 0:10/10)``; the seventh decile stays just below the value that it is."""
    below = 489.99999999999994
    assert list(quantile7(np.arange(701.0), np.arange(11) / 10)) == [*range(0, 490, 70), below, 560, 630, 700]
