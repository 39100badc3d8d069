import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.benchmark import benchmark_bounds
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.models import LINEAR_MODELS
from paraspinal_assets.statistics.sensitivity import (
    Treatment,
    contour_grid,
    extreme_scenarios,
    partial_r2,
    robustness_value,
)
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference

SENSEMAKR = 1e-9
BISPHOSPHONATES = {"Bisphosphonates": ["Bisphosphonates"]}
RACE = ["RaceChinese", "RaceHispanic", "RaceWhite"]
BOUNDS = {
    "r2dz_x": "r2dz.x",
    "r2yz_dx": "r2yz.dx",
    "adjusted_estimate": "adjusted_estimate",
    "adjusted_se": "adjusted_se",
    "adjusted_t": "adjusted_t",
    "adjusted_lower": "adjusted_lower_CI",
    "adjusted_upper": "adjusted_upper_CI",
}
CASES = [
    ("model5_bisphosphonates", "model5", BISPHOSPHONATES, {}),
    ("model5_q05_alpha01", "model5", BISPHOSPHONATES, {"q": 0.5, "alpha": 0.01}),
    ("model5_reduce_false", "model5", BISPHOSPHONATES, {"reduce": False}),
    ("model5_kd_ne_ky", "model5", BISPHOSPHONATES, {"kd": (1, 2, 3), "ky": (2, 1, 0.5)}),
    ("model5_age", "model5", {"Age": ["Age"]}, {}),
    ("model5_race_group", "model5", {"Race": RACE}, {}),
    ("model4_bisphosphonates", "model4", BISPHOSPHONATES, {}),
    ("model6_bisphosphonates", "model6", BISPHOSPHONATES, {}),
]


def fit(name="model5"):
    return linear_model(imputed(), f"vBMD ~ {LINEAR_MODELS[name]}")


def check(model, treatment, benchmarks, options, want):
    got = benchmark_bounds(model, treatment, benchmarks, **options)
    assert list(got["bound_label"]) == want["bounds"]["bound_label"]
    for ours, theirs in BOUNDS.items():
        assert list(got[ours]) == pytest.approx(want["bounds"][theirs], rel=SENSEMAKR), ours
    q, alpha = options.get("q", 1), options.get("alpha", 0.05)
    stats = Treatment.of(model, treatment).statistics(q=q, alpha=alpha)
    for ours, theirs in {
        "rv_q": "rv_q",
        "rv_qa": "rv_qa",
        "partial_r2": "r2yd.x",
        "partial_f2": "f2yd.x",
    }.items():
        assert stats[ours] == pytest.approx(want["stats"][theirs], rel=SENSEMAKR), ours


@pytest.mark.parametrize(("name", "model", "benchmarks", "options"), CASES)
def test_bounds_match_sensemakr(name, model, benchmarks, options):
    check(fit(model), "Median", benchmarks, options, reference("A")["sensemakr"][name])


def test_bounds_match_beside_aliased_columns():
    model = linear_model(cohort("edge/constant"), "out ~ x + const + z + zcopy2")
    check(model, "x", {"z": ["z"]}, {}, reference("edge/edge")["constant"]["sens_m3"])
    with pytest.raises(StatisticsError, match="aliased"):
        benchmark_bounds(model, "x", {"const": ["const"]})


def test_bounds_match_on_thirty_rows():
    model = linear_model(cohort("edge/n30"), "vBMD ~ Age + BMI + Median")
    check(model, "Median", {"Age": ["Age"]}, {}, reference("edge/edge")["n30"]["sens_model1_age"])


def test_every_coefficient_s_robustness_matches():
    want, model = reference("A")["sensemakr"], fit()
    t = model.coefficient_table().set_index("term")["t"]
    df = model.df_residual
    assert {n: partial_r2(v, df) for n, v in t.items()} == pytest.approx(
        want["partial_r2_all"], rel=SENSEMAKR
    )
    assert {n: robustness_value(v, df) for n, v in t.items()} == pytest.approx(
        want["rv_all_q1"], rel=SENSEMAKR
    )
    got = {n: robustness_value(v, df, alpha=0.05) for n, v in t.items()}
    assert got == pytest.approx(want["rv_all_q1_alpha05"], rel=SENSEMAKR)


def test_robustness_where_the_outcome_side_is_not_the_limit():
    """Searched: just below the value no confounder makes the estimate insignificant, just above it one does."""
    subject = Treatment(100.0, 1.0, 3)
    value, shares = robustness_value(100.0, 3, alpha=0.05), np.linspace(0, 1, 100_000, endpoint=False)
    below, above = (
        subject.adjusted_t(strength, shares[shares <= strength]).min()
        for strength in (value * 0.9999, value * 1.0001)
    )
    assert below > stats.t.ppf(0.975, 2) > above


def test_single_confounders_match():
    want, subject = reference("A")["sensemakr"], Treatment.of(fit(), "Median")
    at = want["estimate_.05_.05"]
    assert float(subject.adjusted_estimate(0.05, 0.05)) == pytest.approx(
        at["estimate"]["Median"], rel=SENSEMAKR
    )
    assert float(subject.adjusted_se(0.05, 0.05)) == pytest.approx(at["se"]["Median"], rel=SENSEMAKR)
    assert float(subject.adjusted_t(0.05, 0.05)) == pytest.approx(at["t"], rel=SENSEMAKR)
    assert float(subject.bias(0.05, 0.05)) == pytest.approx(at["bias"]["Median"], rel=SENSEMAKR)


@pytest.mark.parametrize("of", ["estimate", "t-value"])
def test_contours_match(of):
    want = reference("A")["sensemakr"][f"contour_{of}"]
    at = np.array(want["grid_index1"]) - 1
    grid, value = contour_grid(Treatment.of(fit(), "Median"), of=of)
    assert len(grid) == want["r2dz.x_n"]
    np.testing.assert_allclose(value[np.ix_(at, at)], want["value"][".values"], rtol=SENSEMAKR)


def test_extreme_scenarios_match():
    want = reference("A")["sensemakr"]["extreme_default_plot"]
    got = extreme_scenarios(Treatment.of(fit(), "Median"))
    for share in ("1", "0.75", "0.5"):
        scenario = want[f"scenario_r2yz.dx_{share}"]
        ours = got[got["r2yz_dx"] == float(share)]["adjusted_estimate"].to_numpy()
        assert len(ours) == scenario["n_points"]
        at = np.array(scenario["index1"]) - 1
        assert list(ours[at]) == pytest.approx(scenario["adjusted_estimate"], rel=SENSEMAKR)


@given(st.floats(0.05, 40), st.integers(5, 5000), st.floats(0.1, 1))
def test_a_confounder_of_the_robustness_value_removes_that_share(t, df, q):
    subject = Treatment(estimate=2.0, std_error=2.0 / t, df=df)
    rv = robustness_value(t, df, q=q)
    assert float(subject.adjusted_estimate(rv, rv)) == pytest.approx(2.0 * (1 - q), abs=1e-6)


def test_impossible_multiples_are_refused():
    with pytest.raises(StatisticsError) as error:
        benchmark_bounds(fit(), "Median", {"Race": RACE}, kd=[20])
    assert error.value.code == "E-STAT-BOUND"
