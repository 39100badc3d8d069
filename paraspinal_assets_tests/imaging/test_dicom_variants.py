"""Every form in which one series can arrive gives the same volume, voxel by voxel.

The truth is the array that the slices were written from and an affine worked out by hand. JPEG-LS and JPEG
lossless frames of the same series were encoded once by another library and lie in data/dicom.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from paraspinal_assets.imaging.dicom import SeriesRule, read_series, series_volume
from paraspinal_assets.imaging.dicom_headers import HeaderIndex, files_below
from paraspinal_assets.imaging.fingerprint import fingerprint
from paraspinal_assets_tests.imaging import dicom_factory as f

FRAMES = Path(__file__).parents[1] / "data" / "dicom" / "encoded_frames.npz"


def compressed(d, syntax):
    d = f.changed(d)
    d.compress(syntax, generate_instance_uid=False, encoding_plugin="pylibjpeg")
    return d


def prepared(series, name, syntax):
    """Slices with frames that were encoded beforehand."""
    with np.load(FRAMES) as data:
        stream, ends = data[name].tobytes(), np.cumsum(data[f"{name}_lengths"])
    out = []
    for d, start, stop in zip(series, [0, *ends[:-1]], ends, strict=True):
        e = f.in_syntax(d, syntax)
        e.PixelData = encapsulate([stream[start:stop]])
        e["PixelData"].is_undefined_length = True
        out.append(e)
    return out


def shifted_intercept(d, index):
    values = f.stored(d) - 1024 + 1024 - 10 * index
    return f.with_values(d, values + 200, signed=False, intercept=-1024 + 10 * index - 200)


def signed_codestream_said_unsigned(d):
    """A JPEG 2000 stream of unsigned 13-bit values whose header says signed, as some writers make."""
    bits = f.with_values(d, (f.stored(d) - 1024) & 0x1FFF, signed=False, intercept=0, bits=13)
    return f.changed(compressed(bits, JPEG2000Lossless), PixelRepresentation=1)


def all_of(change):
    return lambda series: [change(d) for d in series]


SAME_VOLUME = {
    "explicit little endian": lambda s: s,
    "implicit little endian": all_of(lambda d: f.in_syntax(d, "1.2.840.10008.1.2")),
    "big endian": all_of(lambda d: f.in_syntax(d, "1.2.840.10008.1.2.2")),
    "deflated": all_of(lambda d: f.in_syntax(d, "1.2.840.10008.1.2.1.99")),
    "RLE": all_of(lambda d: compressed(d, RLELossless)),
    "RLE signed": all_of(lambda d: compressed(f.signed(d), RLELossless)),
    "JPEG 2000": all_of(lambda d: compressed(d, JPEG2000Lossless)),
    "JPEG 2000 signed": all_of(lambda d: compressed(f.signed(d, 13), JPEG2000Lossless)),
    "JPEG 2000 unsigned stream, signed header": all_of(signed_codestream_said_unsigned),
    "JPEG-LS": lambda s: prepared(s, "jpegls_unsigned12", JPEGLSLossless),
    "JPEG-LS signed 16 bits": lambda s: prepared([f.signed(d) for d in s], "jpegls_signed16", JPEGLSLossless),
    "JPEG-LS signed 13 bits": lambda s: prepared([f.signed(d, 13) for d in s], "jpegls_signed13", JPEGLSLossless),
    "JPEG lossless": lambda s: prepared(s, "jpeg_lossless_unsigned12", JPEGLosslessSV1),
    "JPEG lossless signed 16 bits": lambda s: prepared(
        [f.signed(d) for d in s], "jpeg_lossless_signed16", JPEGLosslessSV1
    ),
    "JPEG lossless signed 13 bits": lambda s: prepared(
        [f.signed(d, 13) for d in s], "jpeg_lossless_signed13", JPEGLosslessSV1
    ),
    "mixed transfer syntaxes": lambda s: [*s[:5], *(compressed(d, RLELossless) for d in s[5:])],
    "descending": lambda s: s[::-1],
    "wrong instance numbers": lambda s: [f.changed(d, InstanceNumber=(7 * i) % 10) for i, d in enumerate(s)],
    "one byte-identical copy": lambda s: [*s, s[4]],
    "signed": all_of(f.signed),
    "signed 13 bits": all_of(lambda d: f.signed(d, 13)),
    "intercept of each slice": lambda s: [shifted_intercept(d, i) for i, d in enumerate(s)],
    "slope 0.5": all_of(
        lambda d: f.with_values(d, f.stored(d) * 2, signed=False, intercept=-1024, RescaleSlope="0.5")
    ),
    "unsigned with intercept -40000": all_of(
        lambda d: f.with_values(d, f.stored(d) - 1024 + 40000, signed=False, intercept=-40000)
    ),
    "two blocks one after the other": lambda s: [
        f.changed(d, AcquisitionNumber=1 + i // 5) for i, d in enumerate(s)
    ],
    "settings that scanners write for each slice": lambda s: [
        f.changed(d, Exposure=str(40 + i), SliceThickness="2.50" if i % 2 else "2.500001",
                  ImageType=["ORIGINAL", "PRIMARY", "AXIAL", f"MAKER {i}"])
        for i, d in enumerate(s)
    ],
    "step and shoot": lambda s: [f.changed(d, AcquisitionNumber=i) for i, d in enumerate(s)],
    "localizer in its own series": lambda s: [
        f.localizer(s[0], SeriesInstanceUID=generate_uid(), SeriesNumber=1), *s
    ],
    "localizer in the same series": lambda s: [f.localizer(s[0]), *s],
    "scout without the word": lambda s: [f.localizer(s[0], ImageType=["ORIGINAL", "PRIMARY"]), *s],
    **{
        f"{kind} in their own series": lambda s, kind=kind: [
            *s, *(second_series(d, ImageType=["DERIVED", "SECONDARY", kind]) for d in s)
        ]
        for kind in ("MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "SUBTRACTION")
    },
    "reformatted": all_of(lambda d: f.changed(d, ImageType=["DERIVED", "SECONDARY", "MPR"])),
    "type of one word": all_of(lambda d: f.changed(d, ImageType="DERIVED")),
    "reformatted after a tilt, type of one word": all_of(
        lambda d: f.changed(d, ImageType="DERIVED", GantryDetectorTilt="12")
    ),
    "dose report beside it": lambda s: [
        *s, f.renewed(s[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", Modality="SR", Rows=None, PixelData=None),
    ],
    "dose report as pages without orientation": lambda s: [*s, *map(dose_page, s[:2])],
    "page of a dose report in the same series": lambda s: [
        *s, f.changed(f.localizer(s[0], ImageType=["DERIVED", "SECONDARY"]), ImageOrientationPatient=None)
    ],
    "enhanced multi-frame": lambda s: [f.enhanced(s)],
    "enhanced multi-frame RLE": lambda s: [rle_frames(f.enhanced(s))],
}  # fmt: skip


def dose_page(d):
    """A page of a dose report that was stored as a CT image."""
    return f.renewed(d, SeriesInstanceUID="1.2.4", SeriesDescription="DOSE", ImageOrientationPatient=None,
                     ImagePositionPatient=None)  # fmt: skip


def rle_frames(d):
    d.compress(RLELossless, generate_instance_uid=False, encoding_plugin="pylibjpeg")
    return d


@pytest.mark.parametrize("name", SAME_VOLUME)
def test_same_volume(name, tmp_path):
    found = read_series(f.write(tmp_path / "in", SAME_VOLUME[name](f.plain()))).volume
    assert found.data.dtype == np.int16
    np.testing.assert_array_equal(found.data, f.ras(f.hounsfield()))
    np.testing.assert_allclose(found.affine, f.ras_affine(), atol=1e-6)


def test_file_names_and_stray_files_do_not_matter(tmp_path):
    folder = f.write(tmp_path / "a" / "b", f.plain(), lambda i: f"1.2.840.{(i * 7) % 10}")
    (folder / "README.txt").write_text("hello")
    (folder / "notes").write_text("a note without a suffix")
    (folder / "DICOMDIR").write_bytes(b"\0" * 200)
    found = read_series(tmp_path)
    np.testing.assert_array_equal(found.volume.data, f.ras(f.hounsfield()))


def test_files_without_preamble_are_read(tmp_path):
    for index, d in enumerate(f.plain()):
        d = f.in_syntax(d, "1.2.840.10008.1.2")
        del d.file_meta
        d.save_as(tmp_path / f"{index}", implicit_vr=True, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(read_series(tmp_path).volume.data, f.ras(f.hounsfield()))


def test_positions_written_with_two_decimals_are_rounding(tmp_path):
    rng = np.random.default_rng(1)
    series = [f.moved(d, float(rng.uniform(-0.01, 0.01))) for d in f.plain()]
    found = read_series(f.write(tmp_path / "in", series)).volume
    np.testing.assert_array_equal(found.data, f.ras(f.hounsfield()))
    np.testing.assert_allclose(found.affine, f.ras_affine(), atol=0.02)


@pytest.mark.parametrize(
    ("cosines", "axes"),
    [
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([-1, 0, 0, 0, 1, 0], "axial, flipped"),
    ],
)
def test_every_orientation_has_each_voxel_at_its_place(cosines, axes, tmp_path):
    row, column = np.array(cosines[:3], float), np.array(cosines[3:], float)
    normal = np.cross(row, column)
    series = []
    for index, d in enumerate(f.plain()):
        place = np.array(f.ORIGIN) + normal * f.SPACING[2] * index
        series.append(f.changed(d, ImageOrientationPatient=cosines, ImagePositionPatient=list(place)))
    found = read_series(f.write(tmp_path / "in", series)).volume
    assert (np.diag(found.affine)[:3] > 0).all()
    truth = f.hounsfield()
    for k, r, c in [(0, 0, 0), (3, 5, 7), (9, 35, 31), (6, 20, 2)]:
        lps = (
            np.array(f.ORIGIN)
            + row * f.SPACING[1] * c
            + column * f.SPACING[0] * r
            + normal * f.SPACING[2] * k
        )
        index = np.linalg.solve(found.affine, [-lps[0], -lps[1], lps[2], 1])[:3]
        assert found.data[tuple(np.rint(index).astype(int))] == truth[k, r, c], axes


def test_padding_below_air_is_kept_and_bright_padding_becomes_air(tmp_path):
    truth = f.hounsfield()
    corner = np.zeros(truth.shape, bool)
    corner[:, :3, :4] = True
    low, bright = [], []
    for d in f.plain():
        values = f.stored(d) - 1024
        outside = corner[0]
        low.append(f.with_values(d, np.where(outside, -2000, values), signed=True, intercept=0))
        low[-1].add_new(0x00280120, "US", 65536 - 2000)
        bright.append(
            f.with_values(d, np.where(outside, 63536, values + 1024), signed=False, intercept=-1024)
        )
        bright[-1].add_new(0x00280120, "US", 63536)
    kept = read_series(f.write(tmp_path / "low", low)).volume.data
    np.testing.assert_array_equal(kept, f.ras(np.where(corner, -2000, truth)))
    aired = read_series(f.write(tmp_path / "bright", bright)).volume.data
    np.testing.assert_array_equal(aired, f.ras(np.where(corner, -1024, truth)))


def test_a_padding_value_inside_the_body_is_tissue(tmp_path):
    series = [f.changed(d, PixelPaddingValue=1024) for d in f.plain()]
    data = read_series(f.write(tmp_path / "in", series)).volume.data
    inner = f.ras(f.hounsfield())[3:-3, 3:-3]
    np.testing.assert_array_equal(data[3:-3, 3:-3], inner)


def second_series(d, **attributes):
    settings = {
        "SeriesInstanceUID": "1.2.3",
        "SeriesNumber": 4,
        "SeriesDescription": "LUNG",
        "ConvolutionKernel": "B70f",
    }
    lung = f.with_values(d, np.minimum(f.stored(d) + 7, 4095), signed=False, intercept=-1024, bits=12)
    return f.renewed(lung, **{**settings, **attributes})


@pytest.mark.parametrize(
    "rule",
    [
        SeriesRule(kernel=("B30f",)),
        SeriesRule(kernel=("B20f", "B30f", "B70f")),
        SeriesRule(series_description="^chest"),
        SeriesRule(slice_thickness_mm=(2.0, 3.0)),
        SeriesRule(choose="most_slices"),
    ],
    ids=str,
)
def test_the_rule_chooses_among_series(rule, tmp_path):
    others = [second_series(d, SliceThickness="5") for d in f.plain()[:7]]
    found = read_series(f.write(tmp_path / "in", [*others, *f.plain()]), series_rule=rule)
    np.testing.assert_array_equal(found.volume.data, f.ras(f.hounsfield()))
    assert found.sidecar["kernel"] == "B30f"


def test_a_long_dose_report_can_be_left_out_by_its_description(tmp_path):
    folder = f.write(tmp_path / "in", [*f.plain(), *map(dose_page, f.plain()[:5])])
    found = read_series(folder, series_rule=SeriesRule(series_description="chest"))
    np.testing.assert_array_equal(found.volume.data, f.ras(f.hounsfield()))


def test_one_of_two_acquisitions_can_be_chosen(tmp_path):
    again = [f.renewed(second_series(d), AcquisitionNumber=2, SeriesInstanceUID=d.SeriesInstanceUID,
                       ConvolutionKernel="B30f") for d in f.plain()]  # fmt: skip
    folder = f.write(tmp_path / "in", [*again, *f.plain()])
    found = read_series(folder, series_rule=SeriesRule(acquisition=1))
    np.testing.assert_array_equal(found.volume.data, f.ras(f.hounsfield()))


def test_an_index_serves_a_tree_and_follows_content(tmp_path, monkeypatch):
    first = f.write(tmp_path / "exam5" / "1", f.plain())
    f.write(tmp_path / "exam5" / "2", f.plain()[:8])
    index = HeaderIndex()
    headers = index.read(files_below(tmp_path))
    assert len(headers) == 18
    parsed = []
    original = __import__("paraspinal_assets.imaging.dicom_headers", fromlist=["_parse"])._parse
    monkeypatch.setattr(
        "paraspinal_assets.imaging.dicom_headers._parse",
        lambda path, *rest: parsed.append(path) or original(path, *rest),
    )
    found = series_volume([header for header in headers if header.path.parent == first]).volume
    np.testing.assert_array_equal(found.data, f.ras(f.hounsfield()))
    f.write(first, [f.changed(f.plain()[0], ConvolutionKernel="B31f")])
    index.read(files_below(tmp_path))
    assert [path.name for path in parsed] == ["IM0000.dcm"]


def test_fingerprint_is_of_content_alone(tmp_path):
    one = f.write(tmp_path / "one", f.plain())
    other = f.write(tmp_path / "other", f.plain()[::-1], "X{}".format)
    assert fingerprint(files_below(one)) == fingerprint(files_below(other)[::-1])
    (one / "IM0003.dcm").write_bytes((one / "IM0004.dcm").read_bytes())
    assert fingerprint(files_below(one)) != fingerprint(files_below(other))
