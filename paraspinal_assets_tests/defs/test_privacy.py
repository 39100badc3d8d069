"""Identifying text planted in DICOM headers and clinical tables is nowhere in what a study writes."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.dicom_writer import Acquisition, planted_values, write_series
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets_tests.defs.conftest import BuiltStudy

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
            assert "cohort" in names
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
