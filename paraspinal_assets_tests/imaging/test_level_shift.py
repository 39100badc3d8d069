from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.imaging.labels import SPINE, body_label, rest_label
from paraspinal_assets.imaging.level_shift import EVIDENCE_LIMIT, flag_level_shifts, profile_columns
from paraspinal_assets.imaging.quality import assess
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import draw_parameters
from paraspinal_assets_tests.imaging.blocks import LEVELS

LANDMARKS = ["lung_apex_level", "first_rib_level"]


def cohort(people=200, person_sd=0.25, exam_sd=0.08, seed=0):
    """Two exams of `people`, with their lungs in view and no rib."""
    rng = np.random.default_rng(seed)
    apex = rng.normal(1.6, person_sd, people)
    exams = [
        pd.DataFrame(
            {
                "participant": [f"p{i:03d}" for i in range(people)],
                "exam": exam,
                "lung_apex_level": apex + rng.normal(0, exam_sd, people),
                "first_rib_level": np.nan,
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
    scans["first_rib_level"] = [0.0, 1.0]
    flagged = flag_level_shifts(scans)
    assert flagged["shifted"].all()
    assert flagged["against_cohort"].isna().all()


def test_of_three_exams_each_is_compared_with_the_mean_of_the_others():
    scans = pd.DataFrame({"participant": "a", "exam": ["1", "5", "6"], "lung_apex_level": [1.0, 1.2, 1.7]})
    flagged = flag_level_shifts(scans.assign(first_rib_level=np.nan))
    assert flagged["against_other_exam"].tolist() == pytest.approx([-0.45, -0.15, 0.6])
    assert flagged["shifted"].tolist() == [False, False, True]


def test_scans_without_lungs_are_left_alone():
    scans = cohort(20)
    scans.loc[3, "lung_apex_level"] = np.nan
    flagged = flag_level_shifts(scans.convert_dtypes())
    assert not flagged.loc[3, "shifted"]
    assert pd.isna(flagged.loc[23, "against_other_exam"])


def people(n, seed, shifts, *, informative=True, ribs=False):
    """One exam of `n` people under names that are off by `shifts`, and what is measured at T1-T10.

    Area falls and rises again, attenuation falls, vertebrae grow from head to foot; people differ in all of it.
    """
    rng = np.random.default_rng(seed)
    k = np.arange(1, 13)
    means = {
        "area_mm2": np.log(1500) + 0.5 * ((k - 6) / 6) ** 2 + 0.03 * (k - 6),
        "median_hu": 42.0 - k + 0.05 * (k - 6) ** 2,
        "spacing_mm": np.log(18 + 0.85 * k),
    }
    spread = {"area_mm2": (0.2, 0.12), "median_hu": (8.0, 4.0), "spacing_mm": (0.05, 0.04)}
    drawn = {}
    for name, mean in means.items():
        person, level = spread[name]
        mean = mean if informative else np.full(12, mean.mean())
        values = mean + rng.normal(0, person, (n, 1)) + rng.normal(0, level, (n, 12))
        drawn[name] = values if name == "median_hu" else np.exp(values)
    profiles = [
        {
            name: {
                f"T{named}": values[i, named - shift - 1]
                for named in range(1, 11)
                if 1 <= named - shift <= 12
            }
            for name, values in drawn.items()
        }
        for i, shift in enumerate(shifts)
    ]
    scans = pd.DataFrame({"participant": [f"p{i}" for i in range(n)], "exam": "exam5"})
    scans["lung_apex_level"] = rng.normal(1.6, 0.25, n) + shifts
    scans["first_rib_level"] = rng.normal(0.0, 0.15, n) + shifts if ribs else np.nan
    return scans, profile_columns(profiles)


def off_by_one(one_in):
    shifts = np.zeros(1316, dtype=int)
    shifts[::one_in], shifts[one_in // 2 :: one_in] = 1, -1
    return shifts


@pytest.mark.parametrize("one_in", [80, 20])
def test_with_the_first_rib_in_view_every_shift_of_people_with_one_exam_is_flagged(one_in):
    shifts = off_by_one(one_in)
    for seed in range(4):
        flagged = flag_level_shifts(*people(len(shifts), seed, shifts, ribs=True))["shifted"]
        assert flagged[shifts != 0].all()
        assert flagged[shifts == 0].mean() <= 0.01


def test_lungs_outweigh_what_was_mistaken_for_the_first_rib():
    scans, profiles = people(1316, 0, np.zeros(1316, dtype=int), ribs=True)
    scans.loc[::20, "first_rib_level"] += 1
    flagged = flag_level_shifts(scans, profiles)["shifted"]
    assert flagged[::20].mean() <= 0.2
    assert flagged.mean() <= 0.02


def test_the_first_rib_counts_where_no_lung_is_in_view():
    scans, _ = people(100, 0, np.zeros(100, dtype=int), ribs=True)
    scans["lung_apex_level"] = np.nan
    scans.loc[7, "first_rib_level"] += 1
    assert list(scans.index[flag_level_shifts(scans)["shifted"]]) == [7]


@pytest.mark.parametrize("one_in", [80, 20])
def test_profiles_find_more_shifts_of_people_with_one_exam_than_lungs_alone(one_in):
    found, by_lungs, sound = [], [], []
    for seed in range(4):
        shifts = off_by_one(one_in)
        scans, profiles = people(len(shifts), seed, shifts)
        flagged = flag_level_shifts(scans, profiles)
        assert flagged["evidence"].notna().all()
        found += flagged.loc[shifts != 0, "shifted"].tolist()
        sound += flagged.loc[shifts == 0, "shifted"].tolist()
        by_lungs += flag_level_shifts(scans).loc[shifts != 0, "shifted"].tolist()
    assert np.mean(found) > np.mean(by_lungs) > 0.8
    assert np.mean(sound) <= 0.01


def test_profiles_that_tell_nothing_flag_no_more_than_two_in_a_hundred():
    flagged = []
    for seed in range(4):
        scans, profiles = people(1316, seed, np.zeros(1316, dtype=int), informative=False)
        worst_sd = 1 / np.sqrt(2 * EVIDENCE_LIMIT)
        scans["lung_apex_level"] = np.random.default_rng(100 + seed).normal(1.6, worst_sd, 1316)
        flagged += flag_level_shifts(scans, profiles)["shifted"].tolist()
    assert 0.005 < np.mean(flagged) <= 0.02


def test_a_scan_without_lungs_is_judged_by_its_profile():
    shifts = np.zeros(1316, dtype=int)
    scans, profiles = people(len(shifts), 1, shifts)
    scans.loc[:99, "lung_apex_level"] = np.nan
    flagged = flag_level_shifts(scans, profiles)
    assert flagged.loc[:99, "evidence"].notna().all()
    assert flagged["shifted"].mean() <= 0.02


def test_a_few_profiles_do_not_count():
    scans, profiles = people(200, 1, np.zeros(200, dtype=int))
    pd.testing.assert_frame_equal(flag_level_shifts(scans, profiles), flag_level_shifts(scans))


@pytest.mark.parametrize("bounded", [False, True])
def test_the_evidence_of_lungs_and_rib_is_the_closed_form(bounded):
    """Normal with one standard deviation s: log ratio of means 1 apart is (d - 1/2) / s^2."""
    scans = cohort(400)
    scans = scans[scans["exam"] == "exam5"]
    scans["first_rib_level"] = np.random.default_rng(5).normal(0.1, 0.15 if bounded else 0.4, len(scans))
    sums = {-1: 0.0, 1: 0.0}
    for landmark, limit in (("lung_apex_level", np.inf), ("first_rib_level", np.log(1000))):
        d = scans[landmark] - scans[landmark].median()
        s = max(0.15, 1.4826 * d.abs().median())
        for direction in sums:
            sums[direction] += ((direction * d - 0.5) / s**2).clip(-limit, limit)
    expected = np.maximum(sums[-1], sums[1]).to_numpy()
    assert flag_level_shifts(scans)["evidence"].to_numpy() == pytest.approx(expected)


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
                measures = assess(phantom.ct, named(phantom.labels, shift), LEVELS).measures
                landmarks = {name: measures[name] for name in LANDMARKS}
                rows.append({"participant": str(person), "exam": exam, "shift": shift, **landmarks})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("landmark", "tolerance"), [("lung_apex_level", 0.1), ("first_rib_level", 0.3)])
def test_the_landmarks_of_a_phantom_move_by_one_level(measured, landmark, tolerance):
    """The rib lies above T1, where the scale goes on with the last distance of two vertebrae, in slices of 3 mm."""
    level = measured.pivot(index=["participant", "exam"], columns="shift", values=landmark)
    assert (level[-1] - level[0]).to_numpy() == pytest.approx(1, abs=tolerance)
    assert (level[1] - level[0]).to_numpy() == pytest.approx(-1, abs=tolerance)


@pytest.mark.parametrize("exams", [1, 2])
def test_every_phantom_that_is_off_by_one_level_is_flagged_and_no_sound_one(measured, exams):
    if exams == 1:
        measured = measured.assign(participant=measured["participant"] + measured["exam"])
    sound = measured[measured["shift"] == 0].reset_index(drop=True)
    assert not flag_level_shifts(sound)["shifted"].any()
    for row, scan in sound.iterrows():
        for shift in (-1, 1):
            same = (measured[["participant", "exam"]] == scan[["participant", "exam"]]).all(axis=1)
            tried = sound.copy()
            tried.loc[row, LANDMARKS] = measured.loc[same & (measured["shift"] == shift), LANDMARKS].iloc[0]
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
