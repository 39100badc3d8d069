import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.anova import compare_nested, drop_one, type_one_anova
from paraspinal_assets.statistics.imputation import impute_median
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.models import LINEAR_MODELS
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference

LM = 1e-9
"""Relative tolerance against R's lm."""
FIT = {
    "sigma": "sigma",
    "r2": "r_squared",
    "adj_r2": "adj_r_squared",
    "f": "f_statistic",
    "f_p": "f_p_value",
    "n": "nobs",
    "df_residual": "df_residual",
    "log_likelihood": "loglik",
    "aic": "AIC",
    "bic": "BIC",
    "mse": "mse",
    "rmse": "rmse",
    "mae": "mae",
}
COEFFICIENTS = {
    "estimate": "estimate",
    "std_error": "std_error",
    "t": "statistic",
    "p": "p_value",
    "ci_low": "ci_lower",
    "ci_high": "ci_upper",
}


def model(name, table=None):
    return linear_model(imputed() if table is None else table, f"vBMD ~ {LINEAR_MODELS[name]}")


@pytest.mark.parametrize("name", LINEAR_MODELS)
def test_coefficients_match_r(name):
    want = reference("A")["linear"][name]["coefficients"]
    table = model(name).coefficient_table()
    assert list(table["term"]) == want["all_terms"]
    assert list(table.loc[table["aliased"], "term"]) == want["aliased"]
    estimated = table[~table["aliased"]]
    for ours, theirs in COEFFICIENTS.items():
        assert list(estimated[ours]) == pytest.approx(want[theirs], rel=LM, abs=0), ours
    assert table.loc[table["aliased"], "estimate"].isna().all()


@pytest.mark.parametrize("name", LINEAR_MODELS)
def test_fit_statistics_match_r(name):
    want = reference("A")["linear"][name]
    got = model(name).fit_statistics()
    assert got == pytest.approx({ours: want[theirs] for ours, theirs in FIT.items()}, rel=LM, abs=0)


@pytest.mark.parametrize("name", ["model1", "model4", "model5"])
def test_observed_outcomes_match_r(name):
    table, _ = impute_median(cohort(), "predictors", outcomes={"vBMD", "VFx"})
    want = reference("A")["linear_observed_outcome_only"][name]
    got = model(name, table).fit_statistics()
    assert [got["n"], got["r2"], got["adj_r2"], got["aic"], got["bic"]] == pytest.approx(
        [want["nobs"], want["r_squared"], want["adj_r_squared"], want["AIC"], want["BIC"]], rel=LM
    )


def test_nested_pairs_match_r():
    for pair, want in reference("A")["anova_pairs"].items():
        small, large = pair.split("_")
        got = compare_nested(model(small), model(large))
        assert got["nested"]
        assert [got["df_difference"], got["ss_difference"], got["f"], got["p"]] == pytest.approx(
            [want["Df"][1], want["Sum_of_Sq"][1], want["F"][1], want["p"][1]], rel=LM, abs=0
        )


def test_models_that_are_not_nested_have_no_f():
    got = compare_nested(model("model3"), model("model4"))
    assert not got["nested"]
    assert np.isnan(got["f"])
    assert got["ss_difference"] == pytest.approx(
        reference("A")["anova_nonnested_3_4"]["Sum_of_Sq"][1], rel=LM
    )


def test_type_one_and_drop_one_match_r():
    fit = model("model5")
    want, got = reference("A")["anova_type1_model5"], type_one_anova(fit)
    assert list(got["term"]) == want["terms"]
    assert list(got["sum_of_squares"]) == pytest.approx(want["Sum_Sq"], rel=LM)
    assert list(got["p"][:-1]) == pytest.approx(want["p"][:-1], rel=LM, abs=0)
    want, got = reference("A")["drop1_model5"], drop_one(fit)
    assert list(got["term"]) == want["terms"]
    assert list(got["aic"]) == pytest.approx(want["AIC"], rel=LM)
    assert list(got["p"][1:]) == pytest.approx(want["p"][1:], rel=LM, abs=0)


EDGE = [
    ("constant", "lm_x", "out ~ x"),
    ("constant", "lm_x_const", "out ~ x + const"),
    ("constant", "lm_all", "out ~ x + const + z + zcopy2"),
    ("constant", "lm_order_swapped", "out ~ x + zcopy2 + z"),
    ("n30", "model1", f"vBMD ~ {LINEAR_MODELS['model1']}"),
    ("n30", "model5", f"vBMD ~ {LINEAR_MODELS['model5']}"),
]


@pytest.mark.parametrize(("data", "case", "formula"), EDGE)
def test_aliasing_matches_r(data, case, formula):
    want = reference("edge/edge")[data][case]
    fit = linear_model(cohort(f"edge/{data}"), formula)
    assert (fit.rank, fit.df_residual) == (want["rank"], want["df_residual"])
    table = fit.coefficient_table().set_index("term")
    estimates = {term: value for term, value in want["coef"].items() if value is not None}
    # One residual degree of freedom on 29 columns of mixed units leaves R itself fewer digits.
    assert table["estimate"].dropna().to_dict() == pytest.approx(estimates, rel=1e-8)
    assert table["std_error"].dropna().to_dict() == pytest.approx(want["se"], rel=1e-8)
    assert table["p"].dropna().to_dict() == pytest.approx(want["p"], rel=1e-8, abs=0)
    got = fit.fit_statistics()
    assert [got["aic"], got["bic"], got["r2"]] == pytest.approx([want["AIC"], want["BIC"], want["r_squared"]])


def test_missing_text_drops_rows_as_in_r():
    want = reference("edge/edge")["missing"]
    table, _ = impute_median(cohort("edge/missing"), "original")
    fit = model("model5", table)
    assert (fit.n, fit.design.n_dropped) == (want["model5"]["nobs"], want["n_rows_dropped_for_string_na"])
    got = fit.coefficient_table().set_index("term")["estimate"].to_dict()
    assert got == pytest.approx(want["model5"]["coef"], rel=LM)
    assert model("model5", cohort("edge/missing")).n == want["model5_no_impute_nobs"]


def test_different_rows_are_not_compared():
    table, _ = impute_median(cohort("edge/missing"), "original")
    with pytest.raises(StatisticsError, match="rows") as error:
        compare_nested(linear_model(table, "vBMD ~ Age"), linear_model(table, "vBMD ~ Age + Race"))
    assert error.value.code == "E-STAT-ROWS"


def test_interactions_match_statsmodels():
    table = imputed()
    got = linear_model(table, "vBMD ~ Gender*Median").coefficient_table()
    male = (table["Gender"] == "Male").astype(float)
    x = np.column_stack([np.ones(len(table)), male, table["Median"], male * table["Median"]])
    want = sm.OLS(table["vBMD"].to_numpy(), x).fit()
    assert list(got["term"]) == ["(Intercept)", "GenderMale", "Median", "GenderMale:Median"]
    assert list(got["estimate"]) == pytest.approx(want.params, rel=LM)
    assert list(got["p"]) == pytest.approx(want.pvalues, rel=1e-8, abs=0)


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ({"y": [1.0, 2], "x": [1.0, 3]}, "E-STAT-SATURATED"),
        ({"y": [2.0] * 5, "x": range(5)}, "E-STAT-CONSTANT"),
    ],
)
def test_models_without_an_answer_say_why(table, code):
    with pytest.raises(StatisticsError) as error:
        linear_model(pd.DataFrame(table), "y ~ x")
    assert error.value.code == code
