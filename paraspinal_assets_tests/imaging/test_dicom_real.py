"""Public series of real scanners, where a copy lies beside the repository; skipped elsewhere."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from paraspinal_assets.errors import DicomError
from paraspinal_assets.imaging.dicom import SeriesRule, read_series
from paraspinal_assets.imaging.dicom_decode import PixelReader
from paraspinal_assets.imaging.dicom_headers import HeaderIndex, files_below

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="no real data beside the repository (../shared/real)"
)


def test_a_real_series_lies_on_the_grid_of_its_segmentation():
    found = read_series(REAL / "totalsegmentator" / "example_ct_dicom").volume
    labels = nib.as_closest_canonical(nib.load(REAL / "totalsegmentator" / "example_seg_dicom.nii.gz"))
    assert found.data.shape == labels.shape
    np.testing.assert_allclose(found.affine, labels.affine, atol=1e-4)
    lowest = min(files_below(REAL / "totalsegmentator" / "example_ct_dicom"), key=_height)
    slice_hu = pydicom.dcmread(lowest).pixel_array.astype(int) - 1024
    np.testing.assert_array_equal(found.data[:, :, 0], slice_hu.T[::-1, ::-1])


def _height(path):
    return float(pydicom.dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2])


@pytest.mark.parametrize(
    ("name", "code"),
    [("gantrytilting", "E-DICOM-07"), ("notavolume", "E-DICOM-06"), ("sliceincrement", "E-DICOM-05")],
)
def test_real_series_that_are_no_volume(name, code):
    with pytest.raises(DicomError, match=code):
        read_series(REAL / "dicom2nifti" / "failing" / name)


@pytest.mark.parametrize("name", ["compressed_rle", "compressed_jpegls", "compressed_j2k"])
def test_real_compressed_slices_match_their_ground_truth(name):
    # These are MR images: they have no Hounsfield units, so only the decoding is compared.
    folder = REAL / "dicom2nifti" / "generic" / name
    headers = HeaderIndex().read(files_below(folder / "001"))
    slices = np.sort([np.sort(PixelReader().read(header), axis=None) for header in headers], axis=0)
    truth = np.asarray(nib.load(folder / "001_ground_truth.nii.gz").dataobj)
    axis = next(a for a, size in enumerate(truth.shape) if size == len(headers))
    expected = np.sort([np.sort(s, axis=None) for s in np.moveaxis(truth, axis, 0)], axis=0)
    np.testing.assert_array_equal(slices, expected)
    with pytest.raises(DicomError, match="E-DICOM-03"):
        read_series(folder)


def test_a_wrongly_declared_sign_does_not_change_hounsfield_units():
    # The stream says unsigned, the header signed; -2000 is the padding of the circular field of view.
    header = HeaderIndex().read([REAL / "pydicom" / "J2K_pixelrep_mismatch.dcm"])[0]
    values = PixelReader().read(header)
    assert (values.min(), values.max(), values[0, 0]) == (-2000, 1896, -2000)
    assert not ((values > -2000) & (values < -1100)).any()
    with pytest.raises(DicomError, match="E-DICOM-15"):
        read_series(REAL / "pydicom", series_rule=SeriesRule(min_slices=1))
