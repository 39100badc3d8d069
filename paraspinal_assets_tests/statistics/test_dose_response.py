from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.dose_response import dose_response
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference


@pytest.mark.parametrize(
    ("key", "frame", "measure"),
    [
        ("Median_imputed", imputed, "Median"),
        ("Shape_imputed", imputed, "Shape"),
        ("Median_raw_na_rm", cohort, "Median"),
    ],
)
def test_bone_density_over_quartiles_matches_r(key, frame, measure):
    want = reference("A")["quartiles"][key]["vBMD_over_4_quartiles"]
    got = dose_response(frame(), measure, "vBMD")
    assert got.groups.value.tolist() == pytest.approx(want["means"], rel=1e-12)
    tests = got.tests.set_index("test")
    f, w, k = (tests.loc[t] for t in ("anova", "welch_anova", "kruskal_wallis"))
    r = want["anova"]
    assert (f.statistic, f.p, f.df1, f.df2) == pytest.approx(
        (r["F"], r["p"], r["df1"], r["df2"]), rel=1e-9, abs=0
    )
    r = want["welch_anova"]
    assert (w.statistic, w.p, w.df1, w.df2) == pytest.approx(
        (r["statistic"], r["p_value"], *r["df"]), rel=1e-9, abs=0
    )
    r = want["kruskal"]
    assert (k.statistic, k.p, k.df1) == pytest.approx(
        (r["statistic"], r["p_value"], r["df"]), rel=1e-9, abs=0
    )
    # Unadjusted differences are differences of the group means.
    assert got.groups.effect.tolist() == pytest.approx(np.array(want["means"]) - want["means"][0], abs=1e-9)


def test_fracture_risk_falls_and_odds_ratios_agree_with_statsmodels():
    frame = imputed()
    got = dose_response(frame, "Median", "VFx", covariates=["Age", "Gender"])
    quartile = pd.qcut(frame["Median"], 4, labels=["Q1", "Q2", "Q3", "Q4"]).astype(str)
    fit = smf.logit("VFx ~ quartile + Age + Gender", frame.assign(quartile=quartile)).fit(disp=0)
    want = [fit.params[f"quartile[T.Q{k}]"] for k in (2, 3, 4)]
    assert np.log(got.groups.effect[1:]).tolist() == pytest.approx(want, rel=1e-6)
    assert (got.groups.effect_scale == "odds ratio").all()
    tests = got.tests.set_index("test")
    assert tests.loc["trend", "p"] < 1e-6
    assert tests.loc["trend", "statistic"] < 0
    assert tests.loc["cochran_armitage", "statistic"] < tests.loc["chi_squared", "statistic"]
    assert ((got.groups.ci_low < got.groups.value) & (got.groups.value < got.groups.ci_high)).all()


def test_trend_in_proportions_by_hand():
    # Armitage's statistic is n times the squared correlation of outcome and quartile number.
    rng = np.random.default_rng(4)
    x = rng.normal(size=400)
    frame = pd.DataFrame({"x": x, "y": (rng.random(400) < 1 / (1 + np.exp(x))).astype(float)})
    number = pd.qcut(frame.x, 4, labels=False)
    got = dose_response(frame, "x", "y").tests.set_index("test")
    statistic = 400 * np.corrcoef(number, frame.y)[0, 1] ** 2
    assert got.loc["cochran_armitage", ["statistic", "p"]].tolist() == pytest.approx(
        [statistic, stats.chi2.sf(statistic, 1)], rel=1e-9, abs=0
    )
    assert got.df1[["chi_squared", "cochran_armitage"]].tolist() == [3, 1]
    want = stats.chi2_contingency(pd.crosstab(number, frame.y), correction=False)
    assert (got.loc["chi_squared", "statistic"], got.loc["chi_squared", "p"]) == pytest.approx(
        (want.statistic, want.pvalue), rel=1e-9, abs=0
    )


def test_quartiles_have_their_limits_and_intervals():
    frame = imputed()
    number = pd.qcut(frame["Median"], 4, labels=False) + 1
    got = dose_response(frame, "Median", "vBMD", covariates=["Age"]).groups
    edges = np.quantile(frame["Median"], [0, 0.25, 0.5, 0.75, 1])
    assert got.quartile.tolist() == [1, 2, 3, 4]
    assert got.lower.tolist() == pytest.approx(edges[:4])
    assert got.upper.tolist() == pytest.approx(edges[1:])
    first = stats.ttest_1samp(frame.vBMD[number == 1], 0).confidence_interval(0.95)
    assert (got.ci_low[0], got.ci_high[0]) == pytest.approx(tuple(first), rel=1e-9)
    fit = smf.ols("vBMD ~ C(number) + Age", frame.assign(number=number)).fit()
    want = [
        fit.params["C(number)[T.4]"],
        *fit.conf_int().loc["C(number)[T.4]"],
        fit.pvalues["C(number)[T.4]"],
    ]
    effect = got.loc[3, ["effect", "effect_ci_low", "effect_ci_high", "effect_p"]]
    assert effect.tolist() == pytest.approx(want, rel=1e-8, abs=0)
    cases = frame.VFx[number == 2]
    risk = dose_response(frame, "Median", "VFx").groups.loc[1, ["value", "ci_low", "ci_high"]]
    wilson = proportion_confint(cases.sum(), cases.size, method="wilson")
    assert risk.tolist() == pytest.approx([cases.mean(), *wilson], rel=1e-9)


def test_tied_quartiles_are_refused():
    with pytest.raises(StatisticsError, match="E-STAT-TIES"):
        dose_response(pd.DataFrame({"x": [0.0] * 9 + [1.0], "y": range(10)}), "x", "y")


def test_a_quartile_without_fractures_is_named():
    x = np.arange(80.0)
    frame = pd.DataFrame({"x": x, "y": ((x >= 20) & (x % 4 == 0)).astype(float)})
    got = dose_response(frame, "x", "y")
    assert got.groups.effect[1:].isna().all()
    (problem,) = got.problems
    assert (problem.model, problem.code) == ("x on y", "W-STAT-SEPARATION")
    assert "Q2, Q3, Q4 of x on y" in problem.message
    assert "0 of 20, 5 of 20, 5 of 20, 5 of 20 events" in problem.message
    # With a fracture in each quartile the odds ratio is that of the counts: (5 / 15) / (1 / 19).
    whole = dose_response(frame.assign(y=frame.y.where(x != 0, 1.0)), "x", "y")
    assert whole.problems == ()
    assert whole.groups.effect[1] == pytest.approx(19 / 3, rel=1e-6)
