"""Manual masks of a reader: compared with the segmentation where they are there, and again when one changes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import write_reader_masks

pytestmark = pytest.mark.slow


def test_masks_are_compared_and_a_changed_one_again(built: BuiltStudy) -> None:
    write_reader_masks(built.root, "exam5", "1001")
    built.edit("study.yaml", "decisions: review.csv", "decisions: review.csv, masks: readers")
    assert built.run().materialized.keys() >= {"reader_agreement", "study_report"}
    table = built.workspace.database.read("reader_agreement")
    assert set(zip(table["exam"], table["participant"], strict=True)) == {("exam5", "1001")}
    assert set(table["structure"]) >= {"muscle_left", "muscle_T5", "vertebra_T5"}
    assert (table["dice"] == 1).all()
    assert built.run().materialized == {}

    left, right = half_is_gone(built.root / "readers" / "exam5" / "1001" / "autochthon_left.nii.gz")
    again = built.run().materialized
    assert "reader_agreement" in again
    assert "segmentation" not in again
    row = built.workspace.database.read("reader_agreement").set_index("structure").loc["muscle_left"]
    assert row["dice"] == pytest.approx(2 * left / (left + right), abs=1e-12)


def test_masks_that_cannot_be_compared_are_named(built: BuiltStudy) -> None:
    folder = write_reader_masks(built.root, "exam5", "1001")
    write_reader_masks(built.root, "exam6", "1002")
    (folder / "autochthon_left.nii.gz").write_bytes(b"not a mask")
    (built.root / "masks" / "exam6" / "1002.nii.gz").write_bytes(b"no segmentation")
    for mask in write_reader_masks(built.root, "exam5", "1003").iterdir():
        image = nib.load(mask)
        nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), mask)
    built.edit("study.yaml", "decisions: review.csv", "decisions: review.csv, masks: readers")
    built.run()
    assert built.workspace.database.read("reader_agreement").empty
    problems = built.workspace.database.read("reader_agreement_problems")
    assert [tuple(row) for row in problems[["exam", "participant", "code"]].to_numpy()] == [
        ("exam5", "1001", "E-VOL-02"),
        ("exam5", "1003", "empty_segmentation"),
        ("exam6", "1002", "E-VOL-02"),
    ]
    page = (built.root / "report" / "report.html").read_text()
    assert "Scans with manual masks that could not be compared" in page


def half_is_gone(path: Path) -> tuple[int, int]:
    """Take every second voxel from a mask; the numbers that are left and that there were."""
    image = nib.load(path)
    mask = np.asarray(image.dataobj)
    fewer = mask.copy()
    fewer.flat[np.flatnonzero(mask)[::2]] = 0
    nib.save(nib.Nifti1Image(fewer, image.affine), path)
    return int(fewer.sum()), int(mask.sum())
