from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.geometry import crop
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, body_label, rest_label
from paraspinal_assets.imaging.levels import LabelProfile, level_slabs, slabs_table
from paraspinal_assets.imaging.volume import Volume

from .scenes import LEVELS, trunk


def test_vertebra_and_body_slabs():
    _, labels = trunk()
    whole, bodies = level_slabs(labels, LEVELS), level_slabs(labels, LEVELS, rule="body")
    assert [(s.start, s.stop) for s in whole.values()] == [(10, 16), (5, 11), (1, 6)]
    assert [(s.start, s.stop) for s in bodies.values()] == [(12, 16), (7, 11), (2, 6)]
    assert [(s.vertebra_start, s.vertebra_stop) for s in bodies.values()] == [(10, 16), (5, 11), (1, 6)]


def test_a_gap_is_flagged_and_filled_except_by_the_original_rule():
    _, labels = trunk()
    labels.data[9:13, :, 12:14][labels.data[9:13, :, 12:14] >= 10] = 0
    slab = level_slabs(labels, ["T1"])["T1"]
    assert (slab.start, slab.stop, slab.gap) == (10, 16, True)
    assert level_slabs(labels, ["T1"], rule="original")["T1"].stop == 16 - (2 * 2 - 1)


def test_absent_levels_and_missing_bodies_are_left_out():
    _, labels = trunk()
    assert list(level_slabs(labels, ["T3", "T9", "T1"])) == ["T3", "T1"]
    labels.data[labels.data == body_label("T2")] = 0
    assert list(level_slabs(labels, LEVELS, rule="body")) == ["T1", "T3"]
    assert level_slabs(Volume(labels.data * 0, labels.affine), LEVELS) == {}
    with pytest.raises(ParaspinalError, match="T13"):
        level_slabs(labels, ["T13"])


def test_slices_count_from_the_whole_image():
    _, labels = trunk()
    part = crop(labels, ((2, 19), (1, 17), (1, 17)))
    assert level_slabs(part, LEVELS) == level_slabs(labels, LEVELS)
    table = slabs_table(level_slabs(part, LEVELS))
    assert table.first_slice.tolist() == [10, 5, 1]
    assert table.last_slice.tolist() == [15, 10, 5]
    assert table.vertebra_last_slice.tolist() == [15, 10, 5]
    assert list(slabs_table({}).columns) == list(table.columns)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize("label", [rest_label("T1"), AUTOCHTHON_LEFT])
def test_contact_with_the_edge_of_the_whole_image(axis, end, label):
    _, labels = trunk()
    assert not any(slab.touches_border for slab in level_slabs(labels, LEVELS).values())
    at = [11, 10, 12]
    at[axis] = end
    labels.data[tuple(at)] = label
    touched = level_slabs(labels, LEVELS)
    if label == rest_label("T1"):
        assert touched["T1"].touches_border
        assert not touched["T2"].touches_border or axis == 2
    else:  # at either end of the scan the muscle lies outside every slab
        assert touched["T1"].touches_border == (axis != 2)
        assert not touched["T3"].touches_border


def test_the_edge_of_a_crop_is_no_edge():
    _, labels = trunk()
    tight = crop(labels, ((3, 18), (2, 16), (1, 17)))
    assert not any(slab.touches_border for slab in level_slabs(tight, LEVELS).values())
    alone = Volume(tight.data, tight.affine)
    assert level_slabs(alone, LEVELS)["T3"].touches_border


def test_profile_counts_every_label():
    _, labels = trunk()
    profile = LabelProfile.of(labels)
    np.testing.assert_array_equal(
        profile.counts.sum(axis=0)[1:], np.bincount(labels.data.ravel(), minlength=256)[1:]
    )
    assert profile.has_bodies
    assert not LabelProfile.of(trunk(bodies=False)[1]).has_bodies
