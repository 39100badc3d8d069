"""What became of each scan, from its files and the standing of its steps."""

import pandas as pd
import pytest

from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.scan_records import StepStanding, read_records
from paraspinal_assets.study.scan_table import (
    QUALITY_MEASURES,
    STEPS,
    quality_table,
    reject_shifted,
    scan_table,
)
from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.store import StudyStore

SCAN = Scan("exam5", "1001")
DONE = dict.fromkeys(STEPS, StepStanding(done=True))
SIDECAR = {
    "manufacturer": "SIEMENS",
    "model": "Definition",
    "kernel": "B35f",
    "kvp": 120.0,
    "slice_thickness_mm": 1.0,
}


@pytest.fixture
def row(tmp_path):
    store = StudyStore(tmp_path)

    def make(standings=DONE, *, reason=None, accepted=True, reasons=(), reader=None, sidecar=SIDECAR):
        store.write_record(SCAN, "ct_sidecar", sidecar)
        model = {"segmenter": "imported", "note": "masks of 2019"}
        store.write_record(SCAN, "segmentation", {"reason": reason, "model": model})
        quality = {"accepted": accepted, "reasons": list(reasons), "reader": reader, "measures": {}}
        store.write_record(SCAN, "quality", quality)
        records = {SCAN: read_records(store, SCAN, standings)}
        table = scan_table(records, {SCAN: standings}, quality_table(records))
        schemas()["scans"].check(table)
        return schemas()["scans"].conform(table).iloc[0]

    return make


def standings(**changed):
    return {**DONE, **changed}


def test_a_scan_with_every_step_done_is_measured(row):
    found = row()
    assert (found["status"], found["segmenter"], found["manufacturer"]) == (
        "measured",
        "imported, masks of 2019",
        "SIEMENS",
    )
    assert (found["scanner_model"], found["kvp"]) == ("Definition", 120.0)
    assert found[["reason", "detail", "failed_step", "contrast_agent"]].isna().all()


def test_a_rejected_scan_carries_its_first_reason_and_all(row):
    found = row(accepted=False, reasons=["metal", "asymmetry"], reader={"decision": "reject"})
    assert (found["status"], found["reason"], found["detail"]) == ("rejected", "metal", "metal, asymmetry")
    assert found["reader"] == "reject"


def test_what_the_segmentation_could_not_find_comes_first(row):
    found = row(reason="no_vertebrae", accepted=False, reasons=["missing_level"])
    assert (found["status"], found["reason"]) == ("not_measurable", "no_vertebrae")


def test_a_scan_that_the_study_file_excludes_carries_its_words(row):
    code = "excluded_by_study"
    sidecar = {"reason": code, "detail": "patient moved"}
    found = row(reason=code, accepted=False, reasons=[code], sidecar=sidecar)
    assert (found["status"], found["reason"], found["detail"]) == ("not_measurable", code, "patient moved")


@pytest.mark.parametrize("step", STEPS)
def test_a_failed_step_is_named_with_its_message(row, step):
    found = row(standings(**{step: StepStanding(done=False, message="[E-X] broken")}))
    assert (found["status"], found["reason"]) == ("failed", STEPS[step])
    assert (found["failed_step"], found["detail"]) == (step, "[E-X] broken")
    assert found["reason"] in REASONS


def test_a_scan_under_way_is_pending(row):
    assert row(standings(quality=StepStanding(done=False)))["status"] == "pending"


def test_a_scan_that_could_not_be_read_needs_no_files(tmp_path):
    failed = {"ct_nifti": StepStanding(done=False, message="[E-DICOM-04] slice missing")}
    nothing = dict.fromkeys(STEPS, StepStanding(done=False))
    records = {SCAN: read_records(StudyStore(tmp_path), SCAN, nothing)}
    table = scan_table(records, {SCAN: nothing | failed}, quality_table(records))
    assert table["reason"].tolist() == ["read_error"]


def test_no_scans_make_an_empty_table():
    schemas()["scans"].check(scan_table({}, {}, quality_table({})))


def verdicts(*rows):
    names = ["exam", "participant", "accepted", "reasons", "reader_decision", "lung_apex_level"]
    return pd.DataFrame(rows, columns=names).assign(first_rib_level=None)


def test_a_level_that_is_off_against_the_other_exam_rejects_both_unless_a_reader_decided():
    made = reject_shifted(
        verdicts(
            ("exam5", "a", True, None, None, 1.0),
            ("exam6", "a", True, "contrast", None, 2.1),
            ("exam5", "b", True, None, "accept", 1.0),
            ("exam6", "b", True, None, None, 2.1),
            ("exam5", "c", True, None, None, None),
        ),
        {},
    )
    assert made["accepted"].tolist() == [False, False, True, False, True]
    assert made["reasons"].fillna("").tolist() == [
        *("level_shift", "level_shift, contrast", "", "level_shift", "")
    ]


def test_no_verdicts_are_shifted_in_an_empty_study():
    assert reject_shifted(verdicts(), {}).empty


def test_the_quality_table_has_verdict_measures_and_reader(tmp_path):
    store = StudyStore(tmp_path)
    reader = {"decision": "accept", "reader": "AB", "reason": "implant outside the muscle"}
    measures = {"metal_mm3": 120.0, "levels_found": 10}
    content = {"accepted": True, "reasons": ["metal"], "reader": reader, "measures": measures}
    store.write_record(SCAN, "quality", content)
    store.write_record(SCAN, "ct_sidecar", SIDECAR)
    store.write_record(SCAN, "segmentation", {"reason": None, "model": {}})
    schema = schemas()["quality"]
    table = quality_table({SCAN: read_records(store, SCAN, DONE)})
    schema.check(table)
    found = schema.conform(table).iloc[0]
    assert (found["accepted"], found["reasons"], found["reader"]) == (True, "metal", "AB")
    assert (found["metal_mm3"], found["levels_found"]) == (120.0, 10)
    assert found[[name for name in QUALITY_MEASURES if name not in measures]].isna().all()
