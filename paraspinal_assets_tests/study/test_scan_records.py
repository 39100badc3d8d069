"""Small files of scans are read once per version."""

from __future__ import annotations

from pathlib import Path

import pytest

from paraspinal_assets.study.database import Database
from paraspinal_assets.study.kept_texts import recall
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.scan_records import READ, StepStanding, scan_records
from paraspinal_assets.study.store import StudyStore

FIRST, SECOND = Scan("exam5", "1001"), Scan("exam6", "1001")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "study.duckdb")


def recalled(database: Database, name: str, **versions: str) -> tuple[dict[str, str], list[str]]:
    """What is recalled, and which scans were read."""
    asked: list[str] = []

    def read(keys: list[str]) -> list[str]:
        asked.extend(keys)
        return [f"{key} of {versions[key]}" for key in keys]

    return recall(database, name, versions, read), asked


def test_only_new_versions_are_read_and_what_is_gone_is_dropped(database: Database) -> None:
    assert recalled(database, "x", a="1", b="1") == ({"a": "a of 1", "b": "b of 1"}, ["a", "b"])
    assert recalled(database, "x", a="1", b="1") == ({"a": "a of 1", "b": "b of 1"}, [])
    assert recalled(database, "x", a="1", b="2", c="1") == (
        {"a": "a of 1", "b": "b of 2", "c": "c of 1"},
        ["b", "c"],
    )
    assert recalled(database, "x", c="1") == ({"c": "c of 1"}, [])
    assert recalled(database, "y", c="1") == ({"c": "c of 1"}, ["c"])
    kept = database.query("SELECT name, scan, version FROM _kept ORDER BY ALL")
    assert kept.to_numpy().tolist() == [["x", "c", "1"], ["y", "c", "1"]]
    assert recalled(database, "x") == ({}, [])


def test_files_that_did_not_change_are_not_opened_again(database: Database, tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    standings = {}
    for number, scan in enumerate((FIRST, SECOND)):
        store.write_record(scan, "ct_sidecar", {"model": f"scanner {number}"})
        standings[scan] = {
            "ct_nifti": StepStanding(done=True, version=f"v{number}"),
            **dict.fromkeys(READ[1:], StepStanding(done=False)),
        }
    before = scan_records(database, store, standings, "1")
    assert [before[scan].scanner["model"] for scan in (FIRST, SECOND)] == ["scanner 0", "scanner 1"]
    for scan in (FIRST, SECOND):
        store.write_record(scan, "ct_sidecar", {"model": "another", "PatientName": "DOE^JANE"})
    standings[SECOND] = standings[SECOND] | {"ct_nifti": StepStanding(done=True, version="v2")}
    after = scan_records(database, store, standings, "1")
    assert after[FIRST] == before[FIRST]
    assert (after[SECOND].scanner["model"], after[SECOND].foreign) == (
        "another",
        ("sidecar has PatientName",),
    )
    assert scan_records(database, store, standings, "2")[FIRST].scanner["model"] == "another"
    texts = database.query("SELECT text FROM _kept")["text"]
    assert not texts.str.contains("DOE").any()
