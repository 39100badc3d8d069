from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.imaging.labels import rest_label
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.segmenters.gates import check_intensities, check_size, memory_estimate, output_verdict
from paraspinal_assets.segmenters.grids import Grid, covered_fraction
from paraspinal_assets_tests.segmenters.conftest import THREE


def codes(labels: np.ndarray) -> set[str]:
    reason, findings = output_verdict(labels, THREE)
    found = {*findings, *([reason] if reason else [])}
    assert found <= set(REASONS)
    return found


def test_sound_segmentation_has_no_finding(spine):
    assert codes(spine) == set()


def test_nothing_no_vertebra_no_muscle_are_reasons(spine):
    assert codes(np.zeros_like(spine)) == {"empty_segmentation"}
    assert codes(np.where(spine <= 2, spine, 0)) == {"no_vertebrae"}
    assert codes(np.where(spine > 2, spine, 0)) == {"no_muscle"}


def test_one_side_or_one_level_missing_are_findings(spine):
    assert codes(np.where(spine == 1, 0, spine)) == {"no_muscle_side"}
    assert codes(np.where(np.isin(spine, [rest_label("T2") - 1, rest_label("T2")]), 0, spine)) == {
        "missing_level"
    }


def test_flipped_orientation_is_seen(spine):
    assert "sides_swapped" in codes(spine[::-1])
    assert "level_order" in codes(spine[:, :, ::-1])


def test_cut_field_of_view_is_seen(spine):
    assert codes(spine[:, :, :12]) == {"touches_fov_border"}
    assert codes(spine[4:]) == {"touches_fov_border"}


def chest(rng: np.random.Generator) -> np.ndarray:
    values = rng.choice([-1000, -850, -90, 40, 250], p=[0.35, 0.2, 0.15, 0.25, 0.05], size=(40, 40, 40))
    return (values + rng.normal(0, 15, values.shape)).astype(np.int16)


def test_intensities_of_a_chest_pass():
    check_intensities("s", Volume(chest(np.random.default_rng(0)), np.eye(4)))


def test_the_sample_is_of_the_whole_image_whatever_its_shape():
    """512 x 512 x 391 has as many voxels as 512 to the sample; of every 512th all lie in the column of air at x = 0."""
    hu = np.full((512, 512, 391), -1000, np.int16, order="F")
    hu[256:, :, :] = 40
    check_intensities("s", Volume(hu, np.eye(4)))


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: hu + 1024,
        lambda hu: hu - 1024,
        lambda hu: (np.clip(hu, -160, 240) + 160) * 255 // 400,
        lambda hu: np.abs(hu) * 3,
        lambda hu: np.full_like(hu, 40),
    ],
    ids=["shifted up", "shifted down", "windowed to 0-255", "magnitude", "water"],
)
def test_other_intensities_are_refused(change):
    hu = chest(np.random.default_rng(0)).astype(np.int32)
    with pytest.raises(SegmentationError, match="E-SEG-12"):
        check_intensities("s", Volume(change(hu), np.eye(4)))


def test_too_small_a_view_and_too_large_a_scan_are_refused_from_the_header():
    with pytest.raises(SegmentationError, match=r"E-SEG-14.*358x358x40 mm"):
        check_size("s", Grid((512, 512, 40), np.diag([0.7, 0.7, 1, 1])))
    monster = Grid((2048, 2048, 4000), np.diag([0.2, 0.2, 0.1, 1]))
    with pytest.raises(SegmentationError, match=r"E-SEG-15.*GB"):
        check_size("s", monster, limit_bytes=16 * 10**9)
    check_size("s", Grid((512, 512, 350), np.diag([0.7, 0.7, 1, 1])), limit_bytes=4 * 10**9)
    assert memory_estimate(monster) > 10**11
    # Measured for such a CT: 1.7 GB.
    assert 1.5e9 < memory_estimate(Grid((512, 512, 300), np.diag([0.8, 0.8, 1, 1]))) < 2e9


def test_covered_fraction_is_the_product_along_the_axes():
    """Boxes of 20, 20 and 90 mm, apart by half, a quarter and a third of these."""
    affine = np.diag([2.0, 1, 3, 1])
    moved = affine.copy()
    moved[:3, 3] = 10, -5, 30
    ct, labels = Grid((10, 20, 30), affine), Grid((10, 20, 30), moved)
    assert covered_fraction(ct, ct) == 1
    assert covered_fraction(labels, ct) == pytest.approx(1 / 2 * 3 / 4 * 2 / 3)
    moved[0, 3] = 20
    assert covered_fraction(labels, ct) == 0
