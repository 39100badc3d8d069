from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.fisher import fisher_exact
from paraspinal_assets.statistics.group_tests import chi_squared, expected_counts, t_test, wilcoxon
from paraspinal_assets.statistics.quartiles import low_quartile
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference

GROUPS = [
    ("Median_imputed", imputed, "Median"),
    ("Shape_imputed", imputed, "Shape"),
    ("Median_raw_na_rm", cohort, "Median"),
]


def halves(frame, by, variable):
    low = low_quartile(frame[by])
    return frame.loc[low.fillna(False), variable], frame.loc[(~low).fillna(False), variable]


@pytest.mark.parametrize(("key", "frame", "by"), GROUPS)
def test_continuous_variables_match_r(key, frame, by):
    for variable, want in reference("A")["quartiles"][key]["continuous"].items():
        low, high = halves(frame(), by, variable)
        got, t = t_test(low, high), want["welch"]
        assert (got.statistic, got.p, got.df, got.ci_low, got.ci_high) == pytest.approx(
            (t["statistic"], t["p_value"], t["df"], *t["conf_int"]), rel=1e-9, abs=0
        ), variable
        got, w = wilcoxon(low, high), want["wilcoxon_correct"]
        assert got.statistic == w["statistic"]
        assert got.p == pytest.approx(w["p_value"], rel=1e-9, abs=0), variable


@pytest.mark.parametrize(("key", "frame", "by"), GROUPS)
def test_categorical_variables_match_r(key, frame, by):
    for variable, want in reference("A")["quartiles"][key]["categorical"].items():
        low, high = halves(frame(), by, variable)
        counts = pd.concat([low.value_counts(), high.value_counts()], axis=1).fillna(0).sort_index()
        assert counts.to_numpy().T.tolist() == [want["low"], want["high"]], variable
        got, r = chi_squared(counts), want["chisq_correct"]
        r = r.get("value", r)
        assert (got.statistic, got.p, got.df) == pytest.approx(
            (r["statistic"], r["p_value"], r["df"]), rel=1e-9, abs=0
        ), variable
        assert expected_counts(counts).min() == pytest.approx(want["min_expected"], rel=1e-12)
        assert fisher_exact(counts) == pytest.approx(want["fisher"]["p_value"], rel=1e-6, abs=0), variable


def test_small_cohort_matches_r():
    want, frame = reference("edge/edge")["n30"], cohort("edge/n30")
    low, high = halves(frame, "Median", "vBMD")
    welch = t_test(low, high)
    assert (welch.statistic, welch.p, welch.ci_low, welch.ci_high) == pytest.approx(
        (want["welch_vBMD"]["statistic"], want["welch_vBMD"]["p_value"], *want["welch_vBMD"]["conf_int"]),
        rel=1e-9,
    )
    exact = wilcoxon(low, high)
    r = want["wilcoxon_default_exact_vBMD_low"]
    assert (exact.name, exact.statistic) == ("Wilcoxon rank sum, exact", r["statistic"])
    assert exact.p == pytest.approx(r["p_value"], rel=1e-9)
    groups = frame.groupby("VFx")["Median"]
    by_fracture = wilcoxon(groups.get_group(0), groups.get_group(1))
    r = want["wilcoxon_default_exact_Median_by_VFx"]
    assert (by_fracture.statistic, by_fracture.p) == pytest.approx((r["statistic"], r["p_value"]), rel=1e-9)
    member = low_quartile(frame["Median"])
    gender = pd.crosstab(member, frame["Gender"])
    assert fisher_exact(gender) == pytest.approx(want["fisher_gender"]["p"], rel=1e-6)
    assert chi_squared(gender).p == pytest.approx(want["chisq_gender"]["p_value"], rel=1e-9)
    assert fisher_exact(pd.crosstab(member, frame["Race"])) == pytest.approx(want["fisher_race"], rel=1e-6)


def test_tied_scores_match_r():
    want, frame = reference("edge/edge")["ties"], cohort("edge/ties")
    groups = frame.groupby("y")["s1"]
    got = wilcoxon(groups.get_group(0), groups.get_group(1))
    assert got.p == pytest.approx(want["wilcoxon_default_warnings"], rel=1e-9)
    assert fisher_exact(pd.crosstab(frame["b1"], frame["y"])) == pytest.approx(
        want["fisher_b1"]["p"], rel=1e-6
    )


def test_constant_values_have_no_test():
    for test in (t_test, wilcoxon):
        with pytest.raises(StatisticsError, match="E-STAT-CONSTANT"):
            test([2.0, 2.0, 2.0], [2.0, 2.0])
    with pytest.raises(StatisticsError, match="E-STAT-CONSTANT"):
        chi_squared([[3, 4], [0, 0]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=4))
def test_fisher_agrees_with_listing_all_tables(cells):
    counts = np.array(cells)
    counts = counts[counts.sum(1) > 0]
    if len(counts) < 2 or 0 in counts.sum(0):
        return
    rows, total = counts.sum(1), counts[:, 0].sum()
    weight = {
        x: math.prod(math.comb(int(n), k) for n, k in zip(rows, x, strict=True))
        for x in product(*(range(n + 1) for n in rows))
        if sum(x) == total
    }
    observed = weight[tuple(counts[:, 0].tolist())]
    want = sum(w for w in weight.values() if w <= observed) / sum(weight.values())
    assert fisher_exact(counts) == pytest.approx(want, rel=1e-7)
