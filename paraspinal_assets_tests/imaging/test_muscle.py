from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from paraspinal_assets.imaging.attenuation import Histogram
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label
from paraspinal_assets.imaging.muscle import SIDES, HuWindows, measure_muscle
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.imaging.volume import Volume

from .scenes import LEVELS, trunk

COLUMNS = [
    "level",
    "side",
    "voxels",
    "volume_mm3",
    "mean_hu",
    "median_hu",
    "sd_hu",
    "p25",
    "p75",
    "fat_fraction",
    "low_attenuation_fraction",
    "normal_fraction",
    "area_mm2",
    "touches_border",
    "reason",
]


def table(ct, labels, levels=LEVELS, **options) -> pd.DataFrame:
    return measure_muscle(ct, labels, levels, **options).set_index(["level", "side"])


@given(
    hnp.arrays(
        st.sampled_from([np.int16, np.float32]), st.integers(1, 60), elements=st.integers(-1024, 3071)
    ),
    st.floats(0, 100),
)
def test_histogram_is_numpy(values, q):
    exact = Histogram.of(values)
    assert exact.n == len(values)
    assert exact.mean == pytest.approx(values.mean(dtype=float), abs=1e-9)
    assert exact.sd == pytest.approx(values.std(dtype=float), abs=1e-9)
    assert exact.percentile(q) == pytest.approx(np.percentile(values.astype(float), q), abs=1e-9)
    assert exact.within(-190, -30).n == ((values >= -190) & (values <= -30)).sum()


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_every_row_against_masks_on_the_whole_image(kind):
    ct, labels = trunk()
    ct = Volume((ct.data * (0.5 if kind == np.float32 else 1)).astype(kind), ct.affine)
    found = table(ct, labels)
    slices = {"T1": slice(10, 16), "T2": slice(5, 11), "T3": slice(1, 6), "union": slice(1, 16)}
    for level, z in slices.items():
        for side, values in SIDES.items():
            hu = ct.data[:, :, z][np.isin(labels.data[:, :, z], values)].astype(float)
            row = found.loc[level, side]
            assert row.voxels == hu.size
            assert row.volume_mm3 == pytest.approx(hu.size * 1.5 * 1.25 * 2)
            expected = [hu.mean(), np.median(hu), hu.std(), *np.percentile(hu, (25, 75))]
            assert row[["mean_hu", "median_hu", "sd_hu", "p25", "p75"]].tolist() == pytest.approx(expected)
            for name, (low, high) in (
                ("fat", (-190, -30)),
                ("low_attenuation", (-29, 29)),
                ("normal", (30, 150)),
            ):
                assert row[f"{name}_fraction"] == pytest.approx(((hu >= low) & (hu <= high)).mean())
            assert pd.isna(row.reason)
    assert list(found.reset_index().columns) == COLUMNS


def test_area_is_at_the_middle_of_the_body():
    ct, labels = trunk()
    labels.data[3:9, 2:8, 13] = 0  # T1's body spans slices 12 to 15; its middle is 13
    labels.data[3:5, 2:5, 13] = AUTOCHTHON_LEFT
    found = table(ct, labels)
    assert found.loc[("T1", "left"), "area_mm2"] == pytest.approx(2 * 3 * 1.5 * 1.25)
    assert found.loc[("T1", "right"), "area_mm2"] == pytest.approx(5 * 5 * 1.5 * 1.25)
    assert found.loc[("T2", "both"), "area_mm2"] == pytest.approx((36 + 25) * 1.5 * 1.25)
    labels.data[3:5, 2:5, 13] = 0
    assert pd.isna(table(ct, labels).loc[("T1", "left"), "area_mm2"])
    assert pd.isna(found.loc[("union", "both"), "area_mm2"])


def test_area_without_bodies_is_at_the_middle_of_the_vertebra():
    ct, labels = trunk(bodies=False)
    labels.data[3:9, 2:8, 12] = 0  # the whole vertebra spans slices 10 to 15
    assert pd.isna(table(ct, labels).loc[("T1", "left"), "area_mm2"])


def test_missing_is_null_with_its_reason():
    ct, labels = trunk()
    labels.data[:, :, 5:11][labels.data[:, :, 5:11] == AUTOCHTHON_LEFT] = 0
    found = table(ct, labels, ["T1", "T2", "T9"])
    expected = {
        ("T2", "left"): "no_muscle_side",
        ("T9", "left"): "level_absent",
        ("T9", "both"): "level_absent",
        ("union", "both"): "missing_level",
    }
    for row, reason in expected.items():
        assert found.loc[row].drop(["reason", "touches_border"]).isna().all()
        assert found.loc[row, "reason"] == reason
        assert reason in REASONS
    assert found.loc[("T2", "both"), "voxels"] == found.loc[("T2", "right"), "voxels"]
    assert len(found) == 4 * 3


def test_no_muscle_no_vertebrae_no_body():
    ct, labels = trunk()
    bare = Volume(np.where(labels.data < 10, 0, labels.data).astype(np.uint8), labels.affine)
    assert set(table(ct, bare).reason) == {"no_muscle", "no_muscle_side"}
    empty = Volume(np.zeros_like(labels.data), labels.affine)
    assert set(table(ct, empty).reason) == {"level_absent", "no_vertebrae"}
    nothing = Volume(labels.data[:0, :0, :0], labels.affine)
    assert set(table(Volume(ct.data[:0, :0, :0], ct.affine), nothing).reason) == {
        "level_absent",
        "no_vertebrae",
    }
    labels.data[labels.data == body_label("T2")] = 0
    assert table(ct, labels, slab="body").loc[("T2", "both"), "reason"] == "no_body"


def test_border_contact_is_told_per_side():
    ct, labels = trunk()
    labels.data[-1, 3, 10] = AUTOCHTHON_RIGHT  # in the lowest slice of T1's slab and the highest of T2's
    touches = table(ct, labels).touches_border
    assert touches["T1"].tolist() == touches["T2"].tolist() == [False, True, True]
    assert not touches["T3"].any()
    assert touches["union"].tolist() == [False, True, True]


def test_a_vertebra_at_the_border_is_told_for_both_sides():
    ct, labels = trunk()
    labels.data[10, -1, 12] = body_label("T1")
    touches = table(ct, labels).touches_border
    assert touches["T1"].all()
    assert touches["union"].all()
    assert not touches["T2"].any()


def test_windows_can_be_chosen():
    ct, labels = trunk()
    everything = HuWindows(fat=(-1024, 3071), low=(5000, 6000), normal=(-1024, 3071))
    row = table(ct, labels, windows=everything).loc["T1", "both"]
    assert (row.fat_fraction, row.low_attenuation_fraction, row.normal_fraction) == (1, 0, 1)


def test_a_value_between_two_whole_ones_is_in_one_window_and_no_other():
    ct, labels = trunk()
    steps = np.linspace(-190, 150, ct.data.size, dtype=np.float32).reshape(ct.data.shape)
    row = table(Volume(steps, ct.affine), labels).loc["T1", "both"]
    assert row.fat_fraction + row.low_attenuation_fraction + row.normal_fraction == pytest.approx(
        1, abs=1e-12
    )
