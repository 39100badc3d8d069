"""The header walker against pydicom, which it stands in for: the same elements and values, or none at all."""

import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from paraspinal_assets.imaging.dicom_elements import element_value, explicit_header
from paraspinal_assets_tests.imaging import dicom_factory as f

KEYWORDS = [
    "PatientID", "ImageType", "SeriesDescription", "KVP", "Exposure", "SoftwareVersions", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "Rows", "RescaleSlope", "PixelPaddingValue",
    "AcquisitionNumber", "DeidentificationMethodCodeSequence", "FrameOfReferenceUID", "GantryDetectorTilt",
]  # fmt: skip
WANTED = {int(Tag(keyword)): Tag(keyword) for keyword in KEYWORDS}


def encoded(dataset: Dataset, **how: object) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True, **how)
    return buffer.getvalue()


def raw_values(dataset: Dataset) -> dict[int, bytes | None]:
    return {int(tag): element.value for tag, element in dataset.items()}


def slices() -> list[Dataset]:
    plain = f.plain()[3]
    return [
        plain,
        f.changed(plain, KVP=None, Exposure="", PixelPaddingValue=2000),
        f.changed(plain, SpecificCharacterSet="ISO_IR 192", SeriesDescription="Brustkorb für Ärzte"),
        f.changed(plain, SpecificCharacterSet=["", "ISO 2022 IR 87"], SeriesDescription="胸部"),
        f.changed(plain, ImageComments="x" * 9000, PixelSpacing=[0.123456789, 0.7]),
    ]


@pytest.mark.parametrize("dataset", slices())
def test_elements_are_those_of_pydicom(dataset):
    raw = encoded(dataset)
    found, syntax, offset = explicit_header(raw, WANTED)
    expected = dcmread(io.BytesIO(raw))
    assert syntax == expected.file_meta.TransferSyntaxUID
    assert raw[offset : offset + 4] == b"\xe0\x7f\x10\x00"
    assert raw_values(found).keys() == WANTED.keys() & raw_values(expected).keys()
    for keyword in KEYWORDS:
        value = expected.get(keyword)
        assert (element_value(found, Tag(keyword), keyword) or None) == (value or None)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_encodings_are_left_to_pydicom(syntax):
    dataset = f.plain()[0]
    dataset.file_meta.TransferSyntaxUID = syntax
    implicit = syntax == ImplicitVRLittleEndian
    raw = encoded(dataset, implicit_vr=implicit, little_endian=implicit)
    assert explicit_header(raw, WANTED) is None


def test_undefined_lengths_disorder_and_cuts_are_left_to_pydicom():
    dataset = f.plain()[0]
    dataset["DeidentificationMethodCodeSequence"].is_undefined_length = True
    assert explicit_header(encoded(dataset), WANTED) is None
    raw = encoded(f.plain()[0])
    end = explicit_header(raw, WANTED)[2]
    assert all(explicit_header(raw[:size], WANTED) is None for size in range(0, end + 4, 7))
    twice = raw[:end] + raw[end - 20 : end] + raw[end:]
    assert explicit_header(twice, WANTED) is None


def test_damage_gives_what_pydicom_gives_or_nothing():
    """A flipped bit may change a value, but not into another one than pydicom reads."""
    raw = encoded(f.plain()[2])
    end = explicit_header(raw, WANTED)[2]
    rng = np.random.default_rng(5)
    compared = 0
    for place in rng.integers(132, end, 400):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(rng.integers(8))
        found = explicit_header(bytes(damaged), WANTED)
        if found is None:
            continue
        expected = dcmread(io.BytesIO(damaged), stop_before_pixels=True, specific_tags=[*WANTED])
        theirs = raw_values(expected)
        assert raw_values(found[0]).items() <= theirs.items()
        compared += 1
    assert compared > 100
