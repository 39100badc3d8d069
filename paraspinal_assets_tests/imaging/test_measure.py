from __future__ import annotations

import pandas as pd
import pytest

from paraspinal_assets.imaging.bone import measure_bone
from paraspinal_assets.imaging.levels import level_slabs, slabs_table
from paraspinal_assets.imaging.measure import measure_scan
from paraspinal_assets.imaging.muscle import measure_muscle
from paraspinal_assets.imaging.radiomics import measure_radiomics
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import write_volume

from .scenes import LEVELS, trunk


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_one_pass_gives_what_each_function_gives(tmp_path, suffix):
    ct, labels = trunk()
    paths = [tmp_path / f"{name}{suffix}" for name in ("ct", "labels")]
    for path, volume in zip(paths, (ct, labels), strict=True):
        write_volume(path, volume)
    scan = measure_scan(*paths, LEVELS, radiomics=True)
    expected = {
        "slabs": slabs_table(level_slabs(labels, LEVELS)),
        "muscle": measure_muscle(ct, labels, LEVELS),
        "bone": measure_bone(ct, labels, LEVELS),
        "radiomics": measure_radiomics(ct, labels, LEVELS),
    }
    for name, table in expected.items():
        pd.testing.assert_frame_equal(getattr(scan, name), table)
    assert scan.deformity.level.tolist() == list(LEVELS)
    assert measure_scan(*paths, LEVELS, deformity=False).deformity is None


def test_an_empty_segmentation_gives_full_tables_of_reasons(tmp_path):
    ct, labels = trunk()
    write_volume(tmp_path / "ct.nii.gz", ct)
    empty = Volume(labels.data * 0, labels.affine)
    scan = measure_scan(tmp_path / "ct.nii.gz", empty, LEVELS, radiomics=True)
    assert set(scan.muscle.reason) == {"level_absent", "no_vertebrae"}
    assert set(scan.bone.reason) == set(scan.radiomics.reason) == {"level_absent"}
    assert scan.slabs.empty
    assert scan.deformity.reason.notna().all()
