"""Who is analysed: every participant counted once, and the flow adds up."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.imaging.labels import UNION
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.study.cohort import build_cohort, columns_made_from, exposures, mean_vbmd, measures_at
from paraspinal_assets.study.schema import schemas
from paraspinal_assets_tests.study.builders import study

SCANS = pd.DataFrame(
    [
        ("exam5", "a", "measured", None, "SIEMENS"),
        ("exam6", "a", "measured", None, "GE"),
        ("exam5", "b", "rejected", "metal", "GE"),  # and no follow-up: counted once, for the first
        ("exam5", "c", "measured", None, "GE"),
        ("exam6", "c", "failed", "read_error", None),
        ("exam6", "d", "measured", None, "GE"),  # no baseline scan
        ("exam5", "e", "measured", None, "GE"),  # no clinical data
        ("exam6", "e", "measured", None, "GE"),
        ("exam5", "f", "measured", None, "GE"),  # one level without vBMD
        ("exam6", "f", "measured", None, "GE"),
        ("exam5", "h", "measured", None, "GE"),  # no follow-up scan
    ],
    columns=["exam", "participant", "status", "reason", "manufacturer"],
).assign(scanner_model="S1")
MUSCLE = pd.DataFrame(
    [
        *[("exam5", who, UNION, "both", 30.0, 4e5) for who in "acefh"],
        ("exam5", "a", UNION, "left", -1.0, -1.0),
        ("exam5", "a", "T1", "both", -1.0, -1.0),
        ("exam6", "a", UNION, "both", -1.0, -1.0),
    ],
    columns=["exam", "participant", "level", "side", "median_hu", "volume_mm3"],
)
BONE = pd.DataFrame(
    [
        *[("exam6", who, level, value) for who in "ade" for level, value in (("T1", 100.0), ("T2", 200.0))],
        *[("exam5", "a", "T1", 180.0), ("exam5", "a", "T2", 220.0)],
        *[("exam6", "f", "T1", 100.0), ("exam6", "f", "T2", None)],
    ],
    columns=["exam", "participant", "level", "vbmd_mg_cm3"],
).assign(region="body")
CLINICAL = pd.DataFrame({"participant": list("abcdfgh"), "bmi": 25.0})
EXAMS = pd.DataFrame(
    {"participant": ["a", "a"], "exam": ["exam5", "exam6"], "years_from_baseline": [0.0, 5.5]}
)
OUTCOMES = pd.DataFrame({"participant": list("abcdfgh"), "fracture": [1, 0, 0, 0, 0, 0, pd.NA]})
EXPECTED = {
    "a": None,
    "b": "metal",
    "c": "read_error",
    "d": "no_baseline_scan",
    "e": "no_clinical_data",
    "f": "no_vbmd",
    "g": "no_baseline_scan",
    "h": "no_follow_up_scan",
}


def cohort(of=None, **changes):
    frames = {
        "scans": SCANS,
        "muscle": MUSCLE,
        "bone": BONE,
        "clinical": CLINICAL,
        "exams": EXAMS,
        "outcomes": OUTCOMES,
    }
    return build_cohort(of or study(), **{**frames, **changes})


def test_each_participant_has_the_first_reason_that_excludes_it():
    people = cohort().participants.set_index("participant")
    assert {who: None if pd.isna(code) else code for who, code in people["exclusion"].items()} == EXPECTED
    assert people.index[people["analysed"]].tolist() == ["a"]
    assert set(people["exclusion"].dropna()) <= set(REASONS)


def test_exposure_is_of_the_baseline_and_the_outcome_of_the_follow_up():
    row = cohort().participants.set_index("participant").loc["a"]
    assert (row["attenuation"], row["volume"]) == (30.0, 4e5)
    assert (row["vbmd_baseline"], row["vbmd"]) == (200.0, 150.0)
    assert (row["years"], row["fracture"], row["bmi"]) == (5.5, 1, 25.0)
    assert (row["manufacturer"], row["scanner_model"]) == ("SIEMENS", "S1")


def test_one_level_without_density_leaves_no_mean():
    assert mean_vbmd(BONE, "exam6").to_dict() == pytest.approx(
        {"a": 150.0, "d": 150.0, "e": 150.0, "f": float("nan")}, nan_ok=True
    )


def test_density_of_whole_vertebrae_is_not_mixed_with_that_of_bodies():
    mixed = BONE.assign(region=BONE["region"].mask(BONE["participant"] == "a", "vertebra"))
    people = cohort(bone=mixed).participants.set_index("participant")
    assert people.loc["a", "exclusion"] == "vbmd_of_vertebra"
    assert people.loc["a", ["vbmd", "vbmd_baseline"]].isna().all()
    alike = cohort(bone=BONE.assign(region="vertebra")).participants.set_index("participant")
    assert alike.loc["a", "vbmd"] == 150.0


def test_an_accepted_scan_without_the_exposure_is_not_analysed():
    without = MUSCLE.assign(median_hu=MUSCLE["median_hu"].mask(MUSCLE["participant"] == "a"))
    people = cohort(muscle=without).participants.set_index("participant")
    assert people.loc["a", "exclusion"] == "no_attenuation"


def test_a_rejected_scan_has_no_measure_to_change_from():
    at = {"muscle": MUSCLE, "bone": BONE}
    assert measures_at("exam6", scans=SCANS, **at).loc["a"].notna().all()
    rejected = SCANS.assign(status=SCANS["status"].mask(SCANS["participant"] == "a", "rejected"))
    assert measures_at("exam6", scans=rejected, **at).loc["a"].isna().all()


def test_the_exposure_is_the_union_of_levels_and_sides():
    assert exposures(MUSCLE, "exam5").loc["a"].to_dict() == {"attenuation": 30.0, "volume": 4e5}


def test_the_flow_counts_everybody_once():
    flow = cohort().disposition
    remain = flow[flow["reason"].isna()].set_index("step")["participants"]
    lost = flow[flow["reason"].notna()]
    assert remain.tolist() == [8, 5, 4, 2, 1]
    assert (remain.shift() - remain).fillna(0).tolist() == [
        lost.loc[lost["step"] == step, "participants"].sum() for step in remain.index
    ]
    assert lost["participants"].sum() + remain.iloc[-1] == len(EXPECTED)
    assert lost[lost["step"] == 1].set_index("reason")["participants"].to_dict() == {
        "metal": 1,
        "no_baseline_scan": 2,
    }
    assert flow[flow["reason"].isna()]["scans"].tolist()[-1] == 2


def test_the_tables_keep_to_their_schemas():
    made = cohort()
    schemas()["disposition"].check(made.disposition)
    schemas()["disposition"].conform(made.disposition)
    assert {column.name for column in schemas()["cohort"].columns} <= set(made.participants.columns)
    assert made.participants["participant"].is_unique


def test_without_a_follow_up_exam_no_one_has_a_density():
    alone = study(exams={"exam5": {"role": "baseline", "imaging": "dicom/exam5"}})
    made = cohort(alone)
    assert not made.participants["analysed"].any()
    assert made.participants["vbmd"].isna().all()


def test_a_given_density_needs_no_follow_up_scan():
    tables = {"people": {"file": "people.csv", "columns": {"vbmd": {}, "bmi": {}}}}
    given_density = study(clinical={"fracture": "none", "vbmd": "column", "tables": tables})
    people = cohort(given_density, clinical=CLINICAL.assign(vbmd=170.0)).participants.set_index("participant")
    assert people.index[people["analysed"]].tolist() == ["a", "c", "f", "h"]
    assert people.loc["h", "vbmd"] == 170.0


def test_a_density_given_by_exam_is_the_follow_ups():
    tables = {"visits": {"file": "v.csv", "exam": "exam", "columns": {"vbmd": {}}}}
    by_exam = study(clinical={"fracture": "none", "vbmd": "column", "tables": tables})
    exams = EXAMS.assign(vbmd=[300.0, 150.0])
    clinical = CLINICAL.assign(vbmd=[300.0] + [None] * 6)
    people = cohort(by_exam, clinical=clinical, exams=exams).participants.set_index("participant")
    assert people.loc["a", "vbmd"] == 150.0
    assert people.index[people["analysed"]].tolist() == ["a"]


@given(st.permutations(range(len(SCANS))))
@settings(max_examples=6, deadline=None)
def test_the_order_of_the_rows_does_not_matter(order):
    shuffled = cohort(scans=SCANS.iloc[list(order)].reset_index(drop=True))
    pd.testing.assert_frame_equal(shuffled.participants, cohort().participants)
    pd.testing.assert_frame_equal(shuffled.disposition, cohort().disposition)


NAMES_OF_ROWS = {"participant", "exam", "level", "side"}
GIVEN = {"people": {"file": "people.csv", "columns": {"vbmd": {}, "bmi": {}}}}
FRAMES = {
    "scans": ("scans", SCANS),
    "muscle": ("muscle_metrics", MUSCLE),
    "bone": ("bone_metrics", BONE),
    "clinical": ("clinical", CLINICAL),
    "exams": ("exams", EXAMS),
    "outcomes": ("outcomes", OUTCOMES),
}


def others(values):
    """Other values of a column: larger numbers and none at all, or other words."""
    if pd.api.types.is_string_dtype(values.dropna()):
        return [values.where(values.isna(), "other"), pd.Series("measured", values.index)]
    return [values + 1, pd.Series(float("nan"), values.index)]


@pytest.mark.parametrize("vbmd", ["measured", "of a person", "by exam"])
def test_a_column_changes_with_the_columns_that_it_is_made_from_and_with_no_other(vbmd):
    given_density = {"clinical": {"fracture": "none", "vbmd": "column", "tables": GIVEN}}
    of = study(**given_density if vbmd != "measured" else {})
    frames = {name: frame for name, (_, frame) in FRAMES.items()}
    if vbmd == "of a person":
        frames["clinical"] = CLINICAL.assign(vbmd=170.0)
    if vbmd == "by exam":
        frames["exams"] = EXAMS.assign(vbmd=[300.0, 150.0])
    people = cohort(of, **frames).participants
    declared = columns_made_from(of, people, clinical=frames["clinical"], exams=frames["exams"])
    found = {column: set() for column in people}
    for name, frame in frames.items():
        for column in set(frame.columns) - NAMES_OF_ROWS:
            for values in others(frame[column]):
                changed = cohort(of, **{**frames, name: frame.assign(**{column: values})}).participants
                for seen in people.columns[[not people[c].equals(changed[c]) for c in people]]:
                    found[seen].add(f"{FRAMES[name][0]}.{column}")
    for column in set(people) - {"participant", "analysed", "exclusion"}:
        assert found[column] == set(declared[column]), column
    for column in ("analysed", "exclusion"):
        assert set(declared["vbmd"]) <= found[column] <= set(declared[column])
