"""New deformities: of accepted scans with enough levels compared, whatever the outcome."""

import pandas as pd

from paraspinal_assets.study.outcomes import incident_fractures

LEVELS = [f"T{i}" for i in range(1, 11)]


def found(after, *, status="measured"):
    """Fracture and levels compared of one participant without a deformity at baseline; grades at follow-up given."""
    grades = pd.DataFrame(
        [
            {"exam": exam, "participant": "a", "level": level, "genant_grade": grade}
            for exam, spine in (("exam5", [0] * len(LEVELS)), ("exam6", after))
            for level, grade in zip(LEVELS, spine, strict=True)
        ]
    ).astype({"genant_grade": "Int64"})
    scans = pd.DataFrame({"exam": ["exam5", "exam6"], "participant": "a", "status": ["measured", status]})
    table = incident_fractures(grades, scans, "exam5", "exam6")
    assert list(table.columns) == ["fracture", "levels_compared"]
    return [None if pd.isna(value) else int(value) for value in table.loc["a"]] if len(table) else None


def test_new_and_no_new_deformity():
    assert found([0] * 9 + [2]) == [1, 10]
    assert found([0] * 10) == [0, 10]


def test_what_is_known_does_not_depend_on_the_outcome():
    """Eight of ten levels are enough and seven are not, with and without a new deformity."""
    for grade in (0, 2):
        assert found([grade] + [0] * 7 + [None] * 2) == [int(grade > 0), 8]
        assert found([grade] + [0] * 6 + [None] * 3) == [None, 7]


def test_a_rejected_scan_makes_no_fracture():
    assert found([2] * 10, status="rejected") is None
