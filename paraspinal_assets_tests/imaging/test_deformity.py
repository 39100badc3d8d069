"""Heights and grades against bodies of known heights; the truth is the formula that drew them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraspinal_assets.imaging.deformity import grade_deformity, incident_deformity, measure_deformity
from paraspinal_assets.imaging.deformity_heights import Heights
from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets_tests.imaging.spine_bodies import Body, draw

# Level, anterior, middle, posterior height (mm), grade and shape that follow from the definition. Every loss
# lies so far from the limits (20, 25, 40 %) that a height would have to be wrong by 1.4 mm to change the grade.
SPINE_TRUTH = [
    ("T4", 18.0, 18.0, 18.5, 0, "none"),
    ("T5", 12.7, 15.8, 18.8, 2, "wedge"),
    ("T6", 18.6, 12.8, 19.0, 2, "biconcave"),
    ("T7", 19.0, 18.7, 19.3, 0, "none"),
    ("T8", 9.0, 8.9, 9.4, 3, "crush"),
    ("T9", 19.5, 19.0, 20.0, 0, "none"),
    ("T10", 9.2, 14.8, 20.3, 3, "wedge"),
]
LEVELS = [row[0] for row in SPINE_TRUTH]
TRUE_HEIGHTS = np.array([row[1:4] for row in SPINE_TRUTH])
HEIGHTS = ["anterior_mm", "middle_mm", "posterior_mm"]


def phantom(**options):
    return draw([Body(*row[:4]) for row in SPINE_TRUTH], **options)


@pytest.mark.parametrize(
    "spacing", [(0.7, 0.7, 0.7), (1.0, 1.0, 1.0), (0.7, 0.7, 1.25), (1.5, 1.5, 1.5)], ids=str
)
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (15.0, 0.0, 0.0), (-20.0, 8.0, 6.0)], ids=str)
def test_heights_within_half_a_voxel_and_every_grade_right(spacing, turn):
    tables = [measure_deformity(phantom(spacing=spacing, turn=turn, seed=seed), LEVELS) for seed in range(2)]
    errors = [np.abs(table[HEIGHTS].to_numpy() - TRUE_HEIGHTS).mean() for table in tables]
    assert np.mean(errors) < 0.5 * max(spacing)
    for table in tables:
        assert table["genant_grade"].tolist() == [row[4] for row in SPINE_TRUTH]
        assert table["genant_shape"].tolist() == [row[5] for row in SPINE_TRUTH]
        assert table["reason"].isna().all()


def test_at_two_millimetres_a_grade_is_at_most_one_off():
    """Bodies that lie exactly along the slices: the least favourable way to lie."""
    tables = [measure_deformity(phantom(spacing=(0.7, 0.7, 2.0), seed=seed), LEVELS) for seed in range(4)]
    found = np.array([table["genant_grade"].astype(int) for table in tables])
    wrong = np.abs(found - [row[4] for row in SPINE_TRUTH])
    assert wrong.max() <= 1
    assert (wrong > 0).mean() < 0.15


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (15.0, 0.0, 0.0)], ids=str)
def test_thick_slices_give_heights_within_half_a_slice_and_no_grade(turn):
    table = measure_deformity(phantom(spacing=(0.7, 0.7, 3.0), turn=turn), LEVELS)
    assert np.abs(table[HEIGHTS].to_numpy() - TRUE_HEIGHTS).mean() < 0.5 * 3.0
    assert set(table["reason"]) == {"slices_too_thick"}
    assert table[["genant_grade", "genant_shape"]].isna().all(axis=None)


def test_a_low_body_needs_thinner_slices_than_a_tall_one():
    bodies = [Body("T4", 16.0, 16.0, 16.0), Body("T9", 22.0, 22.0, 22.0)]  # too far apart to be references
    table = measure_deformity(draw(bodies, spacing=(1.0, 1.0, 2.1)), ["T4", "T9"])
    assert table["reason"].fillna("").tolist() == ["slices_too_thick", ""]
    assert table["genant_grade"].fillna(-1).tolist() == [-1, 0]


def test_ratios_are_those_of_the_heights():
    table = measure_deformity(phantom(), LEVELS)
    assert table["anterior_posterior_ratio"].tolist() == (table.anterior_mm / table.posterior_mm).tolist()
    assert table["middle_posterior_ratio"].tolist() == (table.middle_mm / table.posterior_mm).tolist()


@settings(max_examples=6, deadline=None)
@given(st.floats(-25, 25), st.floats(-10, 10), st.floats(-10, 10), st.booleans())
def test_a_turned_body_keeps_its_heights(flexion, tilt, axial, rest):
    bodies = [Body("T6", 15.0, 17.5, 20.0), Body("T7", 20.0, 14.0, 20.5), Body("T8", 20.8, 20.8, 21.0)]
    table = measure_deformity(draw(bodies, turn=(flexion, tilt, axial), rest=rest), ["T6", "T7", "T8"])
    truth = np.array([[b.anterior, b.middle, b.posterior] for b in bodies])
    # Three bodies alone may lie badly on the grid together; over many the error is below half a voxel.
    assert np.abs(table[HEIGHTS].to_numpy() - truth).mean() < 0.8


def test_the_mildest_grade_is_told_apart_on_a_fine_grid():
    bodies = [Body("T6", 14.4, 16.6, 18.6), Body("T7", 19.0, 18.9, 19.0), Body("T8", 19.5, 15.1, 19.6)]
    table = measure_deformity(draw(bodies, spacing=(0.7, 0.7, 0.7), turn=(7.0, 3.0, 0.0)), ["T6", "T7", "T8"])
    assert table["genant_grade"].tolist() == [1, 0, 1]
    assert table["genant_shape"].tolist() == ["wedge", "none", "biconcave"]


def test_one_flat_endplate_is_measured_along_the_bisector():
    bodies = [Body("T7", 14.0, 17.0, 20.0, flat_bottom=True), Body("T8", 20.0, 20.0, 20.0, flat_bottom=True)]
    table = measure_deformity(draw(bodies, turn=(4.0, 2.0, 0.0)), ["T7", "T8"])
    assert np.abs(table[HEIGHTS].to_numpy()[0] - [14, 17, 20]).mean() < 0.5
    assert table["genant_shape"].tolist() == ["wedge", "none"]


def test_unmeasurable_levels_are_null_with_a_reason():
    whole = phantom()
    data = whole.data.copy()
    data[data == body_label("T5")] = rest_label("T5")
    data[data == body_label("T6")] = 0
    data[data == rest_label("T6")] = 0
    stray = np.argwhere(data == body_label("T9"))[:10]
    data[data == body_label("T9")] = 0
    data[tuple(stray.T)] = body_label("T9")
    bottom = int(np.argwhere(data == body_label("T10"))[:, 2].min())
    cut = replace(whole, data=data[:, :, bottom + 3 :])
    table = measure_deformity(cut, LEVELS).set_index("level")
    reasons = table["reason"].dropna().to_dict()
    expected = {"T5": "no_body", "T6": "level_absent", "T9": "too_few_voxels", "T10": "touches_fov_border"}
    assert reasons == expected
    assert table.loc[list(expected), [*HEIGHTS, "genant_grade", "genant_shape"]].isna().all(axis=None)


def test_a_crop_inside_the_image_is_no_border():
    whole = phantom()
    place = np.argwhere(whole.data)
    start, stop = place.min(axis=0), place.max(axis=0) + 1
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    crop = replace(
        whole, data=whole.data[box], affine=affine, offset=tuple(map(int, start)), full_shape=whole.data.shape
    )
    pd.testing.assert_frame_equal(measure_deformity(crop, LEVELS), measure_deformity(whole, LEVELS))


@pytest.mark.parametrize(
    ("heights", "reference", "expected"),
    [
        ((20, 20, 20), 20, (0, "none")),
        ((15.9, 18, 20), 20, (1, "wedge")),
        ((14.9, 18, 20), 20, (2, "wedge")),
        ((11.9, 16, 20), 20, (3, "wedge")),
        ((20, 15.9, 20), None, (1, "biconcave")),
        ((14.9, 15, 15.5), 20, (2, "crush")),
        ((15, 15, 15.5), None, (0, "none")),
        ((20, 18, 14.9), None, (2, "crush")),
    ],
)
def test_grades_at_their_limits(heights, reference, expected):
    assert grade_deformity(Heights(*heights), reference) == expected


def test_incident_means_absent_before_and_present_now():
    def grades(**grade):
        return pd.DataFrame({"level": list(grade), "genant_grade": pd.array(list(grade.values()), "Int64")})

    table = incident_deformity(
        grades(T5=0, T6=0, T7=1, T8=None, T9=0), grades(T5=2, T6=0, T7=3, T8=1, T10=1)
    ).set_index("level")
    assert table["incident"].astype(object).where(table["incident"].notna(), None).to_dict() == {
        "T5": True, "T6": False, "T7": False, "T8": None, "T9": None, "T10": None,
    }  # fmt: skip
    assert table.loc["T5", ["baseline_grade", "follow_up_grade"]].tolist() == [0, 2]
