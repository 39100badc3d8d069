"""Identifying text planted in DICOM headers and clinical tables is nowhere in what a study writes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.dicom_writer import Acquisition, planted_values, write_series
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.imaging import dicom_factory as dicom
from paraspinal_assets_tests.imaging.test_dicom_variants import second_series

pytestmark = pytest.mark.slow

BIRTH, EXAM, LATER = "1951-03-17", "2012-07-29", "2018-11-23"


def test_nothing_of_a_header_or_a_date_is_written(built: BuiltStudy) -> None:
    acquisition = _plant(built.root)
    canaries = [value.encode() for value in planted_values(acquisition) if len(value) > 3]
    canaries += [text.encode() for date in (BIRTH, EXAM, LATER) for text in (date, date.replace("-", ""))]
    report = built.run()
    assert "exam5-1001" in report.materialized["ct_nifti"]
    written = [path for path in built.root.rglob("*") if path.is_file() and _is_output(path, built.root)]
    assert len(written) > 100
    kinds = {"ct.json", "ct.nii.gz", "muscle.parquet", "qc.png", "study.duckdb", "report.html"}
    assert kinds <= {path.name for path in written}, "what a canary could be in"
    assert any(".dagster" in path.parts and path.suffix == ".db" for path in written), "the event log"
    for path in written:
        content = path.read_bytes() + _inside(path)
        for canary in canaries:
            assert canary not in content, (canary, path)


NAME = "CANARIO^DOMINGO"
BORN = "19470815"
REFUSED: dict[str, tuple[str, Callable[[dicom.Series], dicom.Series]]] = {
    "E-DICOM-01": ("1000", lambda s: []),
    "E-DICOM-02": ("1001", lambda s: [_labelled(d, "BitsAllocated") for d in s]),
    "E-DICOM-03": ("1002", lambda s: s[:2]),
    "E-DICOM-04": (
        "1003",
        lambda s: s + [second_series(d, SeriesDescription=f"CHEST FOR {NAME}") for d in s],
    ),
    "E-DICOM-05": ("1004", lambda s: s[:4] + s[5:]),
    "E-DICOM-06": ("1005", lambda s: [*s, dicom.renewed(s[5])]),
    "E-DICOM-07": ("1006", lambda s: [*s[:4], dicom.moved(s[4], 0, 0.5), *s[5:]]),
    "E-DICOM-08": ("1007", lambda s: [_labelled(s[0], "KVP"), *s[1:]]),
    "E-DICOM-09": ("1008", lambda s: [_labelled(d, "PixelSpacing") for d in s]),
    "E-DICOM-10": ("1009", lambda s: [_labelled(s[0], "Rows"), *s[1:]]),
    "E-DICOM-11": ("1010", lambda s: [dicom.changed(d, RescaleType=NAME) for d in s]),
    "E-DICOM-12": ("1011", lambda s: [dicom.changed(d, BitsStored=11, HighBit=10) for d in s]),
    "E-DICOM-13": ("1012", lambda s: [dicom.changed(d, RescaleSlope="100") for d in s]),
    "E-DICOM-15": ("1013", lambda s: [dicom.changed(s[0], PatientID=NAME), *s[1:]]),
    "E-DICOM-16": ("1014", lambda s: [dicom.changed(d, LossyImageCompression="01") for d in s]),
}
"""Code -> participant, and what makes a series one that is refused so."""


def test_nothing_of_what_is_refused_is_stored(new_study: Callable[[], BuiltStudy]) -> None:
    study = new_study()
    folder = study.root / "incoming" / "exam5"
    for code, (person, change) in REFUSED.items():
        place = folder / f"{person}.nii.gz"
        place.unlink(missing_ok=True)
        series = [dicom.changed(d, SeriesDescription=f"{code} {NAME}") for d in dicom.plain()]
        dicom.write(place / NAME, change(series), lambda index: f"{NAME}_{BORN}_{index:03d}.dcm")
    volume = bytearray(gzip.decompress((study.root / "incoming" / "exam6" / "1001.nii.gz").read_bytes()))
    volume[148:163], volume[344:348] = NAME.encode(), NAME[:4].encode()  # description, magic
    (study.root / "incoming" / "exam6" / "1001.nii.gz").write_bytes(gzip.compress(volume))
    (folder / f"{NAME}.nii.gz").mkdir()  # no participant
    study.edit("people.csv", "1001,60.0,Female,0", f"1001,{NAME},{NAME},{BORN}\n{NAME},60,Male,1")
    report = study.run()
    refused = {code: report.messages["ct_nifti", f"exam5-{person}"] for code, (person, _) in REFUSED.items()}
    assert {code: message[1:11] for code, message in refused.items()} == {code: code for code in REFUSED}
    assert "wrong magic)" in report.messages["ct_nifti", "exam6-1001"]
    assert "row 2 participant 1001: sex" in report.messages["clinical", ""]
    assert "file 4 of 9 to file 5 of 9" in refused["E-DICOM-05"]
    written = [path for path in study.root.rglob("*") if path.is_file() and _is_output(path, study.root)]
    assert any(path.name == "study.duckdb" for path in written)
    assert any(".dagster" in path.parts and path.suffix == ".db" for path in written), "the event log"
    for path in written:
        content = (path.read_bytes() + _inside(path)).upper()
        for canary in (b"CANARIO", b"DOMINGO", BORN.encode()):
            assert canary not in content, (canary, path)


def _labelled(d: Dataset, keyword: str) -> Dataset:
    """A copy in which an attribute is a person's name, whatever the standard wants."""
    out = dicom.changed(d)
    out[keyword] = DataElement(keyword, "LO", NAME)
    return out


def _inside(path: Path) -> bytes:
    """What a compressed file says: volumes, tables, and the text chunks of pictures."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv().encode()
    if path.suffix == ".png":
        return repr(Image.open(path).info).encode()
    if path.suffix == ".duckdb":
        with duckdb.connect(path, read_only=True) as database:
            names = [name for (name,) in database.execute("SHOW TABLES").fetchall()]
            assert "scans" in names
            return "".join(database.table(f'"{name}"').df().to_csv() for name in names).encode()
    return b""


def _is_output(path: Path, root: Path) -> bool:
    return path.relative_to(root).parts[0] not in {
        "incoming",
        "masks",
        "people.csv",
        "visits.csv",
        "study.yaml",
    }


def _plant(root: Path) -> Acquisition:
    """Replace the first participant's baseline scan by a DICOM series, and add dates to the clinical table."""
    phantom = make_phantom(tiny_parameters(muscle_hu=20.0, muscle_width=12.0), np.random.default_rng(1))
    acquisition = Acquisition("exam5-1001", date=EXAM.replace("-", ""))
    folder = root / "incoming" / "exam5" / "1001.nii.gz"
    folder.unlink()
    write_series(folder, phantom.ct, acquisition)
    text = (root / "study.yaml").read_text()
    dates = "        date_of_birth: {type: date}\n        age: {range"
    visits = "    visits:\n      file: visits.csv\n      exam: exam\n      columns:\n        exam_date: {type: date}\n"
    text = text.replace("        age: {range", dates).replace("readers:", f"{visits}readers:")
    (root / "study.yaml").write_text(text)
    people = (root / "people.csv").read_text().splitlines()
    (root / "people.csv").write_text(
        "\n".join([people[0] + ",date_of_birth", *(f"{line},{BIRTH}" for line in people[1:])]) + "\n"
    )
    (root / "visits.csv").write_text(f"participant,exam,exam_date\n1001,exam5,{EXAM}\n1001,exam6,{LATER}\n")
    return acquisition
