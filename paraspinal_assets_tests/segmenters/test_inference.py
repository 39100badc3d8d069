"""Each step against the function of TotalSegmentator that it follows."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from totalsegmentator.cropping import crop_to_mask
from totalsegmentator.map_to_binary import class_map
from totalsegmentator.resampling import change_spacing

from paraspinal_assets.segmenters.inference import box_around
from paraspinal_assets.segmenters.label_files import TOTAL_IDS
from paraspinal_assets.segmenters.resampling import resample_linear, resample_nearest, voxel_edges

EDGES = st.sampled_from([0.5, 0.683593988418579, 0.7421875, 0.9765625, 1.25, 1.5, 2.0, 3.0, 5.0])
SIZES = st.integers(9, 24)


def rotated(edges: tuple[float, float, float]) -> np.ndarray:
    """An affine with these edges, turned a little: a gantry or patient tilt leaves it orthonormal."""
    a = 0.07
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * edges
    return affine


@pytest.mark.parametrize("device", ["cpu", "torch"])
@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(SIZES, SIZES, st.integers(9, 90)),
    edges=st.tuples(EDGES, EDGES, EDGES),
    spacing=st.sampled_from([1.5, 3.0, 6.0]),
)
def test_linear_resampling_is_that_of_the_package(device, shape, edges, spacing):
    if device == "torch":  # the sums of a GPU, on one where there is one
        device = "cuda" if torch.cuda.is_available() else "cpu:0"
    data = np.random.default_rng(0).integers(-1024, 1500, shape).astype(np.int16)[:, ::-1]
    affine = rotated(edges)
    theirs = change_spacing(nib.Nifti1Image(data, affine), spacing, order=1, dtype=np.int32)
    ours = resample_linear(data, affine, spacing, device=device)
    np.testing.assert_array_equal(ours.data, np.asanyarray(theirs.dataobj))
    np.testing.assert_array_equal(ours.edges, np.array(theirs.header.get_zooms()))


@settings(max_examples=25, deadline=None)
@given(st.tuples(SIZES, SIZES, SIZES), st.tuples(SIZES, SIZES, SIZES))
def test_nearest_resampling_is_that_of_the_package(small, large):
    labels = np.random.default_rng(0).integers(0, 100, small).astype(np.uint8)
    theirs = change_spacing(nib.Nifti1Image(labels, np.eye(4)), 1.5, large, order=0, dtype=np.uint8)
    np.testing.assert_array_equal(resample_nearest(labels, large), np.asanyarray(theirs.dataobj))


@settings(max_examples=25, deadline=None)
@given(st.tuples(SIZES, SIZES, SIZES), st.tuples(EDGES, EDGES, EDGES), st.integers(0, 10**6))
def test_box_is_that_of_the_package(shape, edges, seed):
    rng = np.random.default_rng(seed)
    rough = rng.random((8, 8, 8)) > 0.98
    affine = rotated(edges)
    image = nib.Nifti1Image(np.zeros(shape, np.int16), affine)
    full = resample_nearest(rough, shape)
    box = box_around(rough, shape, 20.0, voxel_edges(affine))
    if not full.any():
        assert box is None
        return
    mask = nib.Nifti1Image(full.astype(np.uint8), affine)
    _, theirs = crop_to_mask(image, mask, addon=[20, 20, 20], dtype=np.int32)
    assert [[s.start, s.stop] for s in box] == theirs


def test_label_numbers_are_those_of_the_package():
    names = {name: number for number, name in class_map["total"].items()}
    assert {name: names[name] for name in TOTAL_IDS} == TOTAL_IDS


def test_argmax_is_the_first_of_equals():
    from paraspinal_assets.segmenters.package import _first_maximum

    scores = np.random.default_rng(0).integers(0, 4, (30, 6, 7, 8)).astype(np.float16)
    np.testing.assert_array_equal(_first_maximum(torch.from_numpy(scores)), scores.argmax(0))
