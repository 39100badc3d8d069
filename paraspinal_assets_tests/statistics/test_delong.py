from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.delong import (
    auc_estimate,
    compare_auc_paired,
)
from paraspinal_assets_tests.statistics.r_reference import cohort, reference, vector
from paraspinal_assets_tests.statistics.test_roc import CASES, scores


@pytest.mark.parametrize(("estimate", "name"), CASES)
def test_variance_and_interval_match_proc(estimate, name):
    want = reference("A")["roc"][estimate][name]
    got = auc_estimate(vector("y"), scores(estimate, name))
    assert got.variance == pytest.approx(want["delong_var"], rel=1e-9)
    assert [got.ci_low, got.auc, got.ci_high] == pytest.approx(want["delong_ci"], rel=1e-9)


@pytest.mark.parametrize("estimate", ["apparent", "oof_10fold", "raw"])
def test_every_pair_matches_proc(estimate):
    for pair, want in reference("A")["delong"][estimate].items():
        a, b = pair.split("__")
        got = compare_auc_paired(vector("y"), scores(estimate, a), scores(estimate, b))
        want = want.get("value", want)
        assert got.z == pytest.approx(want["statistic"], rel=1e-9), pair
        assert got.p == pytest.approx(want["p_value"], rel=1e-9, abs=0), pair
        assert [got.auc_a, got.auc_b] == pytest.approx(want["estimate"], rel=1e-12), pair
        assert [got.ci_low, got.ci_high] == pytest.approx(want["conf_int"], rel=1e-9), pair


EDGE = [
    ("ties", "s1", "s2", "ties", "s1_s2"),
    ("ties", "s1", "b1", "ties", "s1_b1"),
    ("ties", "s1", "s1", "ties", "s1_s1"),
    ("constant", "x", "const", "constant", "x_const"),
    ("constant", "const", "const", "constant", "const_const"),
    ("separation", "x", "w", "separation", "x_w"),
    ("separation", "x", "x", "separation", "x_x"),
    ("n30", "vBMD", "Median", "n30", "delong"),
    ("reversed", "s", "t", "reversed", "s_t"),
    ("reversed", "t", "u", "reversed", "t_u"),
]


@pytest.mark.parametrize(("data", "a", "b", "group", "key"), EDGE)
def test_edge_pairs_match_proc(data, a, b, group, key):
    want = reference("edge/edge")[group][key]
    frame = cohort(f"edge/{data}")
    got = compare_auc_paired(frame["VFx" if data == "n30" else "y"], frame[a], frame[b])
    assert (got.z, got.p) == pytest.approx((want["statistic"], want["p_value"]), rel=1e-9, abs=0)
    assert [got.auc_a, got.auc_b] == pytest.approx(want["estimate"], rel=1e-12)
    assert [got.ci_low, got.ci_high] == pytest.approx(want["conf_int"], rel=1e-9, abs=1e-15)
    assert any("direction" in n for n in got.notes) == (key == "s_t")


def test_forced_direction_matches_proc():
    want, frame = reference("edge/edge")["reversed"]["forced_s_t"], cohort("edge/reversed")
    got = compare_auc_paired(frame["y"], frame["s"], frame["t"], direction=("<", "auto"))
    assert (got.z, got.p) == pytest.approx((want["statistic"], want["p_value"]), rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("data", "outcome", "column", "group", "key"),
    [
        ("ties", "y", "s1", "ties", "s1"),
        ("ties", "y", "b1", "ties", "b1"),
        ("constant", "y", "const", "constant", "roc_const"),
        ("separation", "y", "x", "separation", "roc_x"),
        ("n30", "VFx", "vBMD", "n30", "roc_vBMD"),
        ("reversed", "y", "s", "reversed", "s_auto"),
    ],
)
def test_edge_variances_match_proc(data, outcome, column, group, key):
    want, frame = reference("edge/edge")[group][key], cohort(f"edge/{data}")
    got = auc_estimate(frame[outcome], frame[column])
    variance, ci = ((w["value"] if isinstance(w, dict) else w) for w in (want["delong_var"], want["ci"]))
    assert got.variance == pytest.approx(variance, rel=1e-9, abs=1e-18)
    assert [got.ci_low, got.auc, got.ci_high] == pytest.approx(ci, rel=1e-9)
    assert bool(got.notes) == (key in ("roc_const", "roc_x"))


def test_tail_keeps_digits_far_out():
    rng = np.random.default_rng(5)
    y = np.repeat([0.0, 1.0], 20_000)
    good, poor = y * 3 + rng.normal(size=y.size), rng.normal(size=y.size)
    got = compare_auc_paired(y, good, poor)
    assert got.z > 50
    assert got.p == 2 * stats.norm.sf(got.z)


def test_the_interval_of_an_area_stays_within_0_and_1():
    y, score = [0, 0, 0, 1, 1, 1], [1.0, 2.0, 4.0, 3.0, 5.0, 6.0]
    assert auc_estimate(y, score, direction="<").ci_high == 1
    assert auc_estimate(y, score, direction=">").ci_low == 0


def test_single_case_has_no_variance():
    with pytest.raises(StatisticsError, match="E-STAT-SMALL-CLASS"):
        auc_estimate([0, 0, 1], [1.0, 2.0, 3.0])


def test_million_rows_two_models_in_three_seconds_and_growth_below_quadratic():
    rng = np.random.default_rng(1)
    seconds = []
    for n in (125_000, 250_000, 500_000, 1_000_000):
        y = (rng.random(n) < 0.05).astype(float)
        a, b = y + rng.normal(size=n), y + rng.normal(size=n)
        start = time.process_time()
        compare_auc_paired(y, a, b)
        seconds.append(time.process_time() - start)
    assert seconds[-1] < 3
    assert all(later < 3.5 * earlier + 0.1 for earlier, later in pairwise(seconds))


@pytest.mark.parametrize("pair", ["FRAXnb__Expanded", "Expanded__Attenuation", "vBMD__vBMD_Attenuation"])
def test_standard_error_agrees_with_the_bootstrap(pair):
    want = reference("A")["roc_test_bootstrap"][pair]["implied_boot_sd_of_difference"]
    a, b = pair.split("__")
    got = compare_auc_paired(vector("y"), scores("apparent", a), scores("apparent", b))
    assert got.variance**0.5 == pytest.approx(want, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=6, max_size=30), st.integers(2, 4)
)
def test_midranks_agree_with_all_pairs(rows, n_cases):
    y = (np.arange(len(rows)) < n_cases).astype(float)
    a, b = np.array(rows, float).T
    kernel = [np.sign(s[y == 1][:, None] - s[y == 0][None, :]) / 2 + 0.5 for s in (a, b)]
    gap = kernel[0] - kernel[1]
    want = gap.mean(1).var(ddof=1) / n_cases + gap.mean(0).var(ddof=1) / (y.size - n_cases)
    got = compare_auc_paired(y, a, b, direction="<")
    assert got.variance == pytest.approx(want, abs=1e-14)
    assert got.difference == pytest.approx(gap.mean(), abs=1e-14)
