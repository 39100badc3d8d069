from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.statistics.auc_tables import (
    auc_table,
    band_table,
    curve_table,
    partial_auc_table,
)
from paraspinal_assets.statistics.roc import roc_curve
from paraspinal_assets.statistics.roc_band import roc_band
from paraspinal_assets_tests.statistics.r_reference import cohort, reference, vector
from paraspinal_assets_tests.statistics.test_roc import MODELS, scores


def test_reversed_and_constant_scores_are_diagnosed():
    frame = cohort("edge/reversed")
    _, notes = auc_table(frame["y"], "s", frame["s"], estimate="apparent")
    assert [(n.model, n.code) for n in notes] == [("s", "W-STAT-REVERSED")]
    assert auc_table(frame["y"], "t", frame["t"], estimate="apparent")[1] == ()
    flat = cohort("edge/constant")
    _, notes = auc_table(flat["y"], "flat", flat["const"], estimate="apparent")
    assert [(n.model, n.message) for n in notes] == [
        ("flat", "The score is constant: area 0.5 by definition (apparent).")
    ]


def test_the_direction_reaches_every_table():
    frame = cohort("edge/reversed")
    backwards = {"estimate": "apparent", "direction": "<"}
    assert auc_table(frame["y"], "s", frame["s"], **backwards)[0].auc[0] < 0.5
    for table in (curve_table, band_table):
        points = table(frame["y"], "s", frame["s"], **backwards)
        assert points.sensitivity.mean() < 0.5
    assert partial_auc_table(frame["y"], "s", frame["s"], **backwards).corrected.isna().any()


@pytest.mark.parametrize("model", MODELS)
def test_band_agrees_with_the_bootstrap(model):
    want = reference("A")["roc"]["apparent"][model]["ci_se_boot"]
    band = roc_band(roc_curve(vector("y"), scores("apparent", model))).set_index("specificity")
    for s, low, high in zip(want["specificity"], want["lower"], want["upper"], strict=True):
        row = band.iloc[np.argmin(abs(band.index - s))]
        # Steps of 1/66 and Monte-Carlo error of the bootstrap's own ends.
        assert row.ci_low == pytest.approx(low, abs=0.07)
        assert row.ci_high == pytest.approx(high, abs=0.07)


def test_drawing_tables_cover_the_curve():
    y, risk = vector("y"), scores("apparent", "Volume")
    points = curve_table(y, "Volume", risk, estimate="apparent", max_points=50)
    assert len(points) == 50
    assert (points.sensitivity.min(), points.sensitivity.max()) == (0, 1)
    band = band_table(y, "Volume", risk, estimate="apparent")
    assert list(band.columns) == ["model", "estimate", "specificity", "sensitivity", "ci_low", "ci_high"]
    assert ((band.ci_low <= band.sensitivity + 1e-12) & (band.sensitivity <= band.ci_high + 1e-12)).all()
