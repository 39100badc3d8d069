from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets.study.traces import Traces
from paraspinal_assets.study.withdrawn import Withdrawn

TRACES = Traces("12", ["exam5", "exam6"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exam5-12", "forgotten"),
        ("exam5-12-2", "exam5-12-2"),
        ("exam5-123", "exam5-123"),
        (
            "2 of 40 scans failed: exam5-12 (E-VOL-01), exam6-3",
            "2 of 40 scans failed: forgotten (E-VOL-01), exam6-3",
        ),
        ("row 3 participant 12: age", "row 3 participant forgotten: age"),
        ("a mean of 12.5 or 0.12", "a mean of 12.5 or 0.12"),
        ("12", "12"),
        ("/data/exam5/12/ct.nii.gz", "/data/exam5/forgotten/ct.nii.gz"),
        ("/data/exam5/12.nii.gz", "/data/exam5/forgotten.nii.gz"),
        ("| who | age |\n| 12 | 60 |\n| 13 | 61 |", "| who | age |\n| 13 | 61 |"),
    ],
)
def test_a_name_is_taken_out_and_a_number_is_not(text: str, expected: str) -> None:
    assert TRACES.without(text) == expected


def test_json_stays_json_and_its_numbers_and_pointers_stay() -> None:
    inner = json.dumps({"exam5-12": "E-1", "n": 12})
    event = {"id": 12, "tags": {"dagster/input_event_pointer/ct": "12"}, "body": inner, "participant": "12"}
    cleaned = json.loads(TRACES.without(json.dumps(event)))
    assert cleaned.pop("participant") == "forgotten"
    assert json.loads(cleaned.pop("body")) == {"forgotten": "E-1", "n": 12}
    assert cleaned == {"id": 12, "tags": {"dagster/input_event_pointer/ct": "12"}}


def test_who_withdrew_is_remembered_without_the_id(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    Withdrawn.of_study(tmp_path).add("P-77", store).add("P-78", store)
    again = Withdrawn.of_study(tmp_path)
    assert ("P-77" in again, "P-78" in again, "P-7" in again) == (True, True, False)
    assert "P-77" not in (tmp_path / "withdrawn.json").read_text()


def test_a_damaged_list_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "withdrawn.json").write_text("{")
    with pytest.raises(StudyError, match="E-STUDY-61"):
        Withdrawn.of_study(tmp_path)


@pytest.mark.parametrize("part", [1, 5, 9, 1000])
@pytest.mark.parametrize(
    ("content", "found"),
    [(b"\0\0exam5-12\0", True), (b"\0exam6-12", True), (b"\0exam5-123\0exam6-1", False), (b"", False)],
)
def test_a_key_in_a_binary_file_is_found_wherever_its_parts_begin(monkeypatch, part, content, found):
    monkeypatch.setattr("paraspinal_assets.study.traces.PART", part)
    assert TRACES.has_key(io.BytesIO(content)) is found
