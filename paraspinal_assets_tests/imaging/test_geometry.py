"""The numbers do not depend on how a file lays out its axes, nor on where the patient lies."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from paraspinal_assets.imaging.geometry import Orientation, quaternion_of, voxel_volume_mm3
from paraspinal_assets.imaging.measure import measure_scan
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_volume, write_volume

from .scenes import LEVELS, save, stored_as, trunk

axis_orders = st.permutations(range(3)).map(tuple)
reversals = st.tuples(st.booleans(), st.booleans(), st.booleans())
spacings = st.tuples(*[st.floats(0.4, 6)] * 3)
tilts = st.tuples(*[st.floats(-20, 20)] * 3)


def rotation(degrees) -> np.ndarray:
    """Turns about x, y and z, small enough that each axis stays closest to its own direction."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        step = np.eye(3)
        step[a, a] = step[b, b] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    return turn


def tilted(volume: Volume, degrees) -> Volume:
    affine = volume.affine.copy()
    affine[:3, :3] = rotation(degrees) @ affine[:3, :3]
    return Volume(volume.data, affine)


def assert_same_tables(one, other) -> None:
    for name in ("slabs", "muscle", "bone", "radiomics"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), rtol=1e-5, atol=0)
        exact = [c for c in getattr(one, name) if "voxels" in c or "median" in c or "slice" in c]
        pd.testing.assert_frame_equal(getattr(one, name)[exact], getattr(other, name)[exact])


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(order=axis_orders, back=reversals, spacing=spacings, degrees=tilts, seed=st.integers(0, 99))
def test_measures_are_invariant_to_storage(order, back, spacing, degrees, seed):
    ct, labels = (tilted(v, degrees) for v in trunk(spacing, seed=seed))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_volume(folder / "ct.nii.gz", ct)
        save(folder / "other.nii.gz", *stored_as(ct, order, back))
        options = {"radiomics": True, "deformity": False}
        canonical = measure_scan(folder / "ct.nii.gz", labels, LEVELS, **options)
        other = measure_scan(folder / "other.nii.gz", labels, LEVELS, **options)
        save(folder / "labels.nii.gz", *stored_as(labels, order[::-1], back[::-1]))
        both = measure_scan(folder / "other.nii.gz", folder / "labels.nii.gz", LEVELS, **options)
    assert_same_tables(canonical, other)
    assert_same_tables(canonical, both)


@settings(max_examples=40, deadline=None)
@given(order=axis_orders, back=reversals, spacing=spacings, degrees=tilts)
def test_reading_agrees_with_nibabel(order, back, spacing, degrees):
    ct = tilted(trunk(spacing)[0], degrees)
    with tempfile.TemporaryDirectory() as name:
        path = save(Path(name) / "a.nii.gz", *stored_as(ct, order, back))
        ours, theirs = read_volume(path), nib.as_closest_canonical(nib.load(path))
        assert_array_equal(ours.data, np.asarray(theirs.dataobj))
        assert_allclose(ours.affine, theirs.affine, atol=1e-12)
    assert_array_equal(ours.data, ct.data)


@settings(max_examples=60, deadline=None)
@given(order=axis_orders, back=reversals, spacing=spacings, degrees=tilts)
def test_written_qform_is_the_affine(order, back, spacing, degrees):
    volume = tilted(trunk(spacing)[0], degrees)
    data, affine = stored_as(volume, order, back)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.nii"
        write_volume(path, Volume(data, affine))
        assert_allclose(nib.load(path).get_qform(), affine, atol=1e-3)
        assert_array_equal(read_volume(path).data, volume.data)


def test_quaternion_of_half_turns():
    for flips in ([1, -1, -1], [-1, 1, -1], [-1, -1, 1], [-1, 1, 1], [1, 1, 1]):
        edges, handedness, parts = quaternion_of(np.diag([*flips, 1.0]))
        assert edges == (1, 1, 1)
        assert handedness == np.prod(flips)
        assert np.linalg.norm(parts) == pytest.approx(0 if flips == [1, 1, 1] else 1)


def test_voxel_volume_is_the_exact_product_on_upright_grids():
    edge = float(np.float32(3.2))
    assert voxel_volume_mm3(np.diag([-edge, edge, 5.0, 1.0])) == edge * edge * 5.0


def test_left_and_right_follow_the_world_not_the_file(tmp_path):
    ct, labels = trunk()
    mirrored = Volume(labels.data[::-1], labels.affine)  # the same patient lying the other way round
    write_volume(tmp_path / "ct.nii.gz", Volume(ct.data[::-1], ct.affine))
    table = measure_scan(tmp_path / "ct.nii.gz", mirrored, LEVELS, deformity=False).muscle
    left = table[table.side == "left"].voxels.dropna()
    assert (left > table[table.side == "right"].voxels.dropna().to_numpy()).all()


def test_closest_orientation_of_a_sagittal_series():
    affine = np.array([[0, 0, -2.0, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    assert Orientation.closest(affine) == Orientation((2, 0, 1), (True, False, True))
