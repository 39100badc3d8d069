import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.contour import ContourSet

from paraspinal_assets.report.blocks import Source
from paraspinal_assets.report.figures import change, linear, muscle, prediction, sensitivity
from paraspinal_assets.report.sections.prediction import observed_risks
from paraspinal_assets.statistics.sensitivity import Treatment
from paraspinal_assets_tests.report import tables as study


@pytest.fixture(scope="module")
def tables():
    return study.study_tables()


def test_a_drawing_is_the_same_every_time(tables):
    first, second = (
        change.subgroup_forest(tables["subgroup_effects"], name="x", exposure="x", axis_label="y")
        for _ in range(2)
    )
    assert first.svg() == second.svg() == first.svg()
    assert first.png() == second.png()
    assert first.csv() == second.csv()


def test_svg_stands_alone_beside_others(tables):
    svg = muscle.quartile_distributions(tables["cohort"]).svg()
    assert svg.startswith('<svg role="img" aria-label="')
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("distribution-vbmd-by-quartile-") for name in ids)
    assert "<dc:date>" not in svg


def test_profile_means_are_those_of_the_table(tables):
    drawing = muscle.muscle_profile(tables["muscle_metrics"], tables["cohort"], levels=study.LEVELS)
    rows = (
        tables["muscle_metrics"]
        .query("side == 'both' and level == 'T4'")
        .merge(tables["cohort"], on="participant")
    )
    expected = rows.loc[rows["sex"] == "Male", "median_hu"].mean()
    shown = drawing.data.query("grouping == 'sex' and group == 'Male' and level == 'T4'")
    assert shown["mean"].item() == pytest.approx(expected)


def test_distributions_count_everybody_once_in_the_unit_shown(tables):
    cohort = tables["cohort"]
    drawn = muscle.cohort_distributions(cohort).data
    counted = drawn.groupby(["measure", "sex"])["n"].sum()
    assert counted.xs("volume").to_dict() == cohort["sex"].value_counts().to_dict()
    volume = drawn[drawn["measure"] == "volume"]
    assert volume["to"].max() == pytest.approx(cohort["volume"].max() / 1000)


def test_quartile_groups_count_ties_downwards():
    groups = muscle.quartile_group(pd.Series([1.0, 1.0, 2.0, 3.0, 4.0, np.nan]))
    assert list(groups[:5]) == ["Q1 (lowest)", "Q1 (lowest)", "Q2", "Q3", "Q4 (highest)"]
    assert pd.isna(groups[5])


def test_forest_leaves_out_intercept_and_aliased_terms(tables):
    drawing = linear.coefficient_forest(tables["linear_coefficients"], model="model6", scale={"Age": 10.0})
    terms = tables["linear_coefficients"].query("model == 'model6' and not aliased")
    assert len(drawing.data) == len(terms) - 1
    age = drawing.data.set_index("label").loc["Age, per SD", "estimate"]
    assert age == pytest.approx(10 * terms.set_index("term").loc["Age", "estimate"])


def test_lm_plots_draw_qqnorm(tables):
    drawn = linear.lm_plots(tables["diagnostics"], model="model5").data
    order = drawn["rstandard"].argsort()
    assert (np.diff(drawn["theoretical"].to_numpy()[order]) > 0).all()
    assert drawn["theoretical"].sum() == pytest.approx(0, abs=1e-8)


def test_sensitivity_points_are_estimate_and_benchmarks(tables):
    drawing = sensitivity.sensitivity_contour(
        study.treatment(), tables["sensitivity_bounds"], treatment="Median"
    )
    assert drawing.data.loc[0, "adjusted_estimate"] == study.treatment().estimate
    assert len(drawing.data) == 1 + len(tables["sensitivity_bounds"])


@pytest.mark.parametrize(("of", "threshold"), [("estimate", 0.0), ("t", 1.96)])
def test_the_threshold_has_one_contour_of_its_own(tables, of, threshold):
    drawing = sensitivity.sensitivity_contour(
        study.treatment(), tables["sensitivity_bounds"], treatment="Median", of=of
    )
    contours = [drawn for drawn in drawing.figure.axes[0].collections if isinstance(drawn, ContourSet)]
    levels = np.concatenate([drawn.levels for drawn in contours])
    assert len(levels) > 4
    assert (np.abs(levels - threshold) < 0.1 * np.ptp(levels) / len(levels)).sum() == 1


def test_sensitivity_of_a_negative_and_weak_estimate_is_drawn(tables):
    none = tables["sensitivity_bounds"].iloc[:0]
    weak = Treatment(-0.1, 1.0, 50)
    assert sensitivity.sensitivity_contour(weak, none, treatment="x", of="t").svg()
    assert sensitivity.extreme_scenario_plot(weak, none, treatment="x").svg()


def test_roc_legend_carries_the_area(tables):
    drawing = prediction.roc_curves(
        tables["roc_curve"], tables["roc_band"], tables["auc"], models=["vBMD"], estimate="apparent"
    )
    assert "vBMD: 0.789" in drawing.svg()


@pytest.mark.parametrize("draw", [prediction.calibration_curves, prediction.decision_curves])
def test_prediction_figures_show_the_models_asked_for(tables, draw):
    observed = observed_risks(Source(tables, {}))
    table = observed if draw is prediction.calibration_curves else tables["decision_curve"]
    drawing = draw(table, models=["vBMD", "Volume"], estimate="out_of_fold")
    assert set(drawing.data["model"]) == {"vBMD", "Volume"}
    assert set(drawing.data["estimate"]) == {"out_of_fold"}


@pytest.mark.filterwarnings("error")
def test_curves_of_models_that_are_of_no_use_are_drawn(tables):
    """Where nobody's risk reaches the lowest threshold, all net benefits are 0."""
    curves = tables["decision_curve"].assign(net_benefit=0.0)
    drawing = prediction.decision_curves(curves, models=["vBMD", "Volume"], estimate="out_of_fold")
    assert (drawing.data["net_benefit"] == 0).all()


def test_change_is_shown_in_cubic_centimetres():
    table = pd.DataFrame({"measure": "volume", "change_per_year": [-2000.0, -1000.0, np.nan]})
    assert "mean −1.50" in change.longitudinal_change(table, measures=["volume"]).svg()


def test_bland_altman_plot_states_its_bias():
    pairs = pd.DataFrame({"first": [11.0, 22.0, 33.0], "second": [10.0, 20.0, 30.0]})
    assert "bias 2.00 HU" in change.bland_altman_plot(pairs, measure="median_hu").description
