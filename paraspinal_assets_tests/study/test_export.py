"""Exports, read back by programs that did not write them."""

import csv
import hashlib
import math

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyreadstat
import pytest

from paraspinal_assets.errors import MachineError, StudyError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.export import export
from paraspinal_assets.study.schema import Column, schemas

LONG = "müde " * 600
CLINICAL = schemas()["clinical"].with_columns(
    [
        Column("bmi", "number", "kg/m2", "Body mass index"),
        Column("tobacco", "integer", "", "0 never, 1 former, 2 current"),
        Column("note", "text", "", "What the reader wrote"),
        Column("smoker", "flag", "", "Whether smoking"),
    ]
)
PEOPLE = pd.DataFrame(
    {
        "participant": ["1", "2", "3"],
        "bmi": [0.1 + 0.2, None, 1e-300],
        "tobacco": [2, None, 0],
        "note": ['a "quote", comma\nand a line', None, LONG],
        "smoker": [True, None, False],
    }
)
CURVE = pd.DataFrame(
    {
        "model": "Volume",
        "estimate": "apparent",
        "threshold": [-math.inf, 0.5, math.inf],
        "sensitivity": [1.0, 0.5, 0.0],
        "specificity": [0.0, 0.5, 1.0],
    }
)


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "study.duckdb")
    database.replace({"roc_curve": (schemas()["roc_curve"], CURVE), "clinical": (CLINICAL, PEOPLE)})
    return database


def test_parquet_reads_back_with_types_and_documentation(database, tmp_path):
    export(database, tmp_path / "out", "parquet")
    table = pq.read_table(tmp_path / "out" / "clinical.parquet")
    assert table.column("bmi").to_pylist() == [0.1 + 0.2, None, 1e-300]
    assert table.column("tobacco").to_pylist() == [2, None, 0]
    assert table.column("note").to_pylist() == [PEOPLE["note"][0], None, LONG]
    assert table.column("smoker").to_pylist() == [True, None, False]
    assert table.schema.field("bmi").metadata == {b"meaning": b"Body mass index", b"unit": b"kg/m2"}
    assert table.schema.metadata[b"description"].startswith(b"One row per participant")
    curve = duckdb.sql(f"SELECT * FROM '{tmp_path / 'out' / 'roc_curve.parquet'}'").fetchall()
    assert [row[2] for row in curve] == [-math.inf, 0.5, math.inf]


def test_csv_reads_back_to_the_last_bit(database, tmp_path):
    export(database, tmp_path / "out", "csv")
    raw = (tmp_path / "out" / "clinical.csv").read_bytes()
    assert b"\r" not in raw
    with open(tmp_path / "out" / "clinical.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["bmi"]) if row["bmi"] else None for row in rows] == [0.1 + 0.2, None, 1e-300]
    assert [row["tobacco"] for row in rows] == ["2", "", "0"]
    assert [row["note"] for row in rows] == [PEOPLE["note"][0], "", LONG]
    with open(tmp_path / "out" / "roc_curve.csv", encoding="utf-8", newline="") as file:
        assert [float(row["threshold"]) for row in csv.DictReader(file)] == [-math.inf, 0.5, math.inf]


def test_stata_reads_back_with_labels(database, tmp_path):
    export(database, tmp_path / "out", "stata")
    frame, meta = pyreadstat.read_dta(str(tmp_path / "out" / "clinical.dta"))
    assert meta.column_names_to_labels["bmi"] == "Body mass index [kg/m2]"
    assert meta.file_label.startswith("One row per participant")
    assert frame["bmi"].tolist()[::2] == [0.1 + 0.2, 1e-300]
    assert np.isnan(frame["bmi"][1])
    assert frame["smoker"].tolist()[::2] == [1, 0]
    with pd.io.stata.StataReader(tmp_path / "out" / "clinical.dta") as reader:
        assert reader.read()["note"].tolist() == [PEOPLE["note"][0], "", LONG]
    curve, meta = pyreadstat.read_dta(str(tmp_path / "out" / "roc_curve.dta"))
    assert curve["threshold"].isna().tolist() == [True, False, True]
    assert "infinite is missing" in meta.column_names_to_labels["threshold"]


@pytest.mark.parametrize("kind", ["parquet", "csv", "stata"])
def test_the_same_tables_give_the_same_bytes(database, tmp_path, kind):
    digests = [
        [hashlib.sha256(path.read_bytes()).hexdigest() for path in export(database, tmp_path / name, kind)]
        for name in ("one", "two")
    ]
    assert digests[0] == digests[1]


def test_scan_tables_are_in_the_order_of_scans_whenever_they_were_measured(tmp_path):
    schema = schemas()["bone_metrics"]
    database = Database(tmp_path / "study.duckdb")
    frame = pd.DataFrame(
        {column.name: pd.NA for column in schema.columns}
        | {
            "exam": ["exam6", "exam5", "exam5"],
            "participant": ["1", "2", "2"],
            "level": ["T1", "T2", "T10"],
        }
    )
    database.replace({"bone_metrics": (schema, frame)})
    export(database, tmp_path, "csv")
    written = pd.read_csv(tmp_path / "bone_metrics.csv", dtype=str)
    assert written["level"].tolist() == ["T2", "T10", "T1"]


@pytest.mark.parametrize("kind", ["parquet", "csv", "stata"])
def test_a_table_in_several_parts_is_one_file(tmp_path, kind):
    rows = 70_000
    people = pd.concat([PEOPLE] * (rows // 3), ignore_index=True)
    people["participant"] = [str(number) for number in range(len(people))]
    people.loc[:66_000, "note"] = None  # of another type where nothing is known
    database = Database(tmp_path / "study.duckdb")
    database.replace({"clinical": (CLINICAL, people)})
    file, *_ = export(database, tmp_path, kind)
    read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "stata": pd.read_stata}[kind](file)
    assert read["participant"].astype(int).tolist() == list(range(len(people)))
    np.testing.assert_array_equal(read["bmi"].astype(float), people["bmi"])
    assert read["note"].fillna("").tolist() == people["note"].fillna("").tolist()


def test_nothing_is_written_beside_the_database(database, tmp_path):
    """Who exports may have no right to write into the study."""
    kept = database.path.parent / "study"
    kept.mkdir()
    readable = Database(database.path.rename(kept / "study.duckdb"))
    changed = kept.stat().st_mtime_ns
    export(readable, tmp_path / "out", "parquet")
    assert kept.stat().st_mtime_ns == changed
    assert [path.name for path in kept.iterdir()] == ["study.duckdb"]


def test_a_full_disk_is_an_error_in_words(database, tmp_path, monkeypatch):
    def full(*_):
        raise duckdb.IOException('Could not write file "x": No space left on device')

    monkeypatch.setattr(Database, "documented", full)
    with pytest.raises(MachineError, match=r"E-DISK-01(.|\n)*free space"):
        export(database, tmp_path / "out", "csv")


def test_the_dictionary_covers_exactly_the_tables_present(database, tmp_path):
    files = export(database, tmp_path / "out", "csv")
    assert [path.name for path in files] == [
        *("clinical.csv", "roc_curve.csv", "data_dictionary.csv", "data_dictionary.md", "reason_codes.csv")
    ]
    dictionary = pd.read_csv(tmp_path / "out" / "data_dictionary.csv", keep_default_na=False)
    assert set(dictionary["table"]) == {"clinical", "roc_curve"}
    bmi = dictionary[dictionary["column"] == "bmi"].iloc[0]
    assert (bmi["type"], bmi["unit"], bmi["meaning"]) == ("number", "kg/m2", "Body mass index")
    page = (tmp_path / "out" / "data_dictionary.md").read_text(encoding="utf-8")
    assert "| `bmi` | number | kg/m2 | Body mass index |" in page
    assert "`level_absent`" in page
    codes = pd.read_csv(tmp_path / "out" / "reason_codes.csv")
    assert {"level_absent", "segmentation_differs"} <= set(codes["code"])


def test_a_study_without_tables_says_what_to_run(tmp_path):
    with pytest.raises(StudyError, match=r"E-STUDY-31.*\n.*paraspinal run"):
        export(Database(tmp_path / "study.duckdb"), tmp_path / "out", "csv")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(database, tmp_path):
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(MachineError, match="E-STUDY-35"):
        export(database, tmp_path / "out", "csv")
