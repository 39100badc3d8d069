from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from paraspinal_assets.defs.ingest.checks import only_allowed_headers
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.scan_records import READ, ScanRecords, StepStanding, foreign, read_records
from paraspinal_assets.study.store import StudyStore

SCAN = Scan("exam5", "1001")


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    store = StudyStore(tmp_path)
    volume = Volume(np.zeros((4, 4, 4), np.int16), np.diag([0.7, 0.7, 1.25, 1.0]))
    store.write_artifact(SCAN, "ct", lambda path: write_volume(path, volume))
    store.write_record(SCAN, "ct_sidecar", {"kvp": 120.0, "spacing_mm": [0.7, 0.7, 1.25]})
    return store


def records(store: StudyStore) -> dict[Scan, ScanRecords]:
    steps = dict.fromkeys(READ, StepStanding(done=False))
    return {SCAN: read_records(store, SCAN, steps)}


def test_what_we_write_is_allowed(store: StudyStore) -> None:
    assert only_allowed_headers(records(store)).passed


def test_another_sidecar_key_is_found_and_its_value_not_repeated(store: StudyStore) -> None:
    store.write_record(
        SCAN, "ct_sidecar", {**store.read_record(SCAN, "ct_sidecar"), "PatientName": "DOE^JANE"}
    )
    check = only_allowed_headers(records(store))
    assert (check.passed, check.sentence) == (False, "exam5-1001: sidecar has PatientName")


# Offsets of NIfTI-1 (nifti1.h): db_name 14, descrip 148, aux_file 228, intent_name 328, extension flag 348.
@pytest.mark.parametrize("offset", [14, 148, 228, 328, 348])
def test_text_in_a_header_field_is_found(store: StudyStore, offset: int) -> None:
    path = store.fetch(SCAN, "ct")
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[offset : offset + 3] = b"DOE"
    path.write_bytes(gzip.compress(bytes(raw)))
    assert list(foreign(store, SCAN)) == ["the NIfTI header has text or extensions"]
