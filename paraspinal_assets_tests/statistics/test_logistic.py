import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.logistic import likelihood_ratio, logistic_model
from paraspinal_assets.statistics.models import FRACTURE_MODELS
from paraspinal_assets.statistics.newton import maximise
from paraspinal_assets.statistics.profile import fmm_spline, profile_intervals
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference, vector


def model(name):
    return logistic_model(imputed(), f"VFx ~ {FRACTURE_MODELS[name]}")


@pytest.mark.parametrize("name", FRACTURE_MODELS)
def test_estimates_match_r(name):
    fit, table = model(name), model(name).coefficient_table().set_index("term")
    loose = reference("A")["logistic"][name]
    tight = reference("A")["logistic_tight_convergence"][name]
    assert list(table["log_odds"]) == pytest.approx(loose["coefficients"]["estimate"], rel=1e-6)
    assert table["log_odds"].to_dict() == pytest.approx(tight["coef"], rel=1e-8)
    assert table["std_error"].to_dict() == pytest.approx(tight["se"], rel=1e-5)
    assert table["p"].to_dict() == pytest.approx(tight["p"], rel=1e-5, abs=0)
    assert list(table["ci_low"]) == pytest.approx(loose["coefficients"]["ci_lower"], rel=1e-3)
    assert [fit.deviance, fit.log_likelihood, fit.aic, fit.bic] == pytest.approx(
        [tight["deviance"], loose["loglik"], loose["AIC"], loose["BIC"]], rel=1e-10
    )
    np.testing.assert_allclose(fit.probabilities, vector("fitted_probability", name), rtol=1e-6)


@pytest.mark.parametrize("name", FRACTURE_MODELS)
def test_profile_intervals_match_r(name):
    want = reference("A")["logistic"][name]["profile_ci"]
    got = profile_intervals(model(name))
    assert list(got[:, 0]) == pytest.approx(want["lower"], rel=1e-6)
    assert list(got[:, 1]) == pytest.approx(want["upper"], rel=1e-6)


def test_univariate_intervals_match_broom():
    for column, want in reference("A")["univariate_logistic_broom"].items():
        fit = logistic_model(imputed(), f"VFx ~ {column}")
        limits = np.exp(profile_intervals(fit))
        assert list(fit.design.names) == want["term"]
        assert list(limits[:, 0]) == pytest.approx(want["conf.low"], rel=1e-5), column
        assert list(limits[:, 1]) == pytest.approx(want["conf.high"], rel=1e-5), column


def test_exact_limits_lie_where_the_likelihood_has_fallen():
    fit = model("vBMD_Attenuation")
    exact, spline = profile_intervals(fit, method="exact"), profile_intervals(fit, method="spline")
    width = spline[:, 1] - spline[:, 0]
    assert np.all(np.abs(exact - spline).max(axis=1) < 1e-3 * width)
    offset = fit.design.x[:, 2] * exact[2, 1]
    _, _, deviance = maximise(fit.design.x[:, :2], fit.design.y, offset=offset)
    assert deviance - fit.deviance == pytest.approx(3.841458820694124, rel=1e-8)


def test_fmm_spline_repeats_cubics():
    x = np.array([0.0, 1.0, 2.5, 4.0, 7.0])
    at = np.linspace(0, 7, 29)
    np.testing.assert_allclose(fmm_spline(x, x**3 - x, at), at**3 - at, atol=1e-10)


@pytest.mark.parametrize(("pair", "want"), reference("A")["logistic_lrt"].items())
def test_likelihood_ratios_match_r(pair, want):
    small, large = pair.split("_", 1) if pair.startswith(("FRAX", "Exp")) else ("vBMD", pair[len("vBMD_") :])
    got = likelihood_ratio(model(small), model(large))
    assert [got["df"], got["chi2"], got["p"]] == pytest.approx(
        [want["df"], want["chisq"], want["p"]], rel=1e-6
    )


def test_models_of_different_rows_are_not_compared():
    table = pd.DataFrame(
        {"y": [0.0, 1, 0, 1, 1, 0], "x": [1.0, 2, 3, 1, 2, 3], "z": [1.0, 3, 2, 2, 1, np.nan]}
    )
    with pytest.raises(StatisticsError, match="E-STAT-ROWS"):
        likelihood_ratio(logistic_model(table, "y ~ x"), logistic_model(table, "y ~ x + z"))


def test_weights_and_offset_match_statsmodels():
    generator = np.random.default_rng(1)
    x = sm.add_constant(generator.normal(size=(300, 2)))
    offset, weights = generator.normal(size=300), generator.integers(0, 4, 300).astype(float)
    y = (generator.random(300) < 0.4).astype(float)
    beta, _, _ = maximise(x, y, weights=weights, offset=offset)
    want = sm.GLM(y, x, sm.families.Binomial(), freq_weights=weights, offset=offset).fit(tol=1e-12)
    assert list(beta) == pytest.approx(want.params, rel=1e-7)


def test_columns_that_repeat_each_other_have_no_maximum():
    x = np.repeat(np.arange(6.0)[:, None], 2, axis=1)
    with pytest.raises(StatisticsError, match="E-STAT-SINGULAR"):
        maximise(x, np.array([0.0, 1, 0, 1, 1, 0]))


def test_constant_columns_are_aliased():
    want = reference("edge/edge")["constant"]["glm_x_const"]
    table = logistic_model(cohort("edge/constant"), "y ~ x + const").coefficient_table().set_index("term")
    assert table["log_odds"].dropna().to_dict() == pytest.approx(
        {k: v for k, v in want["coef"].items() if v}, rel=1e-6
    )


def test_perfect_separation_gives_no_number():
    fit = logistic_model(cohort("edge/separation"), "y ~ x")
    table = fit.coefficient_table(profile_intervals(fit))
    assert table.drop(columns="term").isna().all(axis=None)
    assert set(np.round(fit.probabilities, 3)) == {0.0, 1.0}


def test_nearly_separated_data_keep_their_slope():
    """A hundred rows at -1 and 1, and a pair at 1e-6 the wrong way round: exp(slope) is 100 / 1e-6 but for 1e-5."""
    table = pd.DataFrame(
        {"x": [*[-1.0] * 50, *[1.0] * 50, -1e-6, 1e-6], "y": [*[0.0] * 50, *[1.0] * 50, 1, 0]}
    )
    fit = logistic_model(table, "y ~ x")
    assert not len(fit.separated)
    assert fit.coefficients[1] == pytest.approx(np.log(1e8), rel=1e-6)


def test_half_separation_leaves_the_other_columns_their_numbers():
    want = reference("edge/edge")["separation"]["glm_q_w"]
    table = logistic_model(cohort("edge/separation"), "y ~ q + w").coefficient_table().set_index("term")
    assert np.isnan(table.loc["q", "log_odds"])
    for term in ("(Intercept)", "w"):
        assert table.loc[term, "log_odds"] == pytest.approx(want["coef"][term], rel=1e-6)
        assert table.loc[term, "std_error"] == pytest.approx(want["se"][term], rel=1e-5)


def test_half_separation_leaves_the_other_columns_their_profile():
    """Reference: R 4.2.2 ``confint(glm(y ~ q + w, binomial))`` of the separated data."""
    got = profile_intervals(logistic_model(cohort("edge/separation"), "y ~ q + w"))
    assert list(got[[0, 2]].ravel()) == pytest.approx(
        [-0.94253252521586, 0.022724769711923, -0.43473299036549, 0.62476598305622], rel=1e-6
    )
    assert np.isnan(got[1]).all()


def test_separated_data_on_which_r_runs_away_predict_their_outcome():
    """R's iteration ends here at a deviance of 8.6e15, with cases at risk 0."""
    generator = np.random.default_rng(84)
    table = pd.DataFrame(generator.normal(size=(28, 14)), columns=list("abcdefghijklmn"))
    table["y"] = (generator.random(28) < 0.4) * 1.0
    fit = logistic_model(table, "y ~ " + " + ".join("abcdefghijklmn"))
    np.testing.assert_allclose(fit.probabilities, table["y"], atol=1e-12)
    assert fit.deviance < 1e-9


def test_log_odds_beyond_the_link_s_range_are_tied():
    """R's ``plogis`` of a glm stops at the last bit of a double beyond log odds of 30."""
    fit = logistic_model(cohort("edge/separation"), "y ~ q + w")
    q = (np.array([-31.0, -40.0, 31.0]) - fit.beta[0]) / fit.beta[1]
    risks = fit.predict(np.column_stack([np.ones(3), q, np.zeros(3)]))
    assert list(risks[:2]) == [pytest.approx(2.220446049250313e-16, rel=1e-9, abs=0)] * 2
    assert risks[2] == pytest.approx(1 - 2.220446049250313e-16, abs=1e-17)


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ({"y": [0.0, 0, 0, 0], "x": range(4)}, "E-STAT-ONE-CLASS"),
        ({"y": [0.0, 1, 0.5, 1], "x": range(4)}, "E-STAT-BINARY"),
        ({"y": [0.0, 1], "x": range(2)}, "E-STAT-SATURATED"),
    ],
)
def test_outcomes_without_an_answer_say_why(table, code):
    with pytest.raises(StatisticsError) as error:
        logistic_model(pd.DataFrame(table), "y ~ x")
    assert error.value.code == code


def test_separated_data_predict_where_r_stops():
    fit = logistic_model(cohort("edge/separation"), "y ~ q + w")
    want = reference("edge/edge")["separation"]["glm_q_w"]
    assert list(fit.beta) == pytest.approx(list(want["coef"].values()), rel=1e-5)
    assert fit.deviance == pytest.approx(want["deviance"], rel=1e-9)
    assert [fit.probabilities.min(), fit.probabilities.max()] == pytest.approx(want["fitted_range"], rel=1e-5)


def test_a_level_of_one_class_is_no_complete_separation():
    """The reference level has controls only: the intercept and the other levels run off, the slope does not."""
    generator = np.random.default_rng(4)
    table = pd.DataFrame({"g": list("abcd") * 50, "v": generator.normal(size=200)})
    table["y"] = (generator.random(200) < 0.4).astype(float) * (table["g"] != "a")
    fit = logistic_model(table, "y ~ g + v")
    rest = table[table["g"] != "a"]
    want = sm.Logit(rest["y"], pd.get_dummies(rest["g"]).astype(float).assign(v=rest["v"])).fit(disp=0)
    assert [fit.design.names[j] for j in fit.separated] == ["(Intercept)", "gb", "gc", "gd"]
    assert fit.coefficients[-1] == pytest.approx(want.params["v"], rel=1e-6)
    assert fit.std_error[-1] == pytest.approx(want.bse["v"], rel=1e-6)


def test_rows_that_are_alike_stay_tied():
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(size=(203, 4)), columns=list("abcd"))
    table["y"] = generator.integers(0, 2, 203) * 1.0
    fit = logistic_model(pd.concat([table, table]), "y ~ a + b + c + d")
    np.testing.assert_array_equal(fit.probabilities[:203], fit.probabilities[203:])


@pytest.mark.parametrize(("n", "cases"), [(200, 3), (400, 10), (5000, 4)])
def test_a_rare_level_with_cases_alone_is_separated_and_the_rest_has_the_numbers_of_its_rows(n, cases):
    """The rows of the level decide themselves: the others are fitted as without them (statsmodels)."""
    generator = np.random.default_rng(5)
    fracture = np.isin(np.arange(n), generator.choice(n, cases, replace=False)).astype(float)
    rare = fracture * (np.cumsum(fracture) <= 2)
    table = pd.DataFrame({"y": fracture, "rare": rare, "x": generator.normal(size=n)})
    rest = table[table["rare"] == 0]
    want = sm.Logit(rest["y"], sm.add_constant(rest["x"])).fit(disp=0, tol=1e-14, maxiter=100)
    got = logistic_model(table, "y ~ rare + x").coefficient_table().set_index("term")
    assert np.isnan(got.loc["rare", ["log_odds", "std_error", "p"]].astype(float)).all()
    assert got.loc["x", "log_odds"] == pytest.approx(want.params["x"], rel=1e-6)
    assert got.loc["x", "std_error"] == pytest.approx(want.bse["x"], rel=1e-6)
