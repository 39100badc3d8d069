"""A small valid study file to change in tests."""

import textwrap

from paraspinal_assets.study.schema import Column, TableSchema
from paraspinal_assets.study.settings import Study

SCHEMA = TableSchema(
    "levels",
    "Levels of a scan.",
    ("exam", "participant", "level"),
    (
        Column("exam", "text", "", "Exam"),
        Column("participant", "text", "", "Participant"),
        Column("level", "text", "", "Level"),
        Column("value", "number", "mm3", "It's a value"),
        Column("reason", "text", "", "Reason"),
    ),
)
"""A table of scans as small as can be."""

MINIMAL = textwrap.dedent(
    """\
    name: Test study
    exams:
      exam5:
        role: baseline
        imaging: dicom/exam5
      exam6:
        role: follow_up
        imaging: dicom/exam6
    clinical:
      fracture: none
      tables:
        people:
          file: people.csv
          columns:
            bmi: {unit: kg/m2, range: [12, 80]}
    """
)


def study(tables=None, **parts):
    """A study with other clinical tables or other parts."""
    clinical = {
        "fracture": "none",
        "tables": tables or {"people": {"file": "people.csv", "columns": {"bmi": {}}}},
    }
    content = {
        "name": "Test study",
        "exams": {
            "exam5": {"role": "baseline", "imaging": "dicom/exam5"},
            "exam6": {"role": "follow_up", "imaging": "dicom/exam6"},
        },
        "clinical": clinical,
    }
    return Study.model_validate({**content, **parts})
