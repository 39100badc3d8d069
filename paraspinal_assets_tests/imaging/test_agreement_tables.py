"""Agreement per structure and level, on boxes whose overlap is known."""

import numpy as np
import pytest

from paraspinal_assets.imaging.agreement_tables import agreement_rows, agreement_summary
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets_tests.imaging.blocks import LEVELS, block_spine

SLICE_MM3 = 12 * 2 * 2 * 3
"""One voxel's width of a block muscle in one slice: 12 voxels of 12 mm3."""


def compared(change):
    """Rows by structure, the reader's labels being a changed copy of the segmentation's."""
    ct, labels = block_spine()
    data = labels.data.copy()
    change(data)
    return agreement_rows(ct, labels, Volume(data, labels.affine), LEVELS).set_index("structure")


def narrow(data):
    """The reader's left muscle is 8 voxels wide instead of 10."""
    data[34:36][data[34:36] == AUTOCHTHON_LEFT] = 0


def test_overlap_and_volume_of_each_level_are_those_of_the_boxes():
    rows = compared(narrow)
    assert rows.loc["muscle_left", "dice"] == pytest.approx(2 * 8 / 18)
    assert rows.loc["muscle_right", "iou"] == 1
    assert rows.loc["muscle_T4", "dice"] == pytest.approx(2 * 18 / 38)
    assert rows.loc["muscle_T4", "volume_mm3"] == pytest.approx(20 * 6 * SLICE_MM3)
    assert rows.loc["muscle_T4", "reader_volume_mm3"] == pytest.approx(18 * 6 * SLICE_MM3)
    assert rows.loc["vertebra_T4", "surface_distance_p95_mm"] == 0
    assert len(rows) == 3 + 2 * len(LEVELS)


def test_a_level_that_ends_elsewhere_is_a_disagreement_about_its_muscle():
    """The reader's T4 lies two slices lower: of six slices, four are the same."""

    def lower(data):
        for label in (body_label("T4"), rest_label("T4")):
            data[:] = np.where(np.roll(data == label, -2, axis=2), label, np.where(data == label, 0, data))

    rows = compared(lower)
    assert rows.loc["muscle_T4", "dice"] == pytest.approx(4 / 6)
    assert rows.loc["muscle_T3", "dice"] == 1
    assert rows.loc["muscle_both", "dice"] == 1


def test_a_reader_who_drew_no_vertebra_is_compared_within_the_levels_of_the_segmentation():
    rows = compared(lambda data: np.copyto(data, 0, where=data > 2))
    assert set(rows.index) == {"muscle_left", "muscle_right", "muscle_both", *(f"muscle_{v}" for v in LEVELS)}
    assert (rows["dice"] == 1).all()


def test_a_reader_who_drew_one_side_is_not_compared_with_both():
    rows = compared(lambda data: np.copyto(data, 0, where=data == AUTOCHTHON_RIGHT))
    assert set(rows.index) == {"muscle_left", *(f"vertebra_{level}" for level in LEVELS)}
    assert (rows["dice"] == 1).all()


def test_nothing_labelled_gives_no_row_and_the_same_columns():
    ct, labels = block_spine()
    nothing = Volume(np.zeros_like(labels.data), labels.affine)
    empty = agreement_rows(ct, nothing, nothing, LEVELS)
    assert len(empty) == 0
    assert list(empty.columns) == list(compared(narrow).reset_index().columns)
    assert len(agreement_summary(empty)) == 0
