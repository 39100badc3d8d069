import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from paraspinal_assets.report.contact_sheet import CAPTION_HEIGHT, DIGEST, GAP, contact_sheet, sheet_png
from paraspinal_assets.report.qc_picture import VIEWS, qc_picture
from paraspinal_assets.report.sheet_plan import MAX_PER_EXAM, MAX_REJECTED, PER_SHEET, plan_sheets
from paraspinal_assets_tests.imaging.blocks import LEVELS, block_spine


@pytest.fixture(scope="module")
def picture():
    return qc_picture(*block_spine(), LEVELS, title="exam5-1001", notes=[])


def verdicts(scans, rejected=0, exam="exam5"):
    return pd.DataFrame(
        {
            "exam": exam,
            "participant": [f"{number:06d}" for number in range(scans)],
            "accepted": [number >= rejected for number in range(scans)],
            "reasons": ["metal, contrast" if number < rejected else None for number in range(scans)],
        }
    )


def test_every_picture_has_its_place_and_only_its_views(picture):
    other = Image.open(io.BytesIO(picture)).convert("RGB")
    other.paste((255, 0, 0), VIEWS)
    buffer = io.BytesIO()
    other.save(buffer, format="PNG")
    pictures = [("a", picture)] * 4 + [("b", buffer.getvalue())]
    sheet = np.asarray(contact_sheet(pictures, title="", columns=3, width=200))
    red = (sheet == (255, 0, 0)).all(axis=-1)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (columns[0], columns.size) == (GAP + 200 + GAP, 200)
    height = (sheet.shape[0] - 40) // 2
    assert rows[0] == 40 + height + CAPTION_HEIGHT
    assert rows.size == height - CAPTION_HEIGHT - GAP
    assert red.sum() == rows.size * columns.size


def test_the_same_pictures_give_the_same_bytes_which_say_what_they_show(picture):
    first, second = (
        sheet_png(contact_sheet([("exam5-1: metal", picture)], title="t", columns=5, width=300), "ab12")
        for _ in range(2)
    )
    assert first == second
    assert Image.open(io.BytesIO(first)).info[DIGEST] == "ab12"


def test_a_long_caption_stays_above_its_own_picture(picture):
    long = [("M" * 500, picture), ("", picture)]
    sheet = np.asarray(contact_sheet(long, title="", columns=2, width=120))
    captions = (sheet[40 : 40 + CAPTION_HEIGHT] > 200).all(axis=-1).any(axis=0)
    assert captions[: 120 + GAP].any()
    assert not captions[120 + GAP :].any()


def test_rejected_scans_come_first_with_their_reasons_and_stay_in_their_exam():
    rejected, exam5, exam6 = plan_sheets(
        pd.concat([verdicts(150, rejected=2, exam="exam6"), verdicts(3, exam="exam5")])
    )
    assert [entry.caption for entry in rejected.sheets[0].entries] == [
        "exam6-000000: metal, contrast",
        "exam6-000001: metal, contrast",
    ]
    assert [entry.caption for entry in exam5.sheets[0].entries] == [f"exam5-00000{n}" for n in range(3)]
    assert [sheet.name for sheet in exam6.sheets] == ["exam-exam6-1", "exam-exam6-2"]
    assert [len(sheet.entries) for sheet in exam6.sheets] == [PER_SHEET, 50]
    assert exam6.sheets[0].entries[1].caption == "exam6-000001 *"
    assert exam6.sheets[0].title == "Scans of exam6 (* rejected): 150, sheet 1 of 2"


def test_a_study_without_rejected_scans_has_no_sheet_of_them():
    assert [group.overview.name for group in plan_sheets(verdicts(2))] == ["overview-exam-exam5"]
    assert plan_sheets(verdicts(0)) == []


def test_a_hundred_thousand_scans_are_shown_by_a_bounded_number_of_pictures():
    rejected, exam = plan_sheets(verdicts(100_000, rejected=5_000))
    assert sum(len(sheet.entries) for sheet in rejected.sheets) == MAX_REJECTED
    places = [int(entry.participant) for sheet in exam.sheets for entry in sheet.entries]
    assert len(places) == MAX_PER_EXAM
    assert (places[0], places[-1]) == (0, 99_999)
    assert set(np.diff(places)) <= {50, 51}
    assert "2,000 of 100,000" in exam.sheets[0].title
    assert "1,000 of 5,000" in rejected.sheets[0].title
    assert "12 of 5,000" in rejected.overview.title
