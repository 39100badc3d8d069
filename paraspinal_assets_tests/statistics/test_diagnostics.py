import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.outliers_influence import variance_inflation_factor

from paraspinal_assets.statistics.diagnostics import (
    design_problems,
    logistic_problems,
    normal_quantiles,
    row_diagnostics,
    smooth,
    variance_inflation,
)
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.logistic import logistic_model
from paraspinal_assets.statistics.models import FRACTURE_MODELS, LINEAR_MODELS
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference, vector

NAMES = {
    "fitted": "fitted",
    "residual": "residuals",
    "hat": "hat",
    "rstandard": "rstandard",
    "rstudent": "rstudent",
    "cooks_distance": "cooks",
}


@pytest.fixture(scope="module")
def fit():
    return linear_model(imputed(), f"vBMD ~ {LINEAR_MODELS['model5']}")


def test_influence_matches_r(fit):
    got = row_diagnostics(fit)
    for ours, theirs in NAMES.items():
        np.testing.assert_allclose(got[ours], vector("model5", theirs), rtol=1e-9, atol=1e-12, err_msg=ours)
    want = reference("A")["diagnostics_model5"]
    assert int(got["cooks_distance"].idxmax()) + 1 == want["which_max_cook"]


def test_the_lines_of_r_s_plots(fit):
    want = reference("A")["diagnostics_model5"]
    line = smooth(fit.fitted, fit.residuals)
    assert list(line["x"][:3]) == pytest.approx(want["lowess_first3"]["x"], rel=1e-9)
    assert list(line["y"][:3]) == pytest.approx(want["lowess_first3"]["y"], rel=1e-7)
    quantiles = normal_quantiles(row_diagnostics(fit)["rstandard"].to_numpy())
    assert list(quantiles[:5]) == pytest.approx(want["qq_theoretical_first5"], rel=1e-9)


def test_inflation_of_single_columns_matches_statsmodels():
    table = imputed()
    fit = linear_model(table, "vBMD ~ Age + BMI + Shape + Median")
    got = variance_inflation(fit.design, fit.kept)["gvif"]
    assert list(got) == pytest.approx(
        [variance_inflation_factor(fit.design.x, j) for j in range(1, 5)], rel=1e-9
    )


def test_inflation_of_a_factor_does_not_depend_on_its_reference():
    table = imputed()
    turned = table.assign(Race=table["Race"].map(lambda race: "0" + race if race == "White" else race))
    pair = [linear_model(t, "vBMD ~ Race + Age + Site + Shape") for t in (table, turned)]
    first, second = (variance_inflation(fit.design, fit.kept)["vif"] for fit in pair)
    assert list(first) == pytest.approx(list(second), rel=1e-9)


def problems(fit):
    return {p.code: p.message for p in design_problems("linear", "m", fit.design, fit.kept, fit.aliased)}


def test_the_guilty_columns_are_named():
    found = problems(linear_model(cohort("edge/constant"), "out ~ x + const + z + zcopy2"))
    assert found["W-STAT-CONSTANT"] == "const is 0.3 in all 120 rows: it has no coefficient."
    assert found["W-STAT-ALIASED"] == "zcopy2 is an exact combination of z: it has no coefficient."
    assert "W-STAT-FEW-ROWS" in problems(
        linear_model(cohort("edge/n30"), f"vBMD ~ {LINEAR_MODELS['model5']}")
    )


def test_a_category_of_one_level_is_named():
    table = imputed().assign(Site="Oslo")
    found = problems(linear_model(table, "vBMD ~ Age + Site"))
    assert found["W-STAT-CONSTANT"] == "Site is 'Oslo' in all 1316 rows: it has no coefficient."


def test_near_collinearity_is_named():
    generator = np.random.default_rng(3)
    table = pd.DataFrame(generator.normal(size=(200, 3)), columns=["y", "a", "b"])
    table["c"] = table["a"] + 0.1 * generator.normal(size=200)
    message = problems(linear_model(table, "y ~ a + b + c"))["W-STAT-COLLINEAR"]
    assert message.startswith(("a is nearly", "c is nearly"))


def test_separation_and_events_per_variable_are_named():
    fit = logistic_model(cohort("edge/separation"), "y ~ q + w")
    found = {p.code: p.message for p in logistic_problems("m", fit)}
    assert "q separates y: all " in found["W-STAT-SEPARATION"]
    fit = logistic_model(cohort("edge/separation"), "y ~ x")
    messages = [p.message for p in logistic_problems("m", fit) if p.code == "W-STAT-SEPARATION"]
    assert messages[0] == "The columns of the model together separate y: no coefficient is finite."
    assert messages[1].startswith("x separates y perfectly at 0.5")
    assert len(messages) == 2
    fit = logistic_model(imputed(), f"VFx ~ {FRACTURE_MODELS['Expanded']}")
    assert (
        "66 events of VFx for 28" in {p.code: p.message for p in logistic_problems("m", fit)}["W-STAT-EVENTS"]
    )
