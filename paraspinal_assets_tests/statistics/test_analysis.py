"""The whole analysis: its tables carry R's numbers, and bad input is named while the rest comes out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.analysis import analyze
from paraspinal_assets.statistics.models import FRACTURE_MODELS, LINEAR_MODELS
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.statistics.tables import COLUMNS
from paraspinal_assets_tests.statistics.r_reference import cohort, reference, vector

QUICK = AnalysisSpec(bootstrap=0, imputations=0, subgroups=())
SMALL = replace(
    QUICK,
    linear_models={"plain": "Age + Gender", "with_median": "Age + Gender + Median"},
    fracture_models={"age": "Age", "density": "Age + vBMD"},
    sensitivity_model="with_median",
    benchmark="Age",
    reclassification_pairs=(("age", "density"),),
)


@pytest.fixture(scope="module")
def original():
    return analyze(cohort(), replace(QUICK, imputation="original"), folds=vector("fold"))


def codes(tables, analysis=None):
    problems = tables["problems"]
    chosen = problems if analysis is None else problems[problems["analysis"] == analysis]
    return set(zip(chosen["model"], chosen["code"], strict=True))


PROMISED = {
    "imputation": "column n_missing median",
    "linear_coefficients": "model term estimate std_error t p ci_low ci_high aliased",
    "linear_fit": "model n df_residual sigma r2 adj_r2 f f_p log_likelihood aic bic mse rmse mae",
    "linear_comparison": "model_a model_b nested df_difference ss_difference f p",
    "sensitivity_bounds": "bound_label r2dz_x r2yz_dx adjusted_estimate adjusted_se adjusted_t adjusted_lower "
    "adjusted_upper",
    "logistic_coefficients": "model term log_odds std_error odds_ratio ci_low ci_high profile_ci_low "
    "profile_ci_high p",
    "predictions": "row fold model apparent out_of_fold",
    "auc": "model estimate auc variance ci_low ci_high direction n_cases n_controls",
    "auc_comparison": "model_a model_b estimate auc_a auc_b z p difference ci_low ci_high",
    "thresholds": "model estimate rule threshold tp fp tn fn sensitivity specificity ppv npv f1 accuracy "
    "balanced_accuracy kappa",
    "table_one": "variable level low high overall missing test p smd",
}
"""Columns on which other people's programs rely."""


def test_every_table_has_its_columns(original):
    for name, columns in COLUMNS.items():
        assert list(original[name].columns) == list(columns), name
    for name, columns in PROMISED.items():
        assert list(original[name].columns) == columns.split(), name
    assert list(original["table_one_Shape"].columns) == list(COLUMNS["table_one"])


def test_linear_tables_carry_r_s_numbers(original):
    for model, want in reference("A")["linear"].items():
        rows = original["linear_coefficients"].query("model == @model and not aliased")
        assert list(rows["estimate"]) == pytest.approx(want["coefficients"]["estimate"], rel=1e-9)
        fit = original["linear_fit"].set_index("model").loc[model]
        assert [fit["aic"], fit["bic"], fit["f_p"]] == pytest.approx(
            [want["AIC"], want["BIC"], want["f_p_value"]], rel=1e-9, abs=0
        )
    pairs = original["linear_comparison"].set_index(["model_a", "model_b"])
    assert len(pairs) == 15
    for pair, want in reference("A")["anova_pairs"].items():
        assert pairs.loc[tuple(pair.split("_")), "p"] == pytest.approx(want["p"][1], rel=1e-9, abs=0)
    assert not pairs.loc[("model3", "model4"), "nested"]


def test_sensitivity_carries_sensemakr_s_numbers(original):
    want = reference("A")["sensemakr"]["model5_bisphosphonates"]
    row = original["sensitivity"].iloc[0]
    assert [row["rv_q"], row["rv_qa"]] == pytest.approx(
        [want["stats"]["rv_q"], want["stats"]["rv_qa"]], rel=1e-9
    )
    bounds = original["sensitivity_bounds"]
    assert list(bounds["bound_label"]) == want["bounds"]["bound_label"]
    assert list(bounds["adjusted_lower"]) == pytest.approx(want["bounds"]["adjusted_lower_CI"], rel=1e-9)


def test_discrimination_carries_proc_s_numbers(original):
    auc = original["auc"].set_index(["estimate", "model"])
    for estimate, name in (("apparent", "apparent"), ("out_of_fold", "oof_10fold")):
        for model, want in reference("A")["roc"][name].items():
            assert auc.loc[(estimate, model), "auc"] == pytest.approx(want["auc"], rel=1e-12)
            assert auc.loc[(estimate, model), "variance"] == pytest.approx(want["delong_var"], rel=1e-9)
    pairs = original["auc_comparison"].query("estimate == 'apparent'").set_index(["model_a", "model_b"])
    for pair, want in reference("A")["delong"]["apparent"].items():
        assert pairs.loc[tuple(pair.split("__")), "z"] == pytest.approx(want["statistic"], rel=1e-9)
    assert len(original["reclassification"].groupby(["model_a", "model_b", "estimate"])) == 10


def noise(n, cases, predictors, seed, missing=0.0):
    """Predictors that have nothing to do with the fractures, and a model of all of them."""
    rng = np.random.default_rng(seed)
    names = [f"x{k}" for k in range(predictors)]
    table = pd.DataFrame(rng.normal(size=(n, predictors)), columns=names)
    table = table.mask(rng.random(table.shape) < missing).assign(
        VFx=rng.permutation(np.arange(n) < cases) * 1
    )
    options = {"density": None, "fracture_models": {"m": " + ".join(names)}, "columns": {}, "seed": seed}
    return table, replace(QUICK, **options, quartile_measures=())


def test_out_of_fold_areas_of_noise_fall_on_either_side_of_one_half():
    found = [analyze(*noise(120, 30, 5, seed)) for seed in range(20)]
    auc = pd.concat([tables["auc"] for tables in found]).query("estimate == 'out_of_fold'")
    assert set(auc["direction"]) == {"<"}
    assert auc["auc"].mean() < 0.52
    # The curve, its partial areas and its thresholds belong to the same area.
    for tables in found:
        area = tables["auc"].set_index("estimate").loc["out_of_fold", "auc"]
        curve = tables["roc_curve"].query("estimate == 'out_of_fold'")
        drawn = np.trapezoid(curve["sensitivity"], curve["specificity"])
        best = tables["thresholds"].query("estimate == 'out_of_fold' and rule == 'youden'").iloc[0]
        assert abs(drawn) == pytest.approx(area)
        assert (curve["sensitivity"] + curve["specificity"]).max() == pytest.approx(
            best["sensitivity"] + best["specificity"]
        )
    assert min(auc["auc"]) < 0.5


def test_multiple_imputation_shows_no_outcome_to_the_predictions_that_are_tested():
    found = []
    for seed in range(6):
        table, spec = noise(300, 40, 10, seed, missing=0.4)
        tables = analyze(table, replace(spec, imputation="multiple", imputations=3, bootstrap=20))
        assert set(tables["auc"]["estimate"]) == {"apparent", "out_of_fold"}
        assert tables["optimism"].empty
        assert ("", "W-STAT-POOLED") in codes(tables, "optimism")
        found.append(tables["auc"].set_index("estimate")["auc"])
    mean = pd.concat(found, axis=1).mean(axis=1)
    assert mean["out_of_fold"] < 0.55
    assert mean["apparent"] > 0.65


def test_predictions_are_numbered_from_one(original):
    rows = original["predictions"].query("model == 'vBMD'")
    assert list(rows["row"]) == list(range(1, 1317))
    assert list(rows["fold"]) == list(vector("fold"))
    np.testing.assert_allclose(rows["out_of_fold"], vector("oof_probability", "vBMD"), atol=1e-6)


def test_the_default_leaves_outcomes_observed():
    tables = analyze(cohort(), QUICK)
    want = reference("A")["linear_observed_outcome_only"]["model5"]
    fit = tables["linear_fit"].set_index("model").loc["model5"]
    assert [fit["n"], fit["aic"]] == pytest.approx([want["nobs"], want["AIC"]], rel=1e-9)
    used = tables["predictions"].query("model == 'vBMD'")["apparent"].notna().sum()
    assert used == 1292


def test_optimism_and_imputations_stand_beside_the_apparent():
    tables = analyze(cohort(), replace(SMALL, bootstrap=30, imputations=2, subgroups=("Gender",)))
    auc = tables["auc"].set_index(["model", "estimate"])["auc"]
    shift = tables["optimism"].set_index("model")["optimism"]
    assert auc["density", "optimism_corrected"] == pytest.approx(
        auc["density", "apparent"] - shift["density"]
    )
    methods = tables["imputation_comparison"].query("model == 'with_median' and term == 'Age'")
    assert list(methods["method"]) == ["median", "complete_case", "multiple"]
    assert set(tables["subgroup_interactions"]["outcome"]) == {"vBMD", "VFx"}
    again = analyze(cohort(), replace(SMALL, bootstrap=30, imputations=2, subgroups=("Gender",)))
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, again[name])


def test_multiple_imputation_is_pooled_throughout():
    models = {"m": "Age + BMI + Creatinine"}
    spec = replace(SMALL, imputation="multiple", imputations=3, linear_models=models, fracture_models=models)
    tables = analyze(cohort(), replace(spec, sensitivity_model="m", treatment="BMI"))
    pooled = tables["imputation_comparison"].query("method == 'multiple' and analysis == 'logistic'")
    got = tables["logistic_coefficients"]
    assert list(got["log_odds"]) == list(pooled["estimate"])
    assert got["profile_ci_low"].isna().all()
    assert tables["predictions"]["apparent"].notna().all()
    assert ("", "W-STAT-POOLED") in codes(tables, "imputation")


def test_a_one_class_outcome_stops_only_the_fracture_models():
    tables = analyze(cohort().assign(VFx=0), SMALL)
    assert codes(tables, "logistic") == {("age", "E-STAT-ONE-CLASS"), ("density", "E-STAT-ONE-CLASS")}
    assert len(tables["linear_fit"]) == 2
    assert tables["auc"].empty


def test_an_outcome_among_its_own_terms_stops_only_that_model():
    models = {"plain": "Age", "with_median": "Age + Median", "itself": "Age + vBMD"}
    tables = analyze(cohort(), replace(SMALL, linear_models=models))
    assert {c for c in codes(tables, "linear") if c[1] != "W-STAT-DROPPED"} == {("itself", "E-STAT-FORMULA")}
    assert list(tables["linear_fit"]["model"]) == ["plain", "with_median"]
    assert set(tables["auc"]["model"]) == {"age", "density"}


def test_text_in_a_numeric_column_stops_only_its_models():
    table = cohort().astype({"Median": object})
    table.loc[7, "Median"] = "n/a?"
    tables = analyze(table, SMALL)
    assert ("with_median", "E-STAT-TYPE") in codes(tables, "linear")
    message = tables["problems"].query("model == 'Median' and analysis == 'table'")["message"].iloc[0]
    assert "'n/a?' in row 8 (1 of 1316 rows)" in message
    assert list(tables["linear_fit"]["model"]) == ["plain"]


def test_missing_and_empty_columns_stop_only_their_models():
    tables = analyze(cohort().drop(columns="Gender").assign(vBMD_copy=1), SMALL)
    assert codes(tables, "linear") == {("plain", "E-STAT-COLUMN"), ("with_median", "E-STAT-COLUMN")}
    assert set(tables["auc"]["model"]) == {"age", "density"}
    tables = analyze(cohort().assign(Median=np.nan), SMALL)
    assert ("with_median", "E-STAT-EMPTY") in codes(tables, "linear")
    assert list(tables["linear_fit"]["model"]) == ["plain"]


def test_columns_of_another_study_need_no_schema():
    table = cohort().rename(columns={"Median": "L+R attenuation", "vBMD": "density", "VFx": "fracture"})
    table = table.assign(participant=[f"p{i}" for i in range(len(table))], Age=table["Age"].astype(str))
    spec = replace(
        SMALL,
        density="density",
        fracture="fracture",
        columns={},
        linear_models={"with_median": "Age + Gender + `L+R attenuation`"},
        fracture_models={"age": "Age"},
        treatment="L+R attenuation",
        quartile_measures=("L+R attenuation",),
    )
    tables = analyze(table, spec)
    assert set(tables["imputation"]["column"]) == set(table.columns) - {"participant"}
    assert list(tables["linear_coefficients"]["term"]) == [
        "(Intercept)",
        "Age",
        "GenderMale",
        "L+R attenuation",
    ]
    assert len(tables["sensitivity_bounds"]) == 3


def test_constant_columns_and_separation_are_named():
    table = cohort().assign(Age=60.0, BMI=lambda t: t["VFx"] * 10.0)
    tables = analyze(table, replace(SMALL, fracture_models={"bmi": "BMI", "density": "vBMD"}))
    assert ("plain", "W-STAT-CONSTANT") in codes(tables, "linear")
    assert ("bmi", "W-STAT-SEPARATION") in codes(tables, "logistic")
    rows = tables["logistic_coefficients"].set_index(["model", "term"])
    assert np.isnan(rows.loc[("bmi", "BMI"), "log_odds"])
    assert np.isfinite(rows.loc[("density", "vBMD"), "log_odds"])


def test_few_rows_give_r_s_numbers_and_a_diagnosis():
    tables = analyze(cohort("edge/n30"), QUICK)
    want = reference("edge/edge")["n30"]["model5"]
    rows = tables["linear_coefficients"].query("model == 'model5'").set_index("term")["estimate"].dropna()
    assert rows.to_dict() == pytest.approx({k: v for k, v in want["coef"].items() if v is not None}, rel=1e-8)
    assert ("model5", "W-STAT-FEW-ROWS") in codes(tables, "linear")
    tables = analyze(cohort("edge/n30").head(12), QUICK)
    assert ("model2", "E-STAT-SATURATED") in codes(tables, "linear")


@pytest.mark.parametrize(
    ("change", "options", "code"),
    [
        (lambda t: t.head(0), {}, "E-STAT-ROWS"),
        (lambda t: t.assign(idno=1), {}, "E-STAT-DUPLICATE"),
        (lambda t: pd.concat([t, t[["Age"]]], axis=1), {}, "E-STAT-DUPLICATE"),
        (lambda t: t.drop(columns=["vBMD", "VFx"]), {}, "E-STAT-COLUMN"),
        (lambda t: t, {"folds": [1, 2, 3]}, "E-STAT-FOLDS"),
    ],
)
def test_what_leaves_nothing_to_analyse_is_an_error(change, options, code):
    with pytest.raises(StatisticsError) as error:
        analyze(change(cohort()), SMALL, **options)
    assert error.value.code == code


def test_impossible_options_are_refused():
    with pytest.raises(StatisticsError, match="folds"):
        AnalysisSpec(folds=1)
    with pytest.raises(StatisticsError, match="copies"):
        AnalysisSpec(imputation="multiple", imputations=1)


def test_the_defaults_are_the_study_s():
    spec = AnalysisSpec()
    assert len(spec.formulas()) == len(LINEAR_MODELS) + len(FRACTURE_MODELS)
    assert spec.model_columns()[-2:] == ("vBMD", "VFx")


def test_subgroups_and_covariates_that_are_not_there_are_named():
    table = cohort().assign(Empty=np.nan)
    spec = replace(
        QUICK,
        linear_models={},
        fracture_models={},
        subgroups=("Gender", "Rase"),
        subgroup_covariates=("Age", "Empty"),
    )
    made = analyze(table, spec)
    assert codes(made, "subgroups") == {("Rase", "E-STAT-COLUMN"), ("Empty", "E-STAT-COLUMN")}
    assert set(made["subgroup_effects"]["subgroup"]) == {"Gender"}
    lost = analyze(table, replace(spec, subgroups=("Gender",), subgroup_covariates=(), treatment="Medium"))
    assert codes(lost, "subgroups") == {("Medium", "E-STAT-COLUMN")}


def test_models_of_other_names_are_reclassified_where_they_are_nested():
    models = {"base": "Age", "both": "Median + Age", "other": "Gender"}
    assert replace(QUICK, fracture_models=models).reclassified() == [("base", "both")]
    assert ("Expanded", "Volume") in QUICK.reclassified()
    assert replace(QUICK, reclassification_pairs=()).reclassified() == []
