"""A small valid study file to change in tests."""

import textwrap

from paraspinal_assets.study.settings import Study

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
