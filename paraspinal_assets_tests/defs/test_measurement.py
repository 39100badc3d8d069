from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets.study.scan import Scan
from paraspinal_assets_tests.defs.conftest import BuiltStudy


@pytest.mark.parametrize("slab", ["vertebra", "body"])
def test_muscle_and_its_texture_are_of_the_same_slab(new_study: Callable[[], BuiltStudy], slab: str) -> None:
    study = new_study()
    study.edit(
        "study.yaml", 'segmentation_pattern: "{participant}.nii.gz"', 'segmentation_pattern: "{participant}"'
    )
    write_class_files(study.root / "masks" / "exam5" / "1001")
    study.edit("study.yaml", "measurement: {radiomics: false}", f"measurement: {{slab: {slab}}}")
    chain = frozenset({"ct_nifti", "segmentation", "paraspinal_levels", "scan_muscle", "scan_radiomics"})
    study.run(assets=chain, exams=frozenset({"exam5"}), participants=frozenset({"1001"}))
    scan = Scan("exam5", "1001")
    muscle, texture = (
        pd.read_parquet(study.workspace.store.fetch(scan, name)) for name in ("muscle", "radiomics")
    )
    both = muscle[(muscle["side"] == "both") & (muscle["level"] != "union")].set_index("level")
    volume = texture.set_index("level")["original_shape_VoxelVolume"]
    assert volume.to_dict() == pytest.approx(both["volume_mm3"].to_dict())
    assert (both["volume_mm3"] > 0).all()


def write_class_files(folder: Path) -> None:
    """The masks of `write_scan`'s phantom, a file each, with the bodies of all vertebrae in one."""
    phantom = make_phantom(tiny_parameters(muscle_hu=20.0, muscle_width=12.0), np.random.default_rng(1))
    labels = phantom.labels.data
    masks = {"vertebrae_body": (labels >= 10) & (labels % 2 == 0)}
    masks |= {f"autochthon_{side}": labels == value for side, value in (("left", 1), ("right", 2))}
    masks |= {
        f"vertebrae_{level}": np.isin(labels, (body_label(level), rest_label(level)))
        for level in (f"T{number}" for number in range(1, 11))
    }
    folder.mkdir()
    for name, mask in masks.items():
        write_volume(folder / f"{name}.nii.gz", Volume(mask.astype(np.uint8), phantom.ct.affine))
