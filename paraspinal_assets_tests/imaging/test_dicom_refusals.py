"""What is not certainly one volume is refused, with a code, the slices concerned and the remedy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataelem import DataElement
from pydicom.uid import JPEG2000Lossless, RLELossless

from paraspinal_assets.errors import DicomError
from paraspinal_assets.imaging import dicom
from paraspinal_assets.imaging.dicom import HeaderIndex, SeriesRule, private_details, read_series
from paraspinal_assets.imaging.dicom_codes import REMEDIES
from paraspinal_assets_tests.imaging import dicom_factory as f
from paraspinal_assets_tests.imaging.test_dicom_variants import compressed, second_series


def tilted(degrees):
    angle = np.radians(degrees)
    cosines = [1, 0, 0, 0, f"{np.cos(angle):.8f}", f"{-np.sin(angle):.8f}"]
    return lambda s: [f.changed(d, ImageOrientationPatient=cosines) for d in s]


def every(**attributes):
    return lambda s: [f.changed(d, **attributes) for d in s]


def one(index, **attributes):
    return lambda s: [f.changed(d, **attributes) if i == index else d for i, d in enumerate(s)]


def labelled(d, keyword, value):
    """A copy in which an attribute is free text, whatever the standard wants."""
    out = f.changed(d)
    out[keyword] = DataElement(keyword, "LO", value)
    return out


def lying_sign(d):
    """Header signed, intercept -1024, but the stream is unsigned and means it: bone would become air."""
    return f.changed(compressed(d, JPEG2000Lossless), PixelRepresentation=1)


REFUSED = {
    "missing slice": (lambda s: s[:4] + s[5:], "E-DICOM-05", "file 4 of 9 to file 5 of 9: 5.000 mm"),
    "uneven increment": (lambda s: s[:5] + s[5::2], "E-DICOM-05", "2.500 to 5.000"),
    "one slice 0.2 mm off": (lambda s: [*s[:4], f.moved(s[4], 0.2), *s[5:]], "E-DICOM-05", "file 5 of 10"),
    "doubled slice": (lambda s: [*s, f.renewed(s[5])], "E-DICOM-06", "file 6 of 11 = file 11 of 11"),
    "all at one place": (every(ImagePositionPatient=[0, 0, 0]), "E-DICOM-06", "9 of 10"),
    "gantry tilt 15": (tilted(15), "E-DICOM-07", "15.0 degrees"),
    "gantry tilt 1": (tilted(1), "E-DICOM-07", "1.0 degrees"),
    "one slice shifted sideways": (lambda s: [*s[:4], f.moved(s[4], 0, 0.5), *s[5:]], "E-DICOM-07", "file 5 of 10"),
    "tilt that the orientation hides": (every(GantryDetectorTilt="12"), "E-DICOM-07", "12 degrees"),
    "two acquisitions": (lambda s: s + [f.renewed(d, AcquisitionNumber=2) for d in s], "E-DICOM-08", "2: 10 slices"),
    "interleaved acquisitions": (
        lambda s: s + [f.renewed(f.moved(d, 1.25), AcquisitionNumber=2) for d in s], "E-DICOM-08", "interleaved"),
    **{
        f"between its slices those of another {keyword}": (
            lambda s, setting=setting: s + [f.renewed(f.moved(d, 1.25), **setting) for d in s], "E-DICOM-08", keyword)
        for keyword, setting in {
            "SliceThickness: 1.25, 2.5": {"SliceThickness": "1.25", "Exposure": "90"},
            "StudyInstanceUID": {"StudyInstanceUID": "1.2.3"},
            "ImageType": {"ImageType": ["DERIVED", "SECONDARY", "MIP"]},
            "ImageType$": {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "MIP"]},
        }.items()
    },
    "mixed kVp": (one(3, KVP="100"), "E-DICOM-08", "KVP: 100, 120"),
    "two series": (lambda s: s + [second_series(d) for d in s], "E-DICOM-04", "kernel B30f.*kernel B70f"),
    "two series end to end": (
        lambda s: s + [second_series(f.moved(d, 25.0), ConvolutionKernel="B30f") for d in s], "E-DICOM-04", "2 series"),
    "localizers only": (lambda s: [f.localizer(d) for d in s], "E-DICOM-03", "localizers and projections only"),
    "projections only": (
        every(ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"]), "E-DICOM-03", "projections only"),
    "two slices": (lambda s: s[:2], "E-DICOM-03", "2 slices"),
    "no CT": (every(SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR"), "E-DICOM-03", "found: MR"),
    "no position": (every(ImagePositionPatient=None), "E-DICOM-09", "no ImagePositionPatient"),
    "no orientation in one": (one(2, ImageOrientationPatient=None), "E-DICOM-09", "file 3 of 10"),
    "tilt in words": (
        lambda s: [labelled(d, "GantryDetectorTilt", "steep") for d in s], "E-DICOM-09", "GantryDetectorTilt is not"),
    "tilt that is no number": (every(GantryDetectorTilt="nan"), "E-DICOM-09", "GantryDetectorTilt is not"),
    "no pixel spacing": (every(PixelSpacing=None), "E-DICOM-09", "PixelSpacing"),
    "zero pixel spacing": (every(PixelSpacing=[0, 0.8]), "E-DICOM-09", "not positive"),
    "skewed orientation": (every(ImageOrientationPatient=[1, 0, 0, 0.1, 1, 0]), "E-DICOM-09", "orthonormal"),
    "other matrix": (one(3, Rows=f.COLUMNS, Columns=f.ROWS), "E-DICOM-10", "32x36"),
    "other pixel spacing": (one(3, PixelSpacing=[0.8, 0.71]), "E-DICOM-10", "file 4 of 10"),
    "one slice turned": (
        one(3, ImageOrientationPatient=[0.99875, 0.05, 0, -0.05, 0.99875, 0]), "E-DICOM-10", "file 4 of 10"),
    "slices of another direction at the end": (
        lambda s: s[:8] + every(ImageOrientationPatient=[1, 0, 0, 0, -1, 0])(s[8:]),
        "E-DICOM-10", "2 of 10 slices .* another direction: file 9 of 10, file 10 of 10"),
    "one slice across, at the end": (
        one(9, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "E-DICOM-10", "1 of 10 .*: file 10 of 10"),
    "no orientation at the end": (one(9, ImageOrientationPatient=None), "E-DICOM-09", "file 10 of 10 has no"),
    "no rescale": (every(RescaleSlope=None), "E-DICOM-11", "RescaleSlope none"),
    "no intercept in one": (one(4, RescaleIntercept=None), "E-DICOM-11", "file 5 of 10"),
    "electron density": (every(RescaleType="ED"), "E-DICOM-11", "RescaleType"),
    "8 bits": (every(BitsAllocated=8, BitsStored=8, HighBit=7), "E-DICOM-12", "8 bits stored of 8"),
    "values beyond the stored bits": (every(BitsStored=11, HighBit=10), "E-DICOM-12", "do not fit 11 bits"),
    "sign that the stream denies": (lambda s: [lying_sign(d) for d in s], "E-DICOM-12", "neither gives Hounsfield"),
    "more rows than pixels": (every(Rows=64), "E-DICOM-02", "cut off"),
    "fewer rows than pixels": (every(Rows=12), "E-DICOM-12", "bytes of pixel data"),
    "absurd size": (every(Rows=65535, Columns=65535), "E-DICOM-14|E-DICOM-02", "65535|cut off"),
    "slope too large": (every(RescaleSlope="100"), "E-DICOM-13", "HU"),
    "two patients": (one(3, PatientID="OTHER"), "E-DICOM-15", "2 patients"),
    "lossy": (every(LossyImageCompression="01"), "E-DICOM-16", "loss"),
    "text where a number belongs": (one(3, KVP="1"), "E-DICOM-08", "KVP: 1, 120"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    change, code, words = REFUSED[name]
    folder = f.write(tmp_path / "in", change(f.plain()))
    with pytest.raises(DicomError) as caught:
        read_series(folder)
    assert re.fullmatch(code, caught.value.code)
    assert re.search(words, caught.value.message)
    assert caught.value.remedy == REMEDIES[caught.value.code]
    assert not any(canary in str(caught.value) for canary in f.CANARIES)


NAME = "DOE^JOHN"
TEXTS = {
    "description of one of two series": (
        lambda s: s + [second_series(d, SeriesDescription=f"CHEST {NAME}") for d in s], "E-DICOM-04"),
    "description of what does not fit": (lambda s: every(SeriesDescription=NAME)(s[:2]), "E-DICOM-03"),
    "modality": (every(SOPClassUID="1.2.3", Modality=NAME), "E-DICOM-03"),
    "series number": (lambda s: [labelled(d, "SeriesNumber", NAME) for d in s[:2]], "E-DICOM-03"),
    "missing slice": (lambda s: s[:4] + s[5:], "E-DICOM-05"),
    "doubled slice": (lambda s: [*s, f.renewed(s[5])], "E-DICOM-06"),
    "one slice shifted sideways": (lambda s: [*s[:4], f.moved(s[4], 0, 0.5), *s[5:]], "E-DICOM-07"),
    "voltage": (lambda s: [labelled(s[0], "KVP", NAME), *s[1:]], "E-DICOM-08"),
    "acquisition number": (
        lambda s: s + [labelled(f.renewed(f.moved(d, 1.25)), "AcquisitionNumber", NAME) for d in s], "E-DICOM-08"),
    "frame of reference": (one(3, FrameOfReferenceUID=NAME), "E-DICOM-08"),
    "position": (lambda s: [labelled(s[0], "ImagePositionPatient", [NAME, "1", "2"]), *s[1:]], "E-DICOM-09"),
    "pixel spacing": (lambda s: [labelled(d, "PixelSpacing", NAME) for d in s], "E-DICOM-09"),
    "orientation": (every(ImageOrientationPatient=[1, 0, 0, 0.1, 1, 0]), "E-DICOM-09"),
    "rows": (lambda s: [labelled(s[0], "Rows", NAME), *s[1:]], "E-DICOM-10"),
    "kind of values": (every(RescaleType=NAME), "E-DICOM-11"),
    "slope": (every(RescaleSlope="0"), "E-DICOM-11"),
    "colours": (every(PhotometricInterpretation=NAME), "E-DICOM-11"),
    "bits": (lambda s: [labelled(d, "BitsAllocated", NAME) for d in s], "E-DICOM-02"),
    "patient": (one(3, PatientID=NAME), "E-DICOM-15"),
    "loss": (every(LossyImageCompression="01"), "E-DICOM-16"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_no_free_text_of_a_header_and_no_file_name_is_in_a_message(name, tmp_path):
    change, code = TEXTS[name]
    series = [f.changed(d) for d in change(f.plain())]
    f.write(tmp_path / "in" / NAME, series, lambda index: f"{NAME}_19470815_{index:03d}.dcm")
    with pytest.raises(DicomError) as caught:
        read_series(tmp_path / "in")
    assert caught.value.code == code
    assert "DOE" not in str(caught.value)
    assert "19470815" not in str(caught.value)


def test_a_transfer_syntax_that_no_standard_knows_is_not_repeated(tmp_path):
    folder = f.write(tmp_path / "in", f.plain())
    for path in folder.iterdir():
        known = b"1.2.840.10008.1.2.1\0"
        path.write_bytes(path.read_bytes().replace(known, NAME.encode().ljust(len(known), b"\0")))
    with pytest.raises(DicomError) as caught:
        read_series(folder)
    assert "DOE" not in str(caught.value)


def test_no_warning_quotes_a_header(tmp_path):
    folder = f.write(tmp_path / "in", every(SpecificCharacterSet="ISO_IR 100")(f.plain()))
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"DOE^JOHN 1"))
    program = (
        "import sys; from pathlib import Path; from paraspinal_assets.imaging.dicom import read_series; "
        "read_series(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_message_keeps_to_itself_can_be_told(tmp_path):
    folder = f.write(tmp_path / "in", f.plain()[:4] + f.plain()[5:], lambda index: f"{NAME}_{index:03d}.dcm")
    index = HeaderIndex()
    with pytest.raises(DicomError) as caught:
        read_series(folder, index=index)
    assert private_details(caught.value, folder, index) == [
        f"file {number + 1} of 9 is {folder / f'{NAME}_{number:03d}.dcm'}" for number in (3, 4)
    ]
    f.write(folder, [*f.plain(), *(second_series(d) for d in f.plain())])
    index = HeaderIndex()
    with pytest.raises(DicomError, match="E-DICOM-04") as caught:
        read_series(folder, index=index)
    assert private_details(caught.value, folder, index)[-1] == "series 4 is described as 'LUNG'"


def test_a_file_that_the_system_refuses_is_not_named(tmp_path):
    folder = f.write(tmp_path / "in", f.plain(), lambda index: f"{NAME}_{index:03d}.dcm")
    index = HeaderIndex()
    index.below(folder)
    (folder / f"{NAME}_003.dcm").unlink()
    for read in (lambda: read_series(folder, index=index), lambda: HeaderIndex().read([folder / NAME])):
        with pytest.raises(FileNotFoundError, match=r"file \d+ of \d+") as caught:
            read()
        assert "DOE" not in str(caught.value)


@pytest.mark.parametrize(
    "syntax", [None, RLELossless, JPEG2000Lossless], ids=["uncompressed", "RLE", "JPEG 2000"]
)
@pytest.mark.parametrize("part", [0.0, 0.02, 0.1, 0.5, 0.9, 0.995])
@pytest.mark.parametrize("which", [4, 9], ids=["inside", "at the end"])
def test_a_cut_off_file_is_named(syntax, part, which, tmp_path):
    series = [compressed(d, syntax) if syntax else d for d in f.plain()]
    folder = f.write(tmp_path / "in", series)
    path = folder / f"IM{which:04d}.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(DicomError, match=f"file {which + 1} of 10") as caught:
        read_series(folder)
    assert caught.value.code == "E-DICOM-02"


def test_a_cut_off_deflated_file_is_refused(tmp_path):
    folder = f.write(tmp_path / "in", [f.in_syntax(d, "1.2.840.10008.1.2.1.99") for d in f.plain()])
    path = folder / "IM0009.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DicomError, match="E-DICOM-02"):
        read_series(folder)


@pytest.mark.parametrize("content", [None, b"hello"], ids=["empty", "no DICOM"])
def test_a_folder_without_dicom(content, tmp_path):
    if content:
        (tmp_path / "note.txt").write_bytes(content)
    with pytest.raises(DicomError, match="E-DICOM-01"):
        read_series(tmp_path)
    with pytest.raises(DicomError, match="E-DICOM-01"):
        read_series(tmp_path / "absent")


def test_a_rule_that_fits_nothing_lists_what_there_is(tmp_path):
    folder = f.write(tmp_path / "in", f.plain())
    with pytest.raises(DicomError, match=r"E-DICOM-03.*kernel B30f") as caught:
        read_series(folder, series_rule=SeriesRule(kernel=("B70f",)))
    assert "10 slices" in caught.value.message


def test_a_draw_is_refused(tmp_path):
    folder = f.write(tmp_path / "in", [*f.plain(), *(second_series(d) for d in f.plain())])
    with pytest.raises(DicomError, match="E-DICOM-04"):
        read_series(folder, series_rule=SeriesRule(choose="most_slices"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"choose": "best"},
        {"slice_thickness_mm": (3, 1)},
        {"series_description": "("},
        {"spacing_tolerance": 0.0},
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_applied(wrong):
    with pytest.raises(DicomError, match="E-DICOM-17"):
        SeriesRule(**wrong)


def test_lossy_series_are_read_where_the_study_allows_it(tmp_path):
    folder = f.write(tmp_path / "in", every(LossyImageCompression="01")(f.plain()))
    data = read_series(folder, series_rule=SeriesRule(allow_lossy=True)).volume.data
    np.testing.assert_array_equal(data, f.ras(f.hounsfield()))


def test_damaged_headers_end_in_an_error_or_the_truth(tmp_path):
    folder = f.write(tmp_path / "in", f.plain())
    path = folder / "IM0004.dcm"
    whole = path.read_bytes()
    header = whole.rindex(b"\xe0\x7f\x10\x00")
    rng = np.random.default_rng(11)
    truth = f.ras(f.hounsfield())
    for place in rng.integers(132, header, 100):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_series(folder).volume
        except DicomError:
            continue
        # What a header says of a slice's attenuation cannot be checked against anything; all else is.
        np.testing.assert_allclose(found.affine, f.ras_affine(), atol=0.02)
        others = np.delete(found.data, 4, axis=2)
        np.testing.assert_array_equal(others, np.delete(truth, 4, axis=2))


def test_the_table_of_codes_is_complete():
    documented = re.findall(r"^(E-DICOM-\d\d)  ", dicom.__doc__, re.MULTILINE)
    assert documented == sorted(REMEDIES)
    source = "".join(path.read_text() for path in Path(dicom.__file__).parent.glob("dicom*.py"))
    assert set(re.findall(r'dicom_error\(\s*"(E-DICOM-\d\d)"', source)) == set(REMEDIES)
