import numpy as np
import pytest

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.quality import assess
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets_tests.imaging.blocks import LEVELS, block_spine


def reasons(ct, labels, levels=LEVELS):
    verdict = assess(ct, labels, levels)
    assert set(verdict.reasons) <= set(REASONS)
    return verdict.reasons


def relabelled(labels, **moves):
    """Labels with each level renamed, or removed where the new name is None."""
    data = labels.data.copy()
    for old, new in moves.items():
        for label in (body_label, rest_label):
            data[labels.data == label(old)] = label(new) if new else 0
    return Volume(data, labels.affine)


def test_a_good_scan_is_accepted():
    verdict = assess(*block_spine(), LEVELS)
    assert verdict.accepted
    assert verdict.measures["min_spacing_mm"] == pytest.approx(24.0)
    assert verdict.measures["muscle_median_hu"] == 45
    assert verdict.measures["asymmetry"] == 0


def test_nothing_segmented():
    ct, labels = block_spine()
    assert reasons(ct, Volume(np.zeros_like(labels.data), labels.affine)) == ("empty_segmentation",)
    only_muscle = np.where(labels.data <= 2, labels.data, 0)
    assert reasons(ct, Volume(only_muscle, labels.affine)) == ("no_vertebrae",)


def test_vertebrae_without_muscle():
    ct, labels = block_spine()
    verdict = assess(ct, Volume(np.where(labels.data <= 2, 0, labels.data), labels.affine), LEVELS)
    assert verdict.reasons == ("no_muscle",)
    assert verdict.measures["wrong_side_fraction"] is None
    assert verdict.measures["asymmetry"] is None


def test_missing_level_is_named_and_leaves_spacing_alone():
    ct, labels = block_spine()
    assert reasons(ct, relabelled(labels, T5=None)) == ("missing_level",)


def test_two_levels_exchanged():
    ct, labels = block_spine()
    assert "level_order" in reasons(ct, relabelled(labels, T5="T6", T6="T5"))


def test_a_skipped_vertebra_leaves_a_gap():
    ct, labels = block_spine()
    gap = relabelled(labels, T6=None, T7="T6", T8="T7", T9="T8", T10="T9")
    assert "level_spacing" in reasons(ct, gap)


@pytest.mark.parametrize(("slices", "voxels"), [(30, 1), (30, 40), (2, 40)])
def test_voxels_of_a_vertebra_far_below_it_lengthen_its_slab(slices, voxels):
    ct, labels = block_spine()
    data = labels.data.copy()
    level = np.argwhere(data == body_label("T5"))
    x, y, _ = level[0]
    data[x : x + voxels // 4 + 1, y : y + 4, level[:, 2].min() - slices] = body_label("T5")
    verdict = assess(ct, Volume(data, labels.affine), LEVELS)
    far = slices * labels.spacing[2] > 10
    assert verdict.reasons == (("vertebra_gap",) if far else ())
    assert verdict.measures["stray_mm"] == pytest.approx(slices * labels.spacing[2])


def test_a_vertebra_whose_arch_is_cut_off_is_whole():
    ct, labels = block_spine()
    arch = labels.data == rest_label("T5")
    lower = np.roll(arch, -5, axis=2)  # below its body, one slice away from it
    data = np.where(arch, 0, labels.data)
    data[lower] = rest_label("T5")
    verdict = assess(ct, Volume(data, labels.affine), LEVELS)
    assert verdict.accepted
    assert verdict.measures["stray_mm"] == pytest.approx(3.0)


def test_all_names_shifted_by_three_levels():
    ct, labels = block_spine()
    lower = [f"T{i}" for i in range(4, 11)]
    shifted = relabelled(labels, T1=None, T2=None, T3=None, **{f"T{i}": f"T{i - 3}" for i in range(4, 11)})
    assert "level_shift" in reasons(ct, shifted, [f"T{i}" for i in range(1, 8)])
    assert assess(ct, labels, lower).measures["lung_apex_level"] == pytest.approx(
        assess(ct, labels, LEVELS).measures["lung_apex_level"], abs=0.01
    )


def test_sides_swapped_in_labels_and_by_the_affine():
    ct, labels = block_spine()
    data = labels.data.copy()
    data[labels.data == AUTOCHTHON_LEFT] = AUTOCHTHON_RIGHT
    data[labels.data == AUTOCHTHON_RIGHT] = AUTOCHTHON_LEFT
    verdict = assess(ct, Volume(data, labels.affine), LEVELS)
    assert (verdict.reasons, verdict.measures["wrong_side_fraction"]) == (("sides_swapped",), 1)
    mirrored = labels.affine.copy()
    mirrored[0, 0] *= -1
    assert reasons(Volume(ct.data, mirrored), Volume(labels.data, mirrored)) == ("sides_swapped",)


def test_muscle_cut_by_the_image_edge():
    ct, labels = block_spine()
    cut = slice(0, None), slice(17, None), slice(0, None)
    assert reasons(Volume(ct.data[cut], ct.affine), Volume(labels.data[cut], labels.affine)) == (
        "touches_fov_border",
    )


def test_a_crop_is_not_an_edge():
    ct, labels = block_spine()
    cut = slice(0, None), slice(17, None), slice(0, None)
    place = {"offset": (0, 17, 0), "full_shape": labels.data.shape}
    affine = labels.affine.copy()
    affine[1, 3] += 17 * 2.0
    assert not reasons(Volume(ct.data[cut], affine, **place), Volume(labels.data[cut], affine, **place))


def test_muscle_cut_by_a_circular_field_of_view():
    ct, labels = block_spine()
    data = ct.data.copy()
    data[:, :17] = -3024
    assert "touches_fov_border" in reasons(Volume(data, ct.affine), labels)


def test_one_side_half_gone():
    ct, labels = block_spine()
    data = labels.data.copy()
    data[:, 22:][data[:, 22:] == AUTOCHTHON_LEFT] = 0
    assert reasons(ct, Volume(data, labels.affine)) == ("asymmetry",)


def test_one_side_absent():
    ct, labels = block_spine()
    data = np.where(labels.data == AUTOCHTHON_LEFT, 0, labels.data)
    assert reasons(ct, Volume(data, labels.affine)) == ("no_muscle_side",)


def test_metal_beside_the_spine():
    ct, labels = block_spine()
    data = ct.data.copy()
    data[38:42, 30:34, 50:54] = 3071
    assert reasons(Volume(data, ct.affine), labels) == ("metal",)


def test_enhanced_aorta():
    ct, labels = block_spine()
    data = ct.data.copy()
    data[32:40, 52:64, 5:95] = 320
    assert reasons(Volume(data, ct.affine), labels) == ("contrast",)


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: hu + 1024,
        lambda hu: np.clip((hu + 150) * 255 / 400, 0, 255),
        lambda hu: np.full_like(hu, 30),
    ],
)
def test_intensities_that_are_no_hounsfield_units(change):
    ct, labels = block_spine()
    assert "not_ct_intensities" in reasons(Volume(change(ct.data).astype(np.int16), ct.affine), labels)
