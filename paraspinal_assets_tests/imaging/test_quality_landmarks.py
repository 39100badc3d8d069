import numpy as np
import pytest
from scipy import ndimage

from paraspinal_assets.imaging.quality_landmarks import first_rib_level, lung_apex_level, ribs_beside_spine
from paraspinal_assets.imaging.quality_scan import segmented_scan
from paraspinal_assets.imaging.volume_io import read_volume
from paraspinal_assets_tests.imaging.blocks import LEVELS, block_spine
from paraspinal_assets_tests.imaging.goldens import REAL, load_case

LEFT, RIGHT = slice(12, 14), slice(66, 68)
"""Columns 51 to 57 mm beside the spine."""
PITCH = 8


def spine_with(*bars, rows=slice(20, 36)):
    """The spine of boxes, with bars of bone (columns, lowest slice, slices) that run forward beside it."""
    ct, labels = block_spine()
    for columns, lowest, slices in bars:
        ct.data[columns, rows, lowest : lowest + slices] = 400
    return segmented_scan(ct, labels, LEVELS)


def level(slice_):
    """The scale of `blocks`: the centre of T1 is slice 88.5, and a level takes eight slices."""
    return 1 + (88.5 - slice_) / PITCH


def test_the_top_of_the_lungs_lies_on_the_scale_of_the_levels():
    ct, labels = block_spine()  # with lungs up to slice 89
    assert lung_apex_level(segmented_scan(ct, labels, LEVELS)) == pytest.approx(level(89))
    ct.data[ct.data == -850] = 45
    assert lung_apex_level(segmented_scan(ct, labels, LEVELS)) is None
    ct.data[14:30, 40:66, 10:] = -850
    assert lung_apex_level(segmented_scan(ct, labels, LEVELS)) is None


def test_the_highest_bar_beside_the_spine_is_the_first_rib():
    lower = [(side, 70, 3) for side in (LEFT, RIGHT)]
    scan = spine_with(*lower, (LEFT, 88, 3), (RIGHT, 88, 3))
    assert first_rib_level(scan) == pytest.approx(level(90))
    assert first_rib_level(spine_with(*lower)) == pytest.approx(level(72))


def test_a_tilted_pair_counts_at_its_middle_and_one_rib_alone_as_it_is():
    assert first_rib_level(spine_with((LEFT, 84, 3), (RIGHT, 88, 3))) == pytest.approx(level(88))
    assert first_rib_level(spine_with((LEFT, 84, 3))) == pytest.approx(level(86))


def test_no_rib_in_view_or_one_that_goes_on_upwards_is_unknown():
    assert first_rib_level(spine_with()) is None
    assert first_rib_level(spine_with((LEFT, 88, 12), (RIGHT, 88, 12))) is None


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (slice(20, 25), slice(20, 36)),
        (slice(55, 60), slice(20, 36)),
        (LEFT, slice(2, 9)),
        (RIGHT, slice(55, 70)),
    ],
    ids=["transverse process", "the other one", "far behind", "far before"],
)
def test_bone_elsewhere_is_no_rib(columns, rows):
    assert first_rib_level(spine_with((columns, 88, 3), rows=rows)) is None


def test_noise_is_no_rib():
    ct, labels = block_spine()
    ct.data[:] += np.random.default_rng(0).normal(0, 80, ct.data.shape).astype(np.int16)
    assert first_rib_level(segmented_scan(ct, labels, LEVELS)) is None


def test_a_spine_that_begins_lower_has_no_first_rib():
    ct, labels = block_spine()
    assert first_rib_level(segmented_scan(ct, labels, LEVELS[3:])) is None


def test_on_a_real_ct_nearly_all_bone_beside_the_spine_is_rib():
    """Against the published network's own ribs 7 to 12."""
    ct, labels, numbers = load_case("real_sm_15_full")
    scan = segmented_scan(ct, labels, numbers["levels"])
    found = ribs_beside_spine(scan, slice(None)).any(axis=0)
    ribs = np.any([read_volume(path).data != 0 for path in (REAL / "example_seg_fast").glob("rib_*")], axis=0)
    box = tuple(slice(start, start + n) for start, n in zip(scan.offset, scan.ct.shape, strict=True))
    near = ndimage.binary_dilation(ribs)[box]
    assert found.sum() > 50
    assert near[found].mean() > 0.9
