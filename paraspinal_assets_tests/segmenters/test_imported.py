from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.segmenters.base import ScanInput, Segmentation, SegmentationFailure
from paraspinal_assets.segmenters.imported import ImportedSegmenter
from paraspinal_assets.segmenters.label_files import TOTAL_IDS
from paraspinal_assets_tests.segmenters.conftest import AFFINE, ROOT, THREE, put_ct

REAL = ROOT.parent / "shared" / "real" / "totalsegmentator"


def masks_of(spine: np.ndarray) -> dict[str, np.ndarray]:
    masks = {"autochthon_left": spine == 1, "autochthon_right": spine == 2}
    for level in THREE:
        masks[f"vertebrae_{level}"] = (spine == body_label(level)) | (spine == rest_label(level))
    masks["vertebrae_body"] = np.isin(spine, [body_label(level) for level in THREE])
    return masks


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nib.save(nib.Nifti1Image(data.astype(np.uint8) if data.dtype == bool else data, affine), path)


def save_folder(folder: Path, masks: dict[str, np.ndarray], affine: np.ndarray = AFFINE) -> Path:
    folder.mkdir()
    for name, mask in masks.items():
        save(folder / f"{name}.nii.gz", mask, affine)
    return folder


def total_numbers(spine: np.ndarray) -> np.ndarray:
    multi = np.zeros(spine.shape, np.uint8)
    for name, mask in masks_of(spine).items():
        if name != "vertebrae_body":
            multi[mask] = TOTAL_IDS[name]
    return multi


def run(ct: Path, source: Path | None, **options: object) -> Segmentation | SegmentationFailure:
    segmenter = ImportedSegmenter(THREE, **options)  # type: ignore[arg-type]
    return next(segmenter.segment([ScanInput("exam5-0001", ct, source)]))


def error_of(item: Segmentation | SegmentationFailure) -> str:
    assert isinstance(item, SegmentationFailure)
    return str(item.error)


def test_class_files_give_the_label_volume(tmp_path, spine):
    item = run(put_ct(tmp_path, spine.shape), save_folder(tmp_path / "s", masks_of(spine)))
    np.testing.assert_array_equal(item.labels.data, spine)
    assert item.reason is None
    assert item.model["overlapping_voxels"] == 0


def test_without_bodies_the_vertebra_is_one_piece(tmp_path, spine):
    masks = masks_of(spine)
    del masks["vertebrae_body"]
    item = run(put_ct(tmp_path, spine.shape), save_folder(tmp_path / "s", masks))
    assert set(np.unique(item.labels.data)) == {0, 1, 2, *(rest_label(level) for level in THREE)}
    assert item.model["bodies"] is False


def test_muscle_keeps_the_voxel_where_masks_overlap(tmp_path, spine):
    masks = masks_of(spine)
    masks["vertebrae_T2"] = masks["vertebrae_T2"] | (np.indices(spine.shape)[2] == 8) & (spine == 1)
    stolen = int((masks["vertebrae_T2"] & (spine == 1)).sum())
    item = run(put_ct(tmp_path, spine.shape), save_folder(tmp_path / "s", masks))
    np.testing.assert_array_equal(item.labels.data == 1, spine == 1)
    assert item.model["overlapping_voxels"] == stolen > 0


def test_a_vertebra_inside_another_keeps_its_slices(tmp_path, spine):
    masks = masks_of(spine)
    masks["vertebrae_T1"] = masks["vertebrae_T1"] | masks["vertebrae_T2"]
    folder = save_folder(tmp_path / "s", {name.removeprefix("vertebrae_"): m for name, m in masks.items()})
    item = run(put_ct(tmp_path, spine.shape), folder)
    for level in THREE:
        mask = masks[f"vertebrae_{level}"]
        kept = np.isin(item.labels.data, [body_label(level), rest_label(level)])
        np.testing.assert_array_equal(kept.any(axis=(0, 1)), mask.any(axis=(0, 1)))
    assert item.model["overlapping_voxels"] == masks_of(spine)["vertebrae_T2"].sum()


def test_total_numbers_without_a_label_table(tmp_path, spine):
    path = tmp_path / "seg.nii.gz"
    save(path, total_numbers(spine))
    item = run(put_ct(tmp_path, spine.shape), path)
    assert "numbers of task total" in item.model["labels_from"]
    np.testing.assert_array_equal(item.labels.data > 0, spine > 0)


def test_label_table_of_the_header_wins_over_the_numbers(tmp_path, spine):
    from totalsegmentator.nifti_ext_header import add_label_map_to_nifti

    names = {
        10: "autochthon_right",
        20: "autochthon_left",
        1: "vertebrae_T1",
        2: "vertebrae_T2",
        3: "vertebrae_T3",
    }
    multi = np.zeros(spine.shape, np.uint8)
    for value, name in names.items():
        multi[masks_of(spine)[name]] = value
    path = tmp_path / "seg.nii.gz"
    nib.save(add_label_map_to_nifti(nib.Nifti1Image(multi, AFFINE), names), path)
    item = run(put_ct(tmp_path, spine.shape), path)
    assert item.model["labels_from"] == "label table of the file"
    np.testing.assert_array_equal(item.labels.data == 1, spine == 1)
    np.testing.assert_array_equal(item.labels.data == rest_label("T3"), masks_of(spine)["vertebrae_T3"])


def test_mapping_of_the_study_file_and_a_file_of_bodies(tmp_path, spine):
    folder = tmp_path / "s"
    folder.mkdir()
    names = ["autochthon_left", "autochthon_right", *(f"vertebrae_{level}" for level in THREE)]
    mapping = {name: 300 + index for index, name in enumerate(names)}
    multi = np.zeros(spine.shape, np.int16)
    for name, value in mapping.items():
        multi[masks_of(spine)[name]] = value
    save(folder / "anything.nii.gz", multi)
    (folder / "segmenter.log").touch()
    save(folder / "vertebrae_body.nii.gz", masks_of(spine)["vertebrae_body"])
    item = run(put_ct(tmp_path, spine.shape), folder, label_map=mapping)
    np.testing.assert_array_equal(item.labels.data, spine)


def test_bodies_without_a_level_are_refused(tmp_path, spine):
    """The vertebrae would be what is left of them, and their bone that of arches."""
    multi = total_numbers(spine)
    multi[masks_of(spine)["vertebrae_body"]] = 200
    path = tmp_path / "seg.nii.gz"
    save(path, multi)
    mapping = TOTAL_IDS | {"vertebrae_body": 200}
    text = error_of(run(put_ct(tmp_path, spine.shape), path, label_map=mapping))
    assert text.startswith("[E-SEG-23]")
    assert "beside it as vertebrae_body.nii.gz" in text
    save(path, total_numbers(spine))
    assert run(put_ct(tmp_path, spine.shape), path, label_map=mapping).reason is None


def test_masks_stored_in_another_orientation(tmp_path, spine):
    flipped = AFFINE @ np.diag([-1.0, -1.0, 1.0, 1.0])
    flipped[:2, 3] = AFFINE[0, 0] * (spine.shape[0] - 1), AFFINE[1, 1] * (spine.shape[1] - 1)
    masks = {name: mask[::-1, ::-1] for name, mask in masks_of(spine).items()}
    item = run(put_ct(tmp_path, spine.shape), save_folder(tmp_path / "s", masks, flipped))
    np.testing.assert_array_equal(item.labels.data, spine)


def test_another_grid_is_refused_with_both_grids_shown(tmp_path, spine):
    moved = AFFINE.copy()
    moved[2, 3] = 1.5
    item = run(put_ct(tmp_path, spine.shape), save_folder(tmp_path / "s", masks_of(spine), moved))
    text = error_of(item)
    assert text.startswith("[E-SEG-22]")
    assert text.count("shape 20x20x16") == 2
    assert "1.5 mm apart" in text


def test_another_grid_is_resampled_on_request(tmp_path, spine):
    fine = np.repeat(np.repeat(np.repeat(spine, 2, 0), 2, 1), 2, 2)
    affine = np.diag([1.0, 1.0, 1.5, 1.0])
    affine[:3, 3] = -0.5, -0.5, -0.75
    item = run(
        put_ct(tmp_path, spine.shape), save_folder(tmp_path / "s", masks_of(fine), affine), resample=True
    )
    np.testing.assert_array_equal(item.labels.data, spine)


def test_a_segmentation_of_another_place_is_refused_even_then(tmp_path, spine):
    far = AFFINE.copy()
    far[2, 3] = 5000
    item = run(
        put_ct(tmp_path, spine.shape), save_folder(tmp_path / "s", masks_of(spine), far), resample=True
    )
    assert "do not overlap at all" in error_of(item)


def test_a_missing_level_is_a_finding_and_empty_masks_are_a_reason(tmp_path, spine):
    masks = masks_of(spine)
    masks["vertebrae_T1"][:] = False
    ct = put_ct(tmp_path, spine.shape)
    item = run(ct, save_folder(tmp_path / "s", masks))
    assert item.reason is None
    assert "missing_level" in item.findings
    nothing = {name: np.zeros_like(mask) for name, mask in masks.items()}
    assert run(ct, save_folder(tmp_path / "e", nothing)).reason == "empty_segmentation"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("no path", "E-SEG-20"),
        ("no muscle", "E-SEG-21"),
        ("probabilities", "E-SEG-24"),
        ("four dimensions", "E-VOL-05"),
        ("damaged file", "E-VOL-03"),
    ],
)
def test_what_cannot_be_used_is_one_error(tmp_path, spine, damage, code):
    folder = save_folder(tmp_path / "s", masks_of(spine))
    left = folder / "autochthon_left.nii.gz"
    if damage == "no muscle":
        left.unlink()
        (folder / "autochthon_right.nii.gz").unlink()
    if damage == "probabilities":
        save(left, np.linspace(0, 1, spine.size, dtype=np.float32).reshape(spine.shape))
    if damage == "four dimensions":
        save(left, np.zeros((*spine.shape, 2), np.uint8))
    if damage == "damaged file":
        left.write_bytes(left.read_bytes()[:-20])
    item = run(put_ct(tmp_path, spine.shape), None if damage == "no path" else folder)
    assert error_of(item).startswith(f"[{code}]")


@pytest.mark.parametrize("content", [b"", b"<html>", b"NRRD0004", None], ids=["empty", "html", "nrrd", "cut"])
def test_a_multi_label_file_that_is_none_fails_alone(tmp_path, spine, content):
    ct, bad, good = put_ct(tmp_path, spine.shape), tmp_path / "bad.nii.gz", tmp_path / "good.nii.gz"
    save(good, total_numbers(spine))
    bad.write_bytes(good.read_bytes()[:200] if content is None else content)
    scans = [ScanInput("a", ct, bad), ScanInput("b", ct, good)]
    first, second = ImportedSegmenter(THREE).segment(scans)
    assert isinstance(first, SegmentationFailure)
    assert isinstance(second, Segmentation)


def test_a_label_table_without_muscle_is_refused(tmp_path, spine):
    path = tmp_path / "seg.nii.gz"
    save(path, total_numbers(spine))
    item = run(put_ct(tmp_path, spine.shape), path, label_map={"autochthon": 86})
    assert error_of(item).startswith("[E-SEG-23]")


@pytest.mark.skipif(not REAL.is_dir(), reason="real public data is not beside the repository")
@pytest.mark.parametrize("source", ["example_seg.nii.gz", "example_seg_fast"])
def test_masks_of_the_published_networks(source):
    levels = ("T11", "T12", "L1", "L2")
    scan = ScanInput("real", REAL / "example_ct_sm.nii.gz", REAL / source)
    item = next(ImportedSegmenter(levels).segment([scan]))
    expected = {"example_seg.nii.gz": (7050, 6635), "example_seg_fast": (7013, 6815)}[source]
    assert tuple(np.bincount(item.labels.data.ravel(order="A"))[1:3]) == expected
    assert item.reason is None
    assert "sides_swapped" not in item.findings
    assert "level_order" not in item.findings
