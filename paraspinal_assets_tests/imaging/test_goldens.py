"""The published scripts' numbers: voxels, volumes, medians and slabs exactly, 91 radiomics features to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.imaging.bone import measure_bone
from paraspinal_assets.imaging.labels import rest_label
from paraspinal_assets.imaging.levels import level_slabs
from paraspinal_assets.imaging.muscle import measure_muscle
from paraspinal_assets.imaging.radiomics import measure_radiomics
from paraspinal_assets.imaging.radiomics_names import FEATURES, MESH_VOLUME, VOXEL_VOLUME
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_volume

from .goldens import CASES, DATA, load_case

DICOM_SPACING = 1e-14
"""Spacing from the positions of DICOM slices differs in the last digit from that of the reference's NIfTI."""


def rules(case: str) -> tuple[str, str]:
    """Our slab rule, and the one that repeats the published scripts' fault with gaps."""
    return ("body", "body") if case.endswith("trab") else ("vertebra", "original")


def exact(case: str) -> float:
    return DICOM_SPACING if case == "real_dicom_full" else 0


def level_labels(case: str, labels: Volume, level: str) -> Volume:
    """Labels that hold this level; in `edge_gaps` the vertebrae overlap, so that only one fits at a time."""
    if not case.startswith("edge"):
        return labels
    data = np.where(labels.data < 10, labels.data, 0).astype(np.uint8)
    data[read_volume(DATA / "edge_gaps" / "seg" / f"{level}.nii.gz").data != 0] = rest_label(level)
    return Volume(data, labels.affine)


@pytest.mark.parametrize("case", CASES)
def test_slabs(case):
    ct, labels, numbers = load_case(case)
    for level, reference in numbers["levels"].items():
        there = level_labels(case, labels, level)
        ours, theirs = (level_slabs(there, [level], rule=rule)[level] for rule in rules(case))
        assert [theirs.start, theirs.stop - 1] == reference["slab_z"]
        assert [ours.start, ours.stop - 1] == reference["vertebra_z_first_last"]
        if rules(case)[0] == "vertebra":
            assert ours.gap == bool(reference["vertebra_gap_slices"])
        assert ours.gap or ours == theirs
    assert ct.data.shape == labels.data.shape


@pytest.mark.parametrize("case", CASES)
def test_muscle(case):
    ct, labels, numbers = load_case(case)
    for level, reference in numbers["levels"].items():
        there = level_labels(case, labels, level)
        row = (
            measure_muscle(ct, there, [level], slab=rules(case)[1])
            .set_index(["level", "side"])
            .loc[level, "both"]
        )
        assert (row.voxels, row.median_hu) == (reference["voxels"], reference["median_hu"])
        assert row.volume_mm3 == pytest.approx(reference["volume_mm3"], rel=exact(case), abs=0)
        assert row.mean_hu == pytest.approx(reference["mean_hu"], rel=1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if not c.startswith("edge")])
def test_union(case):
    ct, labels, numbers = load_case(case)
    table = measure_muscle(ct, labels, list(numbers["levels"]), slab=rules(case)[1])
    row, reference = table.set_index(["level", "side"]).loc["union", "both"], numbers["union_T1_T10"]
    assert (row.voxels, row.median_hu) == (reference["voxels"], reference["median_hu"])
    assert row.volume_mm3 == pytest.approx(reference["volume_mm3"], rel=exact(case), abs=0)
    total = table[(table.level != "union") & (table.side == "both")].voxels.sum()
    assert total - row.voxels == reference["sum_of_level_voxels"] - reference["voxels"]


def test_trabecular_bone():
    ct, labels, numbers = load_case("synth_small_full")
    table = measure_bone(ct, labels, list(numbers["levels"])).set_index("level")
    for level, reference in numbers["trabecular_1_700"].items():
        row = table.loc[level]
        assert (row.voxels, row.region) == (reference["voxels"], "body")
        assert row.trabecular_median_hu == reference["median_hu"]
        assert row.trabecular_mean_hu == pytest.approx(reference["mean_hu"], rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_radiomics(case):
    ct, labels, numbers = load_case(case)
    assert list(FEATURES) == numbers["columns"]
    for level, reference in numbers["levels"].items():
        there = level_labels(case, labels, level)
        row = measure_radiomics(ct, there, [level], slab=rules(case)[1]).iloc[0]
        assert {name: row[name] for name in FEATURES} == pytest.approx(reference["features"], rel=1e-9, abs=0)
        shape = reference["shape3D_extra"]
        assert row[VOXEL_VOLUME] == pytest.approx(shape[VOXEL_VOLUME], rel=exact(case), abs=0)
        assert row[MESH_VOLUME] == pytest.approx(shape[MESH_VOLUME], rel=1e-9)
