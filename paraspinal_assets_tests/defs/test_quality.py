"""A scan's verdict, its picture, and the contact sheets that show it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from paraspinal_assets.defs.report.contact_sheets import _inline, overviews
from paraspinal_assets.defs.segmentation.assets import judge
from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_volume, write_volume
from paraspinal_assets.report.sheet_plan import Entry, Sheet
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.traces import Traces
from paraspinal_assets_tests.defs.conftest import BuiltStudy

pytestmark = pytest.mark.slow
SCAN = Scan("exam5", "1001")


def drop_t5(study: BuiltStudy) -> None:
    path = study.workspace.store.fetch(SCAN, "labels")
    labels = read_volume(path)
    data = np.where(np.isin(labels.data, (body_label("T5"), rest_label("T5"))), 0, labels.data)
    write_volume(path, Volume(data.astype(np.uint8), labels.affine))


def test_a_readers_word_goes_before_the_rules_and_stands_in_the_picture(built: BuiltStudy) -> None:
    drop_t5(built)
    store = built.workspace.store
    seen = []
    for decision in ("", "1001,exam5,accept,AB,T5 is fused\n", "1001,exam5,reject,AB,motion\n"):
        (built.root / "review.csv").write_text(f"participant,exam,decision,reader,reason\n{decision}")
        result = judge(SCAN, built.workspace)
        content = store.read_record(SCAN, "quality")
        seen.append((content["accepted"], content["reasons"], result.not_measurable))
        seen.append(store.fetch(SCAN, "qc").read_bytes())
    assert seen[::2] == [
        (False, ["missing_level"], "missing_level"),
        (True, ["missing_level"], None),
        (False, ["reader_rejected", "missing_level"], "reader_rejected"),
    ]
    assert len(set(seen[1::2])) == 3, "three pictures that say three things"


def test_a_scan_on_which_nothing_is_labelled_is_shown_whole(built: BuiltStudy) -> None:
    store = built.workspace.store
    path = store.fetch(SCAN, "labels")
    labels = read_volume(path)
    write_volume(path, Volume(np.zeros_like(labels.data), labels.affine))
    assert judge(SCAN, built.workspace).not_measurable == "empty_segmentation"
    shown = np.asarray(Image.open(store.fetch(SCAN, "qc")).convert("L"))
    assert shown[100:500, 300:500].std() > 10, "tissue and air, though nothing is outlined"


def test_another_picture_is_another_version_though_the_verdict_is_the_same(
    built: BuiltStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = judge(SCAN, built.workspace).data_version
    assert judge(SCAN, built.workspace).data_version == before
    monkeypatch.setattr("paraspinal_assets.report.qc_picture.qc_picture", lambda *_, **__: _png())
    assert judge(SCAN, built.workspace).data_version != before


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1000, 680)).save(buffer, format="PNG")
    return buffer.getvalue()


def test_the_report_shows_both_exams_and_links_to_sheets_that_are_there(built: BuiltStudy) -> None:
    store = built.workspace.store
    shown = overviews(store)
    assert [block.title for block in shown] == [
        f"Scans of {exam} (* rejected): 6" for exam in ("exam5", "exam6")
    ]
    for block in shown:
        assert Image.open(io.BytesIO(block.jpeg)).width < 1100
        assert [(store.report_folder / link).is_file() for link in block.links] == [True]
    assert (store.report_folder / "report.html").read_text().count('src="data:image/jpeg;base64,') == 2


def test_a_sheet_in_an_event_goes_with_any_scan_that_it_shows() -> None:
    entries = (Entry("exam5", "1001", ""), Entry("exam6", "1002", ""))
    sheet = Sheet("overview-rejected", "Rejected scans: 2", entries, columns=4, width=240)
    text = _inline(sheet, b"pixels")
    assert "base64" in text
    assert "base64" not in Traces("1002", ["exam5", "exam6"]).without(text)
    assert Traces("1003", ["exam5", "exam6"]).without(text) == text
