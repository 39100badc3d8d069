import numpy as np
import pytest

from paraspinal_assets.imaging.level_shift import profile_columns
from paraspinal_assets.imaging.quality import assess
from paraspinal_assets.imaging.quality_scan import segmented_scan
from paraspinal_assets.imaging.spine_profile import QUANTITIES, spine_profile
from paraspinal_assets_tests.imaging.blocks import LEVELS, SPACING, block_spine


def test_area_attenuation_and_distance_of_drawn_boxes():
    ct, labels = block_spine()
    ct.data[26:36, 16:28, 60:95][labels.data[26:36, 16:28, 60:95] <= 2] = 20
    ct.data[44:54, 16:28, 60:95][labels.data[44:54, 16:28, 60:95] <= 2] = 20
    found = assess(ct, labels, LEVELS).profile
    assert list(found) == list(LEVELS)
    two_boxes_mm2 = 2 * 10 * 12 * SPACING[0] * SPACING[1]
    for level in LEVELS:
        assert found[level]["area_mm2"] == pytest.approx(two_boxes_mm2)
    assert (found["T1"]["median_hu"], found["T10"]["median_hu"]) == (20.0, 45.0)
    distances = [found[level]["spacing_mm"] for level in LEVELS]
    assert distances[:-1] == pytest.approx([8 * SPACING[2]] * 9)
    assert distances[-1] is None


def test_no_distance_across_an_absent_level_and_no_area_without_muscle():
    ct, labels = block_spine()
    upper = labels.data[:, :, 80:]
    upper[upper <= 2] = 0
    scan = segmented_scan(ct, labels, [level for level in LEVELS if level != "T5"])
    profile = spine_profile(scan)
    assert profile["T1"] == {"area_mm2": None, "median_hu": None, "spacing_mm": 24.0}
    assert (profile["T4"]["spacing_mm"], profile["T6"]["spacing_mm"]) == (None, 24.0)


def test_profiles_are_tables_from_head_to_foot():
    ct, labels = block_spine()
    profile = assess(ct, labels, LEVELS).profile
    table = profile_columns([{}, profile, {level: profile[level] for level in ("T10", "T2")}])
    assert table.columns.unique(0).tolist() == sorted(QUANTITIES)
    assert table["area_mm2"].columns.tolist() == list(LEVELS)
    assert table.isna().all(axis=1).tolist() == [True, False, False]
    assert table.loc[2, ("area_mm2", "T2")] == profile["T2"]["area_mm2"]
    assert np.isnan(table.loc[2, ("area_mm2", "T3")])
    assert profile_columns([]).empty
    assert profile_columns([{}, {}]).empty
