from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.calibration import (
    brier,
    calibration_curve,
    calibration_distances,
    calibration_line,
    calibration_table,
    hosmer_lemeshow,
)
from paraspinal_assets_tests.statistics.r_reference import reference, vector
from paraspinal_assets_tests.statistics.test_roc import MODELS, scores

BOTH = [(e, m) for e in ("apparent", "oof_10fold") for m in MODELS]


@pytest.mark.parametrize(("estimate", "model"), BOTH)
def test_line_matches_r(estimate, model):
    want = reference("A")["calibration"][estimate][model]
    got = calibration_line(vector("y"), scores(estimate, model))
    assert got.slope == pytest.approx(want["slope"], rel=1e-6)
    assert got.intercept == pytest.approx(want["intercept_with_slope"], rel=1e-6, abs=1e-6)
    assert got.in_the_large == pytest.approx(want["calibration_in_the_large"], rel=1e-6, abs=1e-6)
    rms = want["rms_val_prob"]
    assert got.unreliability_chi2 == pytest.approx(rms["U:Chi-sq"], rel=1e-6, abs=1e-8)
    assert got.unreliability_p == pytest.approx(rms["U:p"], rel=1e-6)


@pytest.mark.parametrize(("estimate", "model"), BOTH)
def test_scores_and_groups_match_r(estimate, model):
    want = reference("A")["calibration"][estimate][model]
    y, p = vector("y"), scores(estimate, model)
    got = brier(y, p)
    for key in ("brier", "brier_max", "brier_scaled", "log_loss", "discrimination_slope"):
        assert got[key] == pytest.approx(want[key], rel=1e-9), key
    assert got["spiegelhalter_z"] == pytest.approx(want["rms_val_prob"]["S:z"], rel=1e-6, abs=1e-9)
    assert got["spiegelhalter_p"] == pytest.approx(want["rms_val_prob"]["S:p"], rel=1e-6)
    groups = want["hosmer_lemeshow_deciles"]
    for fitted, key in ((True, "p_df8"), (False, "p_df10")):
        test = hosmer_lemeshow(y, p, fitted_here=fitted)
        assert test.chi2 == pytest.approx(groups["chisq"], rel=1e-9)
        assert test.p == pytest.approx(groups[key], rel=1e-9)


@pytest.mark.parametrize(("estimate", "model"), BOTH)
def test_smooth_curve_matches_val_prob(estimate, model):
    want = reference("A")["calibration"][estimate][model]["rms_val_prob"]
    got = calibration_distances(calibration_curve(vector("y"), scores(estimate, model)))
    assert got["ici"] == pytest.approx(want["Eavg"], rel=1e-6)
    assert got["e90"] == pytest.approx(want["E90"], rel=1e-6)
    assert got["emax"] == pytest.approx(want["Emax"], rel=1e-6)
    assert got["e50"] <= got["e90"]


def test_table_and_a_constant_risk():
    y, p = vector("y"), scores("oof_10fold", "vBMD")
    table, problems = calibration_table(y, "vBMD", p, estimate="out_of_fold")
    assert (table.hosmer_lemeshow_df[0], problems) == (10, ())
    table, problems = calibration_table(y, "flat", np.full(y.size, 0.05), estimate="out_of_fold")
    assert [(x.model, x.code) for x in problems] == [("flat", "E-STAT-CONSTANT"), ("flat", "E-STAT-GROUPS")]
    assert np.isnan(table.slope[0])
    assert table.brier[0] == pytest.approx(np.mean((y - 0.05) ** 2))
    assert table.ici[0] == pytest.approx(abs(y.mean() - 0.05))


def test_two_risks_have_a_line_but_no_groups():
    # The fitted risks of `fracture ~ sex`: calibrated by construction.
    sex = np.repeat([0, 1], [100, 50])
    y = np.concatenate([np.arange(100) < 10, np.arange(50) < 15]).astype(float)
    table, problems = calibration_table(y, "sex", np.where(sex == 1, 0.3, 0.1), estimate="apparent")
    row = table.iloc[0]
    assert (row.intercept, row.slope) == pytest.approx((0, 1), abs=1e-9)
    assert row.unreliability_chi2 == pytest.approx(0, abs=1e-9)
    assert np.isnan(row.hosmer_lemeshow_p)
    assert [(x.model, x.code) for x in problems] == [("sex", "E-STAT-GROUPS")]


def test_wrong_certainty_costs_infinitely_and_is_left_out_of_the_line():
    y, p = vector("y").copy(), scores("apparent", "vBMD").copy()
    p[np.flatnonzero(y == 1)[0]] = 0
    p[np.flatnonzero(y == 0)[0]] = 1
    assert brier(y, p)["log_loss"] == np.inf
    assert np.isfinite(calibration_line(y, p).slope)


def test_log_odds_are_refused():
    with pytest.raises(StatisticsError, match="E-STAT-RISK"):
        calibration_line([0, 1, 0], [-2.0, 1.0, 0.2])


def test_perfect_separation_has_no_slope():
    with pytest.raises(StatisticsError, match="E-STAT-SEPARATED"):
        calibration_line([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])


def test_tied_risks_are_smoothed_by_their_own_mean():
    p = np.repeat([0.1, 0.4], [270, 30])
    y = np.tile([0.0, 0.0, 0.0, 0.0, 1.0], 60)
    curve = calibration_curve(y, p)
    assert curve.observed.tolist() == pytest.approx([0.2, 0.2])
    assert calibration_distances(curve)["ici"] == pytest.approx(0.9 * 0.1 + 0.1 * 0.2)
