import numpy as np
import pytest

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.masks import class_masks, perturb
from paraspinal_assets.phantom.parameters import MEASURED_LEVELS, PhantomParameters


@pytest.fixture(scope="module")
def labels():
    return make_phantom(PhantomParameters(), np.random.default_rng(0)).labels.data


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_perturbed_labels_are_close_but_not_equal(labels):
    changed = perturb(labels, np.random.default_rng(1))
    for value in (AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label("T5"), rest_label("T5")):
        assert 0.9 < dice(labels == value, changed == value) < 0.999


def test_no_slice_gains_a_level(labels):
    changed = perturb(labels, np.random.default_rng(1))
    for level in MEASURED_LEVELS:
        before = np.isin(labels, [body_label(level), rest_label(level)]).any(axis=(0, 1))
        after = np.isin(changed, [body_label(level), rest_label(level)]).any(axis=(0, 1))
        assert not (after & ~before).any()


def test_bodies_keep_their_height_in_every_column(labels):
    changed = perturb(labels, np.random.default_rng(1))
    height = (changed == body_label("T5")).sum(axis=2)
    assert set(np.unique(height)) == {0, (labels == body_label("T5")).sum(axis=2).max()}


def test_masks_carry_the_names_of_totalsegmentator(labels):
    masks = class_masks(labels)
    assert set(masks) == {
        "autochthon_left", "autochthon_right", "vertebrae_body", *(f"vertebrae_{x}" for x in MEASURED_LEVELS),
    }  # fmt: skip
    assert (masks["vertebrae_T3"] & masks["vertebrae_body"]).sum() == (labels == body_label("T3")).sum()
    assert all(mask.dtype == np.uint8 and mask.max() == 1 for mask in masks.values())


def test_levels_can_be_misnamed(labels):
    masks = class_masks(labels, ("T2",), {"T2": "T1"})
    assert "vertebrae_T1" in masks
    assert "vertebrae_T2" not in masks
