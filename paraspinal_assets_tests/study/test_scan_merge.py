"""Rows of scans in tables: what changed, what is gone, what cannot be read."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.scan_merge import merge_scans
from paraspinal_assets.study.schema import Column, schemas
from paraspinal_assets_tests.study.builders import SCHEMA


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / "study.duckdb")


def scan_file(folder, participant, value, reason=None):
    path = folder / f"{participant}-{value}.parquet"
    frame = {
        "exam": "exam5",
        "participant": participant,
        "level": ["T1", "T2"],
        "value": value,
        "reason": reason,
    }
    pd.DataFrame(frame).to_parquet(path)
    return str(path)


def values(database):
    return database.read("levels").groupby("participant")["value"].first().to_dict()


def test_merge_reads_only_what_changed_and_drops_what_is_gone(database, tmp_path):
    one, two = scan_file(tmp_path, "1", 1.0), scan_file(tmp_path, "2", 2.0)
    assert merge_scans(database, "levels", SCHEMA, {"exam5-1": ("a", one), "exam5-2": ("b", two)}) == 2
    Path(one).unlink()  # unchanged, so not read
    two_new, three = scan_file(tmp_path, "2", 20.0), scan_file(tmp_path, "3", 3.0)
    files = {"exam5-1": ("a", one), "exam5-2": ("B", two_new), "exam5-3": ("c", three)}
    assert merge_scans(database, "levels", SCHEMA, files) == 2
    assert values(database) == {"1": 1.0, "2": 20.0, "3": 3.0}
    del files["exam5-1"]
    assert merge_scans(database, "levels", SCHEMA, files) == 0
    assert values(database) == {"2": 20.0, "3": 3.0}
    assert len(database.read("levels")) == 4


def test_merge_starts_anew_when_columns_change(database, tmp_path):
    merge_scans(database, "levels", SCHEMA, {"exam5-1": ("a", scan_file(tmp_path, "1", 1.0))})
    wider = SCHEMA.with_columns([Column("area", "number", "mm2", "Area")])
    path = tmp_path / "wide.parquet"
    pd.read_parquet(tmp_path / "1-1.0.parquet").assign(area=5.0).to_parquet(path)
    assert merge_scans(database, "levels", wider, {"exam5-1": ("a", str(path))}) == 1
    assert database.read("levels")["area"].tolist() == [5.0, 5.0]


@pytest.mark.parametrize("at_once", [1, 100])
def test_a_column_that_is_all_missing_in_one_scan_takes_nothing_from_another(
    database, tmp_path, monkeypatch, at_once
):
    monkeypatch.setattr("paraspinal_assets.study.scan_merge.FILES_AT_ONCE", at_once)
    files = {
        "exam5-1": ("a", scan_file(tmp_path, "1", 1.0)),
        "exam5-2": ("b", scan_file(tmp_path, "2", 2.0, reason="no_body")),
    }
    merge_scans(database, "levels", SCHEMA, files)
    assert database.read("levels")["reason"].dropna().tolist() == ["no_body", "no_body"]


@pytest.mark.parametrize("at_once", [1, 100])
def test_a_broken_scan_file_changes_nothing_and_is_named(database, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("paraspinal_assets.study.scan_merge.FILES_AT_ONCE", at_once)
    good = {"exam5-1": ("a", scan_file(tmp_path, "1", 1.0))}
    merge_scans(database, "levels", SCHEMA, good)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    files = {"exam5-2": ("b", scan_file(tmp_path, "2", 2.0)), "exam5-3": ("b", str(broken))}
    with pytest.raises(MachineError, match=r"E-STUDY-36.*broken\.parquet"):
        merge_scans(database, "levels", SCHEMA, files)
    assert values(database) == {"1": 1.0}


MERGE = """
import resource, sys
from pathlib import Path
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.scan_merge import merge_scans
from paraspinal_assets.study.schema import schemas
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
database, path = Database(Path(sys.argv[1]) / "study.duckdb"), sys.argv[2]
for scans in (100, 800):
    merge_scans(database, "radiomics", schemas()["radiomics"], {f"exam5-{n}": (str(scans), path) for n in range(scans)})
    print(peak_mb())
"""


def test_reading_eight_times_the_scans_takes_no_more_memory(tmp_path):
    """Files of 100 columns, each of which a statement would hold in 1 MB."""
    schema = schemas()["radiomics"]
    frame = pd.DataFrame({column.name: [None] * 10 for column in schema.columns})
    path = tmp_path / "radiomics.parquet"
    schema.conform(frame).to_parquet(path)
    words = [sys.executable, "-c", MERGE, str(tmp_path), str(path)]
    few, many = map(float, subprocess.run(words, check=True, capture_output=True, text=True).stdout.split())
    assert many - few < 150


def test_ids_that_look_like_sql_are_values(database, tmp_path):
    files = {"exam5-1": ("'; DROP TABLE levels; --", scan_file(tmp_path, "1", 1.0))}
    merge_scans(database, "levels", SCHEMA, files)
    assert merge_scans(database, "levels", SCHEMA, files) == 0
    assert (
        database.query("SELECT count(*) AS n FROM levels WHERE participant = ?", ["1' OR '1'='1"])["n"][0]
        == 0
    )
