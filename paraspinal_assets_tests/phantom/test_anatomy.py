import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import (
    MEASURED_LEVELS,
    Deformity,
    PhantomParameters,
    draw_parameters,
    tiny_parameters,
)


@pytest.fixture(scope="module")
def tiny():
    return make_phantom(tiny_parameters(), np.random.default_rng(1))


def test_a_phantom_is_its_parameters_and_its_generator(tiny):
    again = make_phantom(tiny_parameters(), np.random.default_rng(1))
    assert np.array_equal(tiny.ct.data, again.ct.data)
    assert np.array_equal(tiny.labels.data, again.labels.data)
    assert tiny.truth == again.truth


def test_volumes_are_int16_hu_and_uint8_labels_on_one_grid(tiny):
    assert tiny.ct.data.dtype == np.int16
    assert tiny.labels.data.dtype == np.uint8
    assert tiny.ct.data.shape == tiny.labels.data.shape == (48, 48, 60)
    assert np.array_equal(tiny.ct.affine, tiny.labels.affine)


def test_levels_follow_each_other_and_overlap_where_the_spinous_process_hangs(tiny):
    assert tuple(entry.level for entry in tiny.truth.levels) == MEASURED_LEVELS
    adult = make_phantom(PhantomParameters(), np.random.default_rng(0)).truth.levels
    for upper, lower in itertools.pairwise(adult):
        assert lower.stop_slice < upper.stop_slice
        assert upper.first_slice < lower.stop_slice


def test_left_muscle_lies_left_of_the_spine(tiny):
    x = {side: np.nonzero(tiny.labels.data == side)[0].mean() for side in (AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT)}
    assert x[AUTOCHTHON_LEFT] < x[AUTOCHTHON_RIGHT]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), hu=st.floats(-25, 60), bone=st.floats(80, 420))
def test_attenuations_are_the_ones_asked_for(seed, hu, bone):
    parameters = tiny_parameters(muscle_hu=hu, trabecular_hu=bone)
    truth = make_phantom(parameters, np.random.default_rng(seed)).truth
    assert truth.union.median_hu == pytest.approx(hu, abs=1)
    assert truth.trabecular_hu == pytest.approx(bone, abs=1)


def test_truth_counts_the_labels(tiny):
    labels = tiny.labels.data
    entry = tiny.truth.level("T5")
    present = np.flatnonzero(np.isin(labels, [body_label("T5"), rest_label("T5")]).any(axis=(0, 1)))
    assert (entry.first_slice, entry.stop_slice) == (present[0], present[-1] + 1)
    slab = labels[:, :, entry.first_slice : entry.stop_slice]
    assert entry.muscle.left_volume_mm3 == pytest.approx(80 * (slab == AUTOCHTHON_LEFT).sum())
    assert entry.muscle.right_volume_mm3 == pytest.approx(80 * (slab == AUTOCHTHON_RIGHT).sum())


def test_the_ct_differs_from_the_truth_by_its_noise_alone():
    quiet = make_phantom(tiny_parameters(noise_hu=0.0), np.random.default_rng(3))
    noisy = make_phantom(tiny_parameters(noise_hu=20.0), np.random.default_rng(3))
    muscle = quiet.labels.data == AUTOCHTHON_LEFT
    difference = (noisy.ct.data - quiet.ct.data)[muscle].astype(float)
    assert difference.std() == pytest.approx(20, rel=0.1)
    both = (quiet.labels.data == AUTOCHTHON_LEFT) | (quiet.labels.data == AUTOCHTHON_RIGHT)
    first = min(entry.first_slice for entry in quiet.truth.levels)
    last = max(entry.stop_slice for entry in quiet.truth.levels)
    both[:, :, :first] = both[:, :, last:] = False
    assert np.median(quiet.ct.data[both]) == quiet.truth.union.median_hu


@pytest.mark.parametrize("seed", range(6))
def test_random_adults_fit_the_field_of_view(seed):
    rng = np.random.default_rng(seed)
    truth = make_phantom(draw_parameters(rng, deformities={}), rng).truth
    assert len(truth.levels) == 10
    assert not any(entry.touches_border for entry in truth.levels)
    for entry in truth.levels:
        assert entry.anterior_mm == entry.middle_mm == entry.posterior_mm


@pytest.mark.parametrize("seed", range(6))
def test_nothing_reaches_through_the_skin(seed):
    rng = np.random.default_rng(seed)
    parameters = draw_parameters(rng, noise_hu=0.0)
    phantom = make_phantom(parameters, rng)
    outside = np.roll(phantom.ct.data, 1, axis=1)[phantom.labels.data > 0] == -1000
    assert not outside.any()


@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [("wedge", "anterior_mm", "posterior_mm"), ("biconcave", "middle_mm", "posterior_mm")],
)
def test_a_deformity_takes_height_where_it_should(shape, low, high):
    parameters = PhantomParameters(deformities={"T8": Deformity(shape, 0.5)})
    entry = make_phantom(parameters, np.random.default_rng(0)).truth.level("T8")
    assert entry.deformity == shape
    assert getattr(entry, low) < 0.75 * getattr(entry, high)


def test_a_field_of_view_beside_the_spine_has_no_truth():
    parameters = PhantomParameters(shape=(8, 8, 8), centre=(150.0, 150.0))
    phantom = make_phantom(parameters, np.random.default_rng(0))
    assert not phantom.labels.data.any()
    assert phantom.truth.levels == ()
    assert phantom.truth.union.median_hu is None


def test_t1_above_the_field_of_view_touches_its_border():
    truth = make_phantom(tiny_parameters(top=-8.0), np.random.default_rng(0)).truth
    assert truth.level("T1").touches_border


@pytest.mark.parametrize(
    "wrong",
    [{"shape": (0, 4, 4)}, {"spacing": (3, 3, 0)}, {"deformities": {"T20": Deformity("wedge", 0.3)}}],
)
def test_parameters_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(ParaspinalError, match="cannot be drawn"):
        PhantomParameters(**wrong)
