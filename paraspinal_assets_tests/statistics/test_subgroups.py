from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from paraspinal_assets.statistics.subgroups import subgroup_effects
from paraspinal_assets_tests.statistics.r_reference import imputed

SUBGROUPS = ["Gender", "Race", "Site", "Manufacturer"]
COVARIATES = ["Age", "Gender", "Race", "BMI"]


def test_linear_effects_and_interactions_agree_with_statsmodels():
    frame = imputed()
    got = subgroup_effects(frame, "vBMD", "Median", COVARIATES, SUBGROUPS)
    assert got.interactions.subgroup.tolist() == SUBGROUPS
    whole = smf.ols("vBMD ~ Age + Gender + BMI + Race * Median", frame).fit()
    small = smf.ols("vBMD ~ Age + Gender + BMI + Race + Median", frame).fit()
    f, p, df = whole.compare_f_test(small)
    row = got.interactions.set_index("subgroup").loc["Race"]
    assert (row.statistic, row.p, row.df) == pytest.approx((f, p, df), rel=1e-8)
    effects = got.effects[got.effects.subgroup == "Race"].set_index("level")
    assert effects.loc["Black", "estimate"] == pytest.approx(whole.params["Median"], rel=1e-8)
    white = whole.t_test("Median + Race[T.White]:Median = 0")
    assert effects.loc["White", "estimate"] == pytest.approx(float(np.squeeze(white.effect)), rel=1e-8)
    assert effects.loc["White", "std_error"] == pytest.approx(float(np.squeeze(white.sd)), rel=1e-8)
    assert effects.n.sum() == len(frame)
    assert got.interactions.p_adjusted.to_numpy() == pytest.approx(
        stats.false_discovery_control(got.interactions.p)
    )


def test_logistic_interaction_is_the_likelihood_ratio():
    frame = imputed()
    got = subgroup_effects(frame, "VFx", "Median", ["Age"], ["Gender"], family="logistic")
    whole = smf.logit("VFx ~ Age + Gender * Median", frame).fit(disp=0)
    small = smf.logit("VFx ~ Age + Gender + Median", frame).fit(disp=0)
    chi2 = 2 * (whole.llf - small.llf)
    row = got.interactions.iloc[0]
    assert (row.statistic, row.p) == pytest.approx((chi2, stats.chi2.sf(chi2, 1)), rel=1e-6)
    women = got.effects.set_index("level").loc["Female"]
    assert women.estimate == pytest.approx(whole.params["Median"], rel=1e-6)
    assert got.effects.n_events.sum() == frame.VFx.sum()


def test_a_planted_interaction_is_found_and_bad_variables_are_named():
    rng = np.random.default_rng(6)
    n = 400
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "sex": rng.choice(["F", "M"], n),
            "one": "same",
            "id": [f"i{k}" for k in range(n)],
        }
    )
    frame["rare"] = ["a"] * (n - 3) + ["b"] * 3
    frame["y"] = np.where(frame.sex == "M", 1.0, 0.2) * frame.x + rng.normal(0, 0.5, n)
    got = subgroup_effects(frame, "y", "x", [], ["sex", "one", "id", "rare", "absent"])
    table = got.interactions.set_index("subgroup")
    assert table.loc["sex", "p"] < 1e-10
    effects = got.effects.set_index(["subgroup", "level"])
    assert effects.loc[("sex", "M"), "ci_low"] < 1.0 < effects.loc[("sex", "M"), "ci_high"]
    assert table.loc[["one", "id", "absent"], "p"].isna().all()
    assert {(p.model, p.code) for p in got.problems} == {
        ("one", "E-STAT-CONSTANT"),
        ("id", "E-STAT-SATURATED"),
        ("rare", "W-STAT-SMALL-GROUP"),
        ("absent", "E-STAT-COLUMN"),
    }


def test_numeric_codes_are_levels_not_slopes():
    frame = imputed().assign(Tobacco=lambda d: d.Tobacco.round())
    got = subgroup_effects(frame, "vBMD", "Median", ["Age", "Tobacco"], ["Tobacco"])
    assert got.effects.level.tolist() == ["0", "1", "2"]
    assert got.interactions.df.iloc[0] == 2


@pytest.mark.parametrize("family", ["linear", "logistic"])
@pytest.mark.parametrize("shared", [[0.7], [0.7, 0.7]])
def test_a_level_without_a_slope_of_its_own_has_no_effect(family, shared):
    rng = np.random.default_rng(3)
    scanner = np.repeat(["GE", "Philips", "Siemens"], [60, len(shared), 59])
    x = np.where(scanner == "Philips", shared[0], rng.normal(size=len(scanner)))
    y = np.select([scanner == "GE", scanner == "Siemens"], [x, 3 * x]) + rng.normal(size=len(x))
    if family == "logistic":
        y = (y > 0).astype(float)
        y[scanner == "Philips"] = np.arange(len(shared))
    frame = pd.DataFrame({"x": x, "scanner": scanner, "y": y})
    got = subgroup_effects(frame, "y", "x", [], ["scanner"], family=family)
    effects = got.effects.set_index("level")
    assert (
        effects.loc["Philips", ["estimate", "std_error", "ci_low", "ci_high", "p", "p_adjusted"]].isna().all()
    )
    assert any(p.code == "E-STAT-TERM" and "scanner = Philips" in p.message for p in got.problems)
    # The other levels share nothing with it but the error variance: each has the slope of its own rows.
    fit = smf.ols if family == "linear" else smf.logit
    for level in ("GE", "Siemens"):
        alone = fit("y ~ x", frame[frame.scanner == level]).fit(**({} if family == "linear" else {"disp": 0}))
        assert effects.loc[level, "estimate"] == pytest.approx(alone.params["x"], rel=1e-6)
    tested = effects.loc[["GE", "Siemens"]]
    assert tested.p_adjusted.to_numpy() == pytest.approx(
        stats.false_discovery_control(tested.p), rel=1e-9, abs=0
    )


def test_long_codes_stay_apart_and_in_the_order_of_numbers():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"x": rng.normal(size=120), "site": np.repeat([2, 1000001, 1000002, 10], 30)})
    frame["y"] = frame.x + rng.normal(size=120)
    got = subgroup_effects(frame, "y", "x", [], ["site"])
    assert got.effects.level.tolist() == ["2", "10", "1000001", "1000002"]
    assert got.effects.n.tolist() == [30] * 4
