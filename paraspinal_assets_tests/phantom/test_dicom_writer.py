import hashlib

import numpy as np
import pydicom
import pytest

from paraspinal_assets.imaging.dicom import read_series
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.dicom_writer import CANARIES, Acquisition, planted_values, uid, write_series
from paraspinal_assets.phantom.parameters import tiny_parameters

ACQUISITION = Acquisition("exam5/1001", "20110304", "GE", "LightSpeed VCT")


@pytest.fixture(scope="module")
def ct():
    return make_phantom(tiny_parameters(), np.random.default_rng(1)).ct


@pytest.fixture(scope="module")
def folder(ct, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    assert write_series(folder, ct, ACQUISITION) == 60
    return folder


def test_the_platform_reads_back_the_same_volume(ct, folder):
    volume = read_series(folder).volume
    assert np.array_equal(volume.data, ct.data)
    assert np.allclose(volume.affine, ct.affine, atol=1e-3)


def test_every_file_stands_on_its_own(folder):
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert len({s.SOPInstanceUID for s in slices}) == 60
    assert all(s.file_meta.MediaStorageSOPInstanceUID == s.SOPInstanceUID for s in slices)
    assert [s.InstanceNumber for s in slices] == list(range(1, 61))
    positions = [float(s.ImagePositionPatient[2]) for s in slices]
    assert np.allclose(np.diff(positions), -5.0)
    assert [float(s.SliceLocation) for s in slices] == positions
    assert all(len(s.SOPInstanceUID) <= 64 for s in slices)


def test_canaries_are_in_the_headers(folder):
    header = pydicom.dcmread(folder / "IM0001.dcm")
    for keyword, value in CANARIES.items():
        assert str(header[keyword].value) == value
    raw = (folder / "IM0030.dcm").read_bytes()
    assert all(value.encode() in raw for value in planted_values(ACQUISITION))


def test_same_phantom_same_bytes(ct, folder, tmp_path):
    write_series(tmp_path, ct, ACQUISITION)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_a_slice_can_be_left_out(ct, tmp_path):
    assert write_series(tmp_path, ct, ACQUISITION, keep=lambda index: index != 30) == 59
    assert not (tmp_path / "IM0031.dcm").exists()


def test_uids_follow_from_names():
    assert uid("a", "b") == uid("a", "b") != uid("a", "c")
    assert all(len(uid(hashlib.md5(bytes([i])).hexdigest())) + 6 <= 64 for i in range(50))
