from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.imaging.labels import SPINE, body_label, rest_label
from paraspinal_assets.imaging.level_shift import flag_level_shifts
from paraspinal_assets.imaging.quality import assess
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import draw_parameters
from paraspinal_assets_tests.imaging.blocks import LEVELS


def cohort(people=200, person_sd=0.25, exam_sd=0.08, seed=0):
    rng = np.random.default_rng(seed)
    apex = rng.normal(1.6, person_sd, people)
    exams = [
        pd.DataFrame(
            {
                "participant": [f"p{i:03d}" for i in range(people)],
                "exam": exam,
                "lung_apex_level": apex + rng.normal(0, exam_sd, people),
            }
        )
        for exam in ("exam5", "exam6")
    ]
    return pd.concat(exams, ignore_index=True)


@pytest.mark.parametrize("seed", range(5))
def test_few_good_scans_are_flagged(seed):
    assert flag_level_shifts(cohort(seed=seed))["shifted"].mean() <= 0.02


@pytest.mark.parametrize("shift", [-1, 1])
@pytest.mark.parametrize("exam", ["exam5", "exam6"])
def test_every_shift_of_one_level_is_flagged(exam, shift):
    """One participant in ten is shifted at one exam; all of them are found."""
    scans = cohort()
    rows = np.flatnonzero((scans["exam"] == exam).to_numpy())[::10]
    scans.loc[rows, "lung_apex_level"] += shift
    assert flag_level_shifts(scans).loc[rows, "shifted"].all()


def test_both_exams_of_a_disagreement_are_flagged_and_the_cohort_hints_at_one():
    scans = cohort(person_sd=0.05)
    scans.loc[0, "lung_apex_level"] -= 1
    flagged = flag_level_shifts(scans)
    assert list(flagged.index[flagged["shifted"]]) == [0, 200]
    assert flagged.loc[0, "against_other_exam"] == pytest.approx(-1, abs=0.3)
    assert abs(flagged.loc[0, "against_cohort"]) > abs(flagged.loc[200, "against_cohort"])


def test_two_scans_are_no_cohort():
    scans = pd.DataFrame({"participant": ["a", "a"], "exam": ["5", "6"], "lung_apex_level": [1.5, 2.5]})
    flagged = flag_level_shifts(scans)
    assert flagged["shifted"].all()
    assert flagged["against_cohort"].isna().all()


def test_scans_without_lungs_are_left_alone():
    scans = cohort(20)
    scans.loc[3, "lung_apex_level"] = np.nan
    flagged = flag_level_shifts(scans.convert_dtypes())
    assert not flagged.loc[3, "shifted"]
    assert pd.isna(flagged.loc[23, "against_other_exam"])


def named(labels, shift):
    """T1-T10 of a phantom under the names that lie `shift` levels higher up; what has no such name is left out."""
    names = np.where(labels.data <= 2, labels.data, 0)
    for level in LEVELS:
        for label in (body_label, rest_label):
            names[labels.data == label(SPINE[SPINE.index(level) + shift])] = label(level)
    return Volume(names.astype(np.uint8), labels.affine)


@pytest.fixture(scope="module")
def measured():
    """Six people scanned twice, each scan under its right names and under those of one level off."""
    rows = []
    for person in range(6):
        rng = np.random.default_rng(person)
        anatomy = draw_parameters(rng)
        for exam in ("exam5", "exam6"):
            moved = replace(anatomy, centre=(rng.uniform(-6, 6), rng.uniform(0, 6)))
            phantom = make_phantom(moved, rng)
            for shift in (-1, 0, 1):
                verdict = assess(phantom.ct, named(phantom.labels, shift), LEVELS)
                rows.append((str(person), exam, shift, verdict.measures["lung_apex_level"]))
    return pd.DataFrame(rows, columns=["participant", "exam", "shift", "lung_apex_level"])


def test_the_lungs_of_a_phantom_move_by_one_level(measured):
    apex = measured.pivot(index=["participant", "exam"], columns="shift", values="lung_apex_level")
    assert (apex[-1] - apex[0]).to_numpy() == pytest.approx(1, abs=0.05)
    assert (apex[1] - apex[0]).to_numpy() == pytest.approx(-1, abs=0.1)


def test_every_phantom_that_is_off_by_one_level_is_flagged_and_no_sound_one(measured):
    sound = measured[measured["shift"] == 0].reset_index(drop=True)
    assert not flag_level_shifts(sound)["shifted"].any()
    for row, scan in sound.iterrows():
        for shift in (-1, 1):
            same = (measured[["participant", "exam"]] == scan[["participant", "exam"]]).all(axis=1)
            wrong = measured.loc[same & (measured["shift"] == shift), "lung_apex_level"].item()
            tried = sound.assign(lung_apex_level=sound["lung_apex_level"].where(sound.index != row, wrong))
            flagged = flag_level_shifts(tried)
            assert flagged.loc[row, "shifted"], (scan, shift)
            assert set(flagged.loc[flagged["shifted"], "participant"]) == {scan["participant"]}


@pytest.mark.parametrize("seed", range(10, 14))
def test_phantoms_are_accepted(seed):
    rng = np.random.default_rng(seed)
    phantom = make_phantom(draw_parameters(rng), rng)
    study = [label for level in LEVELS for label in (body_label(level), rest_label(level))]
    good = np.where((phantom.labels.data <= 2) | np.isin(phantom.labels.data, study), phantom.labels.data, 0)
    assert assess(phantom.ct, Volume(good.astype(np.uint8), phantom.labels.affine), LEVELS).reasons == ()
