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
    assert list(found) == list(QUANTITIES)
    two_boxes_mm2 = 2 * 10 * 12 * SPACING[0] * SPACING[1]
    assert found["area_mm2"] == pytest.approx(dict.fromkeys(LEVELS, two_boxes_mm2))
    assert (found["median_hu"]["T1"], found["median_hu"]["T10"]) == (20.0, 45.0)
    distances = [found["spacing_mm"][level] for level in LEVELS]
    assert distances[:-1] == pytest.approx([8 * SPACING[2]] * 9)
    assert distances[-1] is None


def test_no_distance_across_an_absent_level_and_no_area_without_muscle():
    ct, labels = block_spine()
    upper = labels.data[:, :, 80:]
    upper[upper <= 2] = 0
    scan = segmented_scan(ct, labels, [level for level in LEVELS if level != "T5"])
    profile = spine_profile(scan)
    assert (profile["area_mm2"]["T1"], profile["median_hu"]["T1"], profile["spacing_mm"]["T1"]) == (
        None,
        None,
        24,
    )
    assert (profile["spacing_mm"]["T4"], profile["spacing_mm"]["T6"]) == (None, 24.0)


def test_profiles_are_tables_from_head_to_foot():
    ct, labels = block_spine()
    profile = assess(ct, labels, LEVELS).profile
    two = {name: {level: values[level] for level in ("T10", "T2")} for name, values in profile.items()}
    table = profile_columns([{}, profile, two])
    assert table.columns.unique(0).tolist() == list(QUANTITIES)
    assert table["area_mm2"].columns.tolist() == list(LEVELS)
    assert table.isna().all(axis=1).tolist() == [True, False, False]
    assert table.loc[2, ("area_mm2", "T2")] == profile["area_mm2"]["T2"]
    assert np.isnan(table.loc[2, ("area_mm2", "T3")])
    assert profile_columns([]).empty
    assert profile_columns([{}, {}]).empty
