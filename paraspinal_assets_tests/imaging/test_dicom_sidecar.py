"""The sidecar is an allow-list: acquisition settings, and nothing that points to a person."""

from __future__ import annotations

import json
from datetime import date

import pytest

from paraspinal_assets.imaging.dicom import read_series
from paraspinal_assets.imaging.dicom_sidecar import SIDECAR_KEYS
from paraspinal_assets_tests.imaging import dicom_factory as f


def test_what_the_sidecar_says(tmp_path):
    found = read_series(f.write(tmp_path / "in", f.plain()))
    assert found.sidecar == {
        "kvp": 120.0,
        "exposure_mas": 50.0,
        "kernel": "B30f",
        "slice_thickness_mm": 2.5,
        "spacing_mm": [0.7, 0.8, 2.5],
        "contrast_agent": False,
        "manufacturer": "ACME",
        "model": "Scan 64",
        "deidentification_method_codes": ["113100"],
        "software_versions": "v1\\b2",
        "years_since_baseline": None,
    }
    assert tuple(found.sidecar) == SIDECAR_KEYS


def test_multi_frame_series_have_the_same_sidecar(tmp_path):
    single = read_series(f.write(tmp_path / "single", f.plain()))
    multi = read_series(f.write(tmp_path / "multi", [f.enhanced(f.plain())]))
    assert multi.sidecar == single.sidecar


def test_no_canary_leaves_the_header(tmp_path):
    found = read_series(f.write(tmp_path / "in", f.plain()))
    said = json.dumps(found.sidecar) + repr(found)
    d = f.plain()[0]
    for canary in [*f.CANARIES, d.SeriesInstanceUID, d.StudyInstanceUID, d.SOPInstanceUID, "2011", "LOCAL"]:
        assert canary not in said


def test_the_date_is_kept_apart(tmp_path):
    assert read_series(f.write(tmp_path / "in", f.plain())).acquisition_date == date(2011, 7, 13)
    blank = [f.changed(d, AcquisitionDate="", StudyDate="") for d in f.plain()]
    assert read_series(f.write(tmp_path / "blank", blank)).acquisition_date is None


def test_contrast_is_yes_no_or_unknown(tmp_path):
    cases = {"OMNIPAQUE 350": True, "": False, "NONE": False, None: None}
    for number, (agent, expected) in enumerate(cases.items()):
        series = [f.changed(d, ContrastBolusAgent=agent) for d in f.plain()]
        sidecar = read_series(f.write(tmp_path / str(number), series)).sidecar
        assert sidecar["contrast_agent"] is expected


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_in_json_is_null(value, tmp_path):
    series = [f.changed(d, KVP=value) for d in f.plain()]
    sidecar = read_series(f.write(tmp_path / "in", series)).sidecar
    assert sidecar["kvp"] is None


def test_what_the_header_does_not_say_is_null(tmp_path):
    absent = dict.fromkeys(["KVP", "Exposure", "ConvolutionKernel", "SliceThickness", "Manufacturer",
                            "ManufacturerModelName", "SoftwareVersions", "ContrastBolusAgent"])  # fmt: skip
    sidecar = read_series(f.write(tmp_path / "in", [f.changed(d, **absent) for d in f.plain()])).sidecar
    assert [key for key, value in sidecar.items() if value is not None] == [
        "spacing_mm",
        "deidentification_method_codes",
    ]
