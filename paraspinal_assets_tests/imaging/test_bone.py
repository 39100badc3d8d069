from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.imaging.bone import apply_calibration, measure_bone
from paraspinal_assets.imaging.geometry import crop
from paraspinal_assets.imaging.labels import body_label, rest_label

from .scenes import LEVELS, trunk


def test_body_within_the_window_both_ends_included():
    ct, labels = trunk()
    body = labels.data == body_label("T2")
    ct.data[body] = 0
    ct.data[10, 12, 7:11] = (1, 700, 701, 100)
    row = measure_bone(ct, labels, LEVELS).set_index("level").loc["T2"]
    assert (row.voxels, row.trabecular_mean_hu, row.trabecular_median_hu) == (3, 267, 100)
    assert row.region == "body"
    assert pd.isna(row.vbmd_mg_cm3)
    wider = measure_bone(ct, labels, ["T2"], window=(0, 701)).iloc[0]
    assert wider.voxels == body.sum()


def test_a_crop_has_the_same_bone():
    ct, labels = trunk()
    box = ((2, 19), (1, 17), (1, 17))
    pd.testing.assert_frame_equal(
        measure_bone(crop(ct, box), crop(labels, box), LEVELS), measure_bone(ct, labels, LEVELS)
    )


def test_whole_vertebra_only_where_bodies_are_not_known():
    ct, labels = trunk(bodies=False)
    found = measure_bone(ct, labels, LEVELS)
    assert set(found.region) == {"vertebra"}
    hu = ct.data[labels.data == rest_label("T1")]
    assert found.voxels[0] == ((hu >= 1) & (hu <= 700)).sum()
    ct, labels = trunk()
    labels.data[labels.data == body_label("T2")] = 0  # one body missing among others is no whole vertebra
    found = measure_bone(ct, labels, [*LEVELS, "T7"]).set_index("level")
    assert found.loc[["T2", "T7"], "reason"].tolist() == ["no_body", "level_absent"]
    assert found.loc[["T2", "T7"]].drop(columns=["reason", "region"]).isna().all().all()


def test_calibration_is_linear_and_leaves_nulls():
    ct, labels = trunk()
    bone = measure_bone(ct, labels, [*LEVELS, "T7"])
    calibrated = apply_calibration(bone, 0.8, -5.0)
    assert bone.vbmd_mg_cm3.isna().all()
    expected = [0.8 * hu - 5 for hu in bone.trabecular_mean_hu[:3]]
    assert calibrated.vbmd_mg_cm3.tolist()[:3] == pytest.approx(expected)
    assert np.isnan(calibrated.vbmd_mg_cm3.iloc[3])
