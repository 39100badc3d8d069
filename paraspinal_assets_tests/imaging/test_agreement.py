import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.agreement import (
    SurfaceDistances,
    bland_altman,
    dice,
    icc,
    iou,
    surface_distances,
)


def box(x0, x1, shape=(30, 20, 20)):
    mask = np.zeros(shape, bool)
    mask[x0:x1, 5:15, 5:15] = True
    return mask


def test_overlap_of_two_boxes():
    a, b = box(5, 15), box(10, 20)
    assert dice(a, b) == pytest.approx(0.5)
    assert iou(a, b) == pytest.approx(1 / 3)


def test_overlap_of_nothing_is_null():
    empty = np.zeros((3, 3, 3), bool)
    assert dice(empty, empty) is None
    assert iou(empty, empty) is None
    assert dice(empty, ~empty) == 0.0


def test_slabs_apart_have_their_distance():
    """Two one-voxel planes four voxels apart: every distance is 4 voxels of 1.5 mm."""
    a, b = np.zeros((20, 6, 6), bool), np.zeros((20, 6, 6), bool)
    a[5], b[9] = True, True
    found = surface_distances(a, b, (1.5, 0.7, 3.0))
    assert found.mean_mm == pytest.approx(6.0)
    assert found.p95_mm == pytest.approx(6.0)


def test_concentric_spheres_differ_by_their_radii():
    grid = np.indices((61, 61, 61)) - 30
    radius = np.sqrt((grid**2).sum(axis=0))
    found = surface_distances(radius <= 20, radius <= 25, (1.0, 1.0, 1.0))
    assert found.mean_mm == pytest.approx(5.0, abs=0.25)


def test_identical_masks_have_no_distance():
    found = surface_distances(box(5, 15), box(5, 15), (1.0, 1.0, 2.0))
    assert (found.mean_mm, found.p95_mm) == (0.0, 0.0)


def test_distance_to_nothing_is_null():
    assert surface_distances(box(5, 15), box(5, 5), (1.0, 1.0, 1.0)).mean_mm is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10), st.integers(1, 8), st.integers(0, 10), st.integers(1, 8))
def test_agreement_is_symmetric_and_iou_follows_dice(start_a, size_a, start_b, size_b):
    a, b = box(start_a, start_a + size_a), box(start_b, start_b + size_b)
    assert dice(a, b) == dice(b, a)
    assert iou(a, b) == pytest.approx(dice(a, b) / (2 - dice(a, b)))
    assert surface_distances(a, b, (1.0, 2.0, 3.0)).mean_mm == pytest.approx(
        surface_distances(b, a, (1.0, 2.0, 3.0)).mean_mm
    )


def test_shapes_that_differ_are_an_error():
    with pytest.raises(ParaspinalError, match="E-AGREE-01"):
        dice(np.ones((2, 2, 2)), np.ones((2, 2, 3)))


def test_bland_altman_by_hand():
    """Differences 2, 4, 6: bias 4, sd 2, limits 4 -/+ 1.959964 * 2."""
    found = bland_altman([12, 24, 36, np.nan], [10, 20, 30, 1])
    assert (found.n, found.bias, found.sd) == (3, 4.0, 2.0)
    assert (found.lower, found.upper) == pytest.approx((0.080072, 7.919928), rel=1e-6)


SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_icc_of_shrout_and_fleiss():
    """Psychol Bull 1979;86:420: ICC(2,1) is .29; R's psych::ICC gives .2898, 95 % CI .0188 to .7611."""
    found = icc(SHROUT_FLEISS)
    assert found.icc == pytest.approx(0.28976, abs=1e-5)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.01879, 0.76108), abs=1e-5)


def test_an_empty_mask_has_no_surface():
    full = np.ones((3, 3, 3), bool)
    for pair in ((full, ~full), (~full, full), (~full, ~full)):
        assert surface_distances(*pair, (1.0, 1.0, 1.0)) == SurfaceDistances(None, None)


def test_icc_of_identical_readings_is_one():
    found = icc([[1, 1], [2, 2], [3, 3], [5, 5]])
    assert (found.icc, found.ci_low, found.ci_high) == (1.0, 1.0, 1.0)


def test_icc_falls_with_a_constant_bias():
    """Absolute agreement: subjects with variance 2.5 and readers 1 apart give 2.5 / (2.5 + 0.5)."""
    found = icc([[i, i + 1] for i in range(1, 6)])
    assert found.icc == pytest.approx(2.5 / 3.0)


def test_too_few_readings_are_an_error():
    with pytest.raises(ParaspinalError, match="E-AGREE-02"):
        bland_altman([1.0, np.nan, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ParaspinalError, match="E-AGREE-03"):
        icc([[1, 1], [1, 1], [1, 1]])
