from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from paraspinal_assets.errors import VolumeError
from paraspinal_assets.imaging.geometry import crop
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import content_digest, read_region, read_volume, write_volume

from .scenes import save, trunk


def code_of(path, reader=read_volume) -> str:
    with pytest.raises(VolumeError) as caught:
        reader(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_what_is_written_is_read_by_us_and_by_nibabel(tmp_path, suffix, dtype):
    ct, _ = trunk()
    volume = Volume((ct.data * 0.25 if dtype == np.float32 else ct.data % 200).astype(dtype), ct.affine)
    path = tmp_path / f"a{suffix}"
    write_volume(path, volume)
    again, theirs = read_volume(path), nib.load(path)
    assert again.data.dtype == dtype
    assert_array_equal(again.data, volume.data)
    assert_allclose(again.affine, volume.affine, atol=1e-5)
    assert_array_equal(np.asarray(theirs.dataobj), volume.data)
    assert_allclose(theirs.get_qform(), volume.affine, atol=1e-4)
    assert (theirs.header["sform_code"], theirs.header["qform_code"]) == (1, 1)


def test_same_content_same_bytes_whatever_the_name_and_layout(tmp_path):
    ct, _ = trunk()
    write_volume(tmp_path / "a.nii.gz", ct)
    write_volume(tmp_path / "b.nii.gz", Volume(np.asfortranarray(ct.data), ct.affine))
    first, second = (tmp_path / f"{name}.nii.gz" for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert content_digest(read_volume(first)) == content_digest(ct)


def test_digest_follows_voxels_geometry_and_type():
    ct, _ = trunk()
    other = ct.data.copy()
    other[0, 0, 0] += 1
    moved = ct.affine.copy()
    moved[0, 3] += 0.01
    variants = [
        ct,
        Volume(other, ct.affine),
        Volume(ct.data, moved),
        Volume(ct.data.astype(np.float32), ct.affine),
    ]
    assert len({content_digest(v) for v in variants}) == 4
    assert len(content_digest(ct)) == 16
    negligible = ct.affine + 1e-9
    assert content_digest(Volume(ct.data, negligible)) == content_digest(ct)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint16, ">i2", ">f8"])
def test_whole_numbers_become_int16(tmp_path, dtype):
    ct, _ = trunk()
    data = (ct.data.astype(np.int32) + 200).astype(dtype)
    volume = read_volume(save(tmp_path / "a.nii.gz", data, ct.affine))
    assert volume.data.dtype == np.int16
    assert_array_equal(volume.data, data)


def test_float_values_are_kept(tmp_path):
    ct, _ = trunk()
    data = ct.data.astype(np.float32)
    data[-1, -1, -1] += 0.5  # only the last voxel is not a whole number
    volume = read_volume(save(tmp_path / "a.nii.gz", data, ct.affine))
    assert volume.data.dtype == np.float32
    assert_array_equal(volume.data, data)


@pytest.mark.parametrize(("slope", "inter"), [(1, -1024), (0.5, 3.25), (2, 0)])
def test_scaling_is_applied_as_nibabel_does(tmp_path, slope, inter):
    ct, _ = trunk()
    path = save(tmp_path / "a.nii", ct.data, ct.affine)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2f", raw, 112, slope, inter)
    path.write_bytes(raw)
    volume = read_volume(path)
    assert_array_equal(volume.data, nib.load(path).get_fdata())
    assert volume.data.dtype == (np.float32 if slope == 0.5 else np.int16)


def test_nifti_2_is_read(tmp_path):
    ct, _ = trunk()
    nib.save(nib.Nifti2Image(ct.data, ct.affine), tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert_array_equal(volume.data, ct.data)
    assert_array_equal(volume.affine, ct.affine)


def test_two_gzip_members_are_one_stream(tmp_path):
    ct, _ = trunk()
    write_volume(tmp_path / "a.nii", ct)
    raw = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(raw[:5000]) + gzip.compress(raw[5000:]))
    assert_array_equal(read_volume(tmp_path / "b.nii.gz").data, ct.data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused_even_outside_the_region(tmp_path, bad):
    ct, labels = trunk()
    data = ct.data.astype(np.float32)
    data[0, -1, 0] = bad
    path = save(tmp_path / "a.nii.gz", data, ct.affine)
    assert code_of(path) == "E-VOL-08"
    assert code_of(path, lambda p: read_region(p, labels, margin_mm=0)) == "E-VOL-08"


def test_constant_ct_is_refused_but_empty_labels_are_not(tmp_path):
    ct, _ = trunk()
    empty = Volume(np.zeros(ct.data.shape, np.uint8), ct.affine)
    path = save(tmp_path / "a.nii.gz", np.full(ct.data.shape, -1024, np.int16), ct.affine)
    assert code_of(path) == "E-VOL-09"
    write_volume(tmp_path / "empty.nii.gz", empty)
    assert not read_volume(tmp_path / "empty.nii.gz").data.any()
    write_volume(tmp_path / "ct.nii.gz", ct)
    region, labels = read_region(tmp_path / "ct.nii.gz", tmp_path / "empty.nii.gz")
    assert region.data.shape == labels.data.shape == (1, 1, 1)
    assert labels.image_shape == ct.data.shape
    write_volume(tmp_path / "region.nii.gz", region)
    assert read_volume(tmp_path / "region.nii.gz").data == region.data


def test_a_fourth_dimension_is_refused(tmp_path):
    ct, _ = trunk()
    assert code_of(save(tmp_path / "a.nii.gz", np.stack([ct.data] * 2, -1), ct.affine)) == "E-VOL-05"
    assert code_of(save(tmp_path / "b.nii.gz", ct.data[:, :, 0], ct.affine)) == "E-VOL-05"


def test_twin_files_are_refused(tmp_path):
    ct, _ = trunk()
    for name in ("a.nii", "a.nii.gz"):
        write_volume(tmp_path / name, ct)
    assert code_of(tmp_path / "a.nii") == code_of(tmp_path / "a.nii.gz") == "E-VOL-10"


def test_missing_file(tmp_path):
    assert code_of(tmp_path / "none.nii.gz") == "E-VOL-13"


@pytest.mark.parametrize("kind", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_voxels_that_are_no_real_numbers_are_refused(tmp_path, kind):
    ct, _ = trunk()
    assert code_of(save(tmp_path / "a.nii.gz", np.zeros(ct.data.shape, kind), ct.affine)) == "E-VOL-07"


@pytest.mark.parametrize(("margin", "offset"), [(1.6, (1, 0, 0)), (0.0, (3, 2, 1))])
def test_region_is_the_crop_of_the_whole(tmp_path, margin, offset):
    ct, labels = trunk()
    write_volume(tmp_path / "ct.nii.gz", ct)
    write_volume(tmp_path / "labels.nii.gz", labels)
    region, mask = read_region(tmp_path / "ct.nii.gz", tmp_path / "labels.nii.gz", margin_mm=margin)
    assert (region.offset, region.image_shape) == (offset, ct.data.shape)  # 1.6 mm: 2, 2 and 1 voxels
    box = tuple((o, o + n) for o, n in zip(region.offset, region.data.shape, strict=True))
    expected = crop(ct, box)
    assert_array_equal(region.data, expected.data)
    assert_allclose(region.affine, expected.affine, atol=1e-5)
    assert_array_equal(mask.data, crop(labels, box).data)
    from_memory = read_region(tmp_path / "ct.nii.gz", labels, margin_mm=margin)
    assert_array_equal(from_memory[0].data, region.data)
    assert_array_equal(from_memory[1].data, mask.data)


@pytest.mark.parametrize("change", ["shape", "shift", "flip"])
def test_other_grids_are_refused_and_both_are_shown(tmp_path, change):
    ct, labels = trunk()
    affine = labels.affine.copy()
    if change == "shift":
        affine[2, 3] += 1
    if change == "flip":
        affine[0, 0] *= -1
    data = labels.data[:-1] if change == "shape" else labels.data
    write_volume(tmp_path / "ct.nii.gz", ct)
    save(tmp_path / "labels.nii.gz", data, affine)
    with pytest.raises(VolumeError, match="different grids") as caught:
        read_region(tmp_path / "ct.nii.gz", tmp_path / "labels.nii.gz")
    assert caught.value.code == "E-VOL-11"
    assert str(ct.data.shape) in caught.value.message


@pytest.mark.parametrize("value", [1.5, -1, 256])
def test_labels_are_small_whole_numbers(tmp_path, value):
    ct, labels = trunk()
    write_volume(tmp_path / "ct.nii.gz", ct)
    data = labels.data.astype(np.float32)
    data[3, 3, 3] = value
    path = save(tmp_path / "labels.nii.gz", data, labels.affine)
    assert code_of(path, lambda p: read_region(tmp_path / "ct.nii.gz", p)) == "E-VOL-12"


def test_scaled_labels_are_taken(tmp_path):
    ct, labels = trunk()
    write_volume(tmp_path / "ct.nii.gz", ct)
    path = save(tmp_path / "labels.nii", labels.data // 2, labels.affine)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2f", raw, 112, 2, 0)
    path.write_bytes(raw)
    found = read_region(tmp_path / "ct.nii.gz", path, margin_mm=99)[1].data
    assert_array_equal(found, labels.data // 2 * 2)


def test_float_labels_that_are_whole_are_taken(tmp_path):
    ct, labels = trunk()
    write_volume(tmp_path / "ct.nii.gz", ct)
    path = save(tmp_path / "labels.nii.gz", labels.data.astype(np.float64), labels.affine)
    assert_array_equal(read_region(tmp_path / "ct.nii.gz", path, margin_mm=99)[1].data, labels.data)
