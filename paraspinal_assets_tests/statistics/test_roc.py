from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.roc import partial_auc, roc_curve, sensitivity_at
from paraspinal_assets_tests.statistics.r_reference import cohort, imputed, reference, vector

MODELS = ["FRAXnb", "Expanded", "Volume", "Attenuation", "vBMD", "vBMD_Volume", "vBMD_Attenuation"]
PAUC = {
    "spec_1_0.9": (1, 0.9, "specificity"),
    "spec_1_0.8": (1, 0.8, "specificity"),
    "spec_0.9_0.6": (0.9, 0.6, "specificity"),
    "sens_1_0.9": (1, 0.9, "sensitivity"),
}


def scores(estimate: str, name: str) -> np.ndarray:
    if estimate == "raw":
        return imputed()[name.removeprefix("raw_")].to_numpy(float)
    return vector({"apparent": "fitted_probability", "oof_10fold": "oof_probability"}[estimate], name)


CASES = [(e, m) for e in ("apparent", "oof_10fold") for m in MODELS] + [
    ("raw", f"raw_{c}") for c in ("vBMD", "Median", "Shape", "Age")
]


@pytest.mark.parametrize(("estimate", "name"), CASES)
def test_curve_matches_proc(estimate, name):
    want = reference("A")["roc"][estimate][name]
    curve = roc_curve(vector("y"), scores(estimate, name))
    assert curve.direction == want["direction"]
    assert (curve.n_controls, curve.n_cases) == (want["n_controls"], want["n_cases"])
    assert curve.thresholds.size == want["n_thresholds"]
    assert curve.auc == pytest.approx(want["auc"], rel=1e-12)
    at = want["sens_at_spec"]
    assert [sensitivity_at(curve, s) for s in at["specificity"]] == pytest.approx(
        at["sensitivity"], rel=1e-12
    )
    for key, (high, low, focus) in PAUC.items():
        got = partial_auc(curve, high, low, focus=focus)
        assert got.area == pytest.approx(want["pauc"][key], rel=1e-12)
        if key + "_corrected" in want["pauc"]:
            corrected = want["pauc"][key + "_corrected"]
            assert got.corrected == (corrected and pytest.approx(corrected, rel=1e-12))


@pytest.mark.parametrize(("key", "name"), [("vBMD_Attenuation", "vBMD_Attenuation"), ("raw_Age", "Age")])
def test_every_point_matches_proc(key, name):
    want = reference("A_vectors")[f"roc_points_{key}"]
    score = imputed()["Age"] if name == "Age" else vector("fitted_probability", name)
    curve = roc_curve(vector("y"), score)
    np.testing.assert_allclose(curve.thresholds, want["thresholds"], rtol=1e-12)
    np.testing.assert_allclose(curve.sensitivities, want["sensitivities"], rtol=1e-12)
    np.testing.assert_allclose(curve.specificities, want["specificities"], rtol=1e-12)


@pytest.mark.parametrize(
    ("data", "outcome", "column", "keys", "direction"),
    [
        ("ties", "y", "s1", ("ties", "s1"), "auto"),
        ("ties", "y", "s2", ("ties", "s2"), "auto"),
        ("ties", "y", "b1", ("ties", "b1"), "auto"),
        ("constant", "y", "x", ("constant", "roc_x"), "auto"),
        ("constant", "y", "const", ("constant", "roc_const"), "auto"),
        ("separation", "y", "x", ("separation", "roc_x"), "auto"),
        ("n30", "VFx", "vBMD", ("n30", "roc_vBMD"), "auto"),
        ("n30", "VFx", "Median", ("n30", "roc_Median"), "auto"),
        ("reversed", "y", "s", ("reversed", "s_auto"), "auto"),
        ("reversed", "y", "s", ("reversed", "s_forced_less"), "<"),
        ("reversed", "y", "t", ("reversed", "t_auto"), "auto"),
        ("reversed", "y", "u", ("reversed", "u_auto"), "auto"),
    ],
)
def test_edge_curves_match_proc(data, outcome, column, keys, direction):
    want = reference("edge/edge")[keys[0]][keys[1]]
    frame = cohort(f"edge/{data}")
    curve = roc_curve(frame[outcome], frame[column], direction=direction)
    assert curve.direction == want["direction"]
    assert curve.auc == pytest.approx(want["auc"], rel=1e-12)
    for field in ("thresholds", "sensitivities", "specificities"):
        if field in want:
            np.testing.assert_allclose(getattr(curve, field), want[field], rtol=1e-12, atol=1e-14)
    assert sensitivity_at(curve, 0.9) == pytest.approx(want["sens_at_spec_0.9"], rel=1e-12)
    part = partial_auc(curve, 1, 0.9)
    assert part.area == pytest.approx(want["pauc_1_0.9"], rel=1e-12)
    corrected = want["pauc_1_0.9_corrected"]
    if corrected is None or isinstance(corrected, dict):
        assert part.corrected is None
    else:
        assert part.corrected == pytest.approx(corrected, rel=1e-12)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ([0, 0, 0, 0], "E-STAT-ONE-CLASS"),
        ([0, 1, 0.5, 1], "E-STAT-BINARY"),
        (["no", "yes", "no", "yes"], "E-STAT-BINARY"),
    ],
)
def test_bad_outcome_is_named(outcome, code):
    with pytest.raises(StatisticsError) as caught:
        roc_curve(outcome, [1.0, 2.0, 3.0, 4.0])
    assert caught.value.code == code


def test_one_class_outcome_of_the_edge_cohort():
    frame = cohort("edge/oneclass")
    with pytest.raises(StatisticsError, match="one class only"):
        roc_curve(frame["y"], frame["s1"])


def test_infinite_score_and_unequal_length_are_refused():
    with pytest.raises(StatisticsError, match="E-STAT-INFINITE"):
        roc_curve([0, 1], [np.inf, 1.0])
    with pytest.raises(StatisticsError, match="E-STAT-SHAPE"):
        roc_curve([0, 1], [0.0, 1.0, 2.0])


def test_neighbouring_doubles_are_still_parted():
    lower = 1.0
    upper = np.nextafter(lower, 2.0)
    curve = roc_curve([0, 1], [lower, upper])
    assert ((np.array([lower, upper]) >= curve.thresholds[1]) == [False, True]).all()


def test_large_scores_have_a_threshold_between_them():
    assert roc_curve([0, 1], [1.2e308, 1.6e308]).thresholds[1] == pytest.approx(1.4e308)


@pytest.mark.parametrize("rate", [-0.01, 1.01])
def test_a_rate_lies_between_0_and_1(rate):
    with pytest.raises(StatisticsError, match="E-STAT-RATE"):
        sensitivity_at(roc_curve([0, 1], [0.1, 0.2]), rate)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=4, max_size=60))
def test_area_is_the_share_of_ordered_pairs(rows):
    y = np.array([r[0] for r in rows], float)
    s = np.array([r[1] for r in rows], float)
    if 0 < y.sum() < y.size:
        curve = roc_curve(y, s, direction="<")
        gaps = s[y == 1][:, None] - s[y == 0][None, :]
        assert curve.auc == pytest.approx(((gaps > 0) + (gaps == 0) / 2).mean(), abs=1e-12)
        assert partial_auc(curve, 1, 0).area == pytest.approx(curve.auc, abs=1e-12)
        # A threshold's counts are those of applying it.
        for t, se, sp in zip(curve.thresholds, curve.sensitivities, curve.specificities, strict=True):
            assert ((s >= t)[y == 1].mean(), (s < t)[y == 0].mean()) == pytest.approx((se, sp))


def test_forced_direction_matches_proc_below_the_diagonal():
    want = reference("A")["roc"]["raw_vBMD_forced_direction_less"]
    curve = roc_curve(vector("y"), imputed()["vBMD"], direction="<")
    assert curve.auc == pytest.approx(want["auc"], rel=1e-12)
    assert partial_auc(curve, 1, 0.9).area == pytest.approx(want["pauc"]["spec_1_0.9"], rel=1e-12)
    assert want["pauc"]["spec_1_0.9_corrected"] is None
    assert partial_auc(curve, 1, 0.9).corrected is None


def test_nullable_columns_are_read_as_missing():
    y = pd.Series([0, 1, None, 1, 0], dtype="Int64")
    s = pd.Series([0.1, 0.9, 0.3, None, 0.2], dtype="Float64")
    curve = roc_curve(y, s)
    assert (curve.n_cases, curve.n_controls, curve.auc) == (1, 2, 1.0)
