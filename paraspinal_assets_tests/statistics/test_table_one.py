from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.statistics.quartiles import low_quartile
from paraspinal_assets.statistics.table_one import table_one
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference


@pytest.fixture(scope="module", params=[("Median_imputed", "Median"), ("Shape_imputed", "Shape")])
def both(request):
    key, measure = request.param
    want, frame = reference("A")["quartiles"][key], imputed()
    names = [*want["continuous"], *want["categorical"]]
    table, problems = table_one(frame, low_quartile(frame[measure]), names)
    assert problems == ()
    return table, want


def test_group_sizes(both):
    table, want = both
    first = table.iloc[0]
    assert (first.variable, first.low, first.high, first.missing) == (
        "n",
        want["n_low_le"],
        want["n_high"],
        0,
    )


def test_measurements_match_r(both):
    table, want = both
    for variable, r in want["continuous"].items():
        block = table[table.variable == variable].set_index("level")
        for group in ("low", "high"):
            for level in ("mean", "sd", "median", "q1", "q3"):
                assert block.loc[level, group] == pytest.approx(r[group][level], rel=1e-11), (variable, level)
        assert block.loc["mean", "p"] == pytest.approx(r["welch"]["p_value"], rel=1e-9, abs=0)
        assert block.loc["mean", "smd"] == pytest.approx(r["smd_pooled"], rel=1e-9)
        assert block.loc["median", "p"] == pytest.approx(r["wilcoxon_correct"]["p_value"], rel=1e-9, abs=0)


def test_categories_match_r(both):
    table, want = both
    for variable, r in want["categorical"].items():
        block = table[table.variable == variable]
        assert block.level.tolist() == r["levels"], variable
        assert block.low.tolist() == r["low"]
        assert block.high.tolist() == r["high"]
        assert block.test.iloc[0].startswith("chi-squared")
        assert block.p.iloc[0] == pytest.approx(r["chisq_correct"]["p_value"], rel=1e-9, abs=0)


def test_missing_values_are_counted_and_left_out():
    frame = cohort()
    table, _ = table_one(frame, low_quartile(frame["Median"]), ["vBMD", "HTN"])
    n = table.iloc[0]
    assert n.missing == frame["Median"].isna().sum()
    in_group = frame[frame["Median"].notna()]
    for variable in ("vBMD", "HTN"):
        rows = table[table.variable == variable]
        assert rows.missing.iloc[0] == in_group[variable].isna().sum()
    want = reference("A")["quartiles"]["Median_raw_na_rm"]["continuous"]["vBMD"]
    assert table[(table.variable == "vBMD") & (table.level == "mean")].p.iloc[0] == pytest.approx(
        want["welch"]["p_value"], rel=1e-9, abs=0
    )


def test_small_expected_counts_take_fisher():
    frame = cohort("edge/n30")
    low = low_quartile(frame["Median"])
    want = reference("edge/edge")["n30"]["fisher_gender"]["p"]
    auto = table_one(frame, low, ["Gender"])[0].iloc[1]
    assert (auto.test, auto.p) == ("Fisher exact", pytest.approx(want, rel=1e-6))


def test_bad_columns_are_named_and_the_others_come_out():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "m": rng.normal(size=80),
            "flat": 1.5,
            "empty": np.nan,
            "mixed": [*map(str, range(79)), "n/a?"],
            "sex": rng.choice(["F", "M"], 80),
        }
    )
    table, problems = table_one(frame, low_quartile(frame["m"]), ["flat", "empty", "mixed", "absent", "sex"])
    assert {p.model for p in problems} == {"flat", "empty", "mixed", "absent"}
    assert "'n/a?'" in next(p.message for p in problems if p.model == "mixed")
    assert table[table.variable == "flat"].p.isna().all()
    assert table[table.variable == "sex"].p.notna().sum() == 1


def test_category_difference_of_two_levels_is_the_textbook_one():
    frame = pd.DataFrame({"x": [1] * 30 + [0] * 10 + [1] * 20 + [0] * 40})
    low = pd.Series([True] * 40 + [False] * 60)
    p, q = 0.75, 1 / 3
    want = abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert table_one(frame, low, ["x"])[0].smd.iloc[1] == pytest.approx(want, rel=1e-9)


def test_long_codes_are_counted_apart():
    frame = pd.DataFrame({"site": np.repeat([1000002.0, 1000001.0], [7, 5])})
    table, _ = table_one(frame, pd.Series([True, False] * 6), ["site"])
    rows = table[table.variable == "site"]
    assert rows.level.tolist() == ["1000001", "1000002"]
    assert rows.overall.tolist() == [5, 7]
