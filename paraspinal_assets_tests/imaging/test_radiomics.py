from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT
from paraspinal_assets.imaging.mesh import mesh_volume_mm3
from paraspinal_assets.imaging.radiomics import measure_radiomics
from paraspinal_assets.imaging.radiomics_names import FEATURES, MESH_VOLUME, VOXEL_VOLUME
from paraspinal_assets.imaging.texture_matrices import (
    DIRECTIONS,
    cooccurrence,
    dependences,
    present_levels,
    run_lengths,
    size_zones,
    tone_differences,
)

from .scenes import LEVELS, trunk


@pytest.fixture
def grey():
    return np.random.default_rng(5).integers(0, 4, (4, 5, 6)).astype(np.uint8)


def neighbours(grey, at):
    for direction in DIRECTIONS:
        for sign in (1, -1):
            there = tuple(np.array(at) + sign * np.array(direction))
            if all(0 <= n < size for n, size in zip(there, grey.shape, strict=True)) and grey[there]:
                yield there


def test_dependences_tones_and_pairs_against_a_walk_over_every_voxel(grey):
    levels = present_levels(grey)
    sizes, distance, pairs = np.zeros((4, 28)), np.zeros(4), 0
    for at in zip(*np.nonzero(grey), strict=True):
        near = [grey[n] for n in neighbours(grey, at)]
        sizes[grey[at], 1 + near.count(grey[at])] += 1
        distance[grey[at]] += abs(grey[at] - np.mean(near)) if near else 0
        pairs += len(near)
    counts, columns = dependences(grey, levels)
    np.testing.assert_array_equal(counts, sizes[1:, columns.astype(int)])
    voxels, distances = tone_differences(grey, levels)
    np.testing.assert_array_equal(voxels, np.bincount(grey.ravel())[1:])
    np.testing.assert_allclose(distances, distance[1:])
    assert len(list(cooccurrence(grey, levels))) == 13
    assert all(p.sum() == pytest.approx(1) and (p == p.T).all() for p in cooccurrence(grey, levels))


def test_runs_and_zones_cover_every_voxel_once(grey):
    levels = present_levels(grey)
    voxels = np.bincount(grey.ravel())[1:]
    for counts, lengths in run_lengths(grey, levels):
        np.testing.assert_array_equal(counts @ lengths, voxels)
    counts, sizes = size_zones(grey, levels)
    np.testing.assert_array_equal(counts @ sizes, voxels)


def test_a_single_line_has_one_direction_of_runs():
    line = np.array([1, 1, 2, 2, 2, 1], np.uint8).reshape(1, 1, 6)
    ((counts, lengths),) = run_lengths(line, present_levels(line))
    np.testing.assert_array_equal(lengths, [1, 2, 3])
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 0, 1]])


def test_mesh_volume_of_a_box_is_the_box_less_its_edges():
    nz, ny, nx = 3, 4, 5
    a, b, c = (
        nz - 1,
        ny - 1,
        nx - 1,
    )  # cubes between centres: inside 1, at a face 1/2, an edge 1/8, a corner 1/48
    expected = a * b * c + 2 * (a * b + b * c + a * c) / 2 + 4 * (a + b + c) / 8 + 8 / 48
    assert mesh_volume_mm3(np.ones((nz, ny, nx), bool), np.array([2.0, 1.0, 0.5])) == pytest.approx(expected)


def test_rows_columns_and_reasons():
    ct, labels = trunk()
    labels.data[:, :, 11:][labels.data[:, :, 11:] < 10] = 0
    labels.data[:, :, 10][labels.data[:, :, 10] < 10] = 0
    table = measure_radiomics(ct, labels, [*LEVELS, "T8"]).set_index("level")
    assert len(FEATURES) == 91
    assert list(table.columns) == [*FEATURES, VOXEL_VOLUME, MESH_VOLUME, "reason"]
    assert table.reason.fillna("").tolist() == ["no_muscle", "", "", "level_absent"]
    assert table.loc[["T2", "T3"], list(FEATURES)].notna().all().all()
    assert table.loc[["T1", "T8"]].drop(columns="reason").isna().all().all()
    labels.data[3, 3, 12] = AUTOCHTHON_LEFT
    assert measure_radiomics(ct, labels, ["T1"]).reason[0] == "too_few_voxels"


def test_a_flat_region_has_features():
    ct, labels = trunk()
    ct.data[:] = 40
    row = measure_radiomics(ct, labels, ["T2"]).iloc[0]
    assert row.original_firstorder_Entropy == pytest.approx(0, abs=1e-12)
    assert (row.original_glcm_Correlation, row.original_ngtdm_Coarseness) == (1, 1e6)
    assert np.isfinite(row[list(FEATURES)].to_numpy(float)).all()
