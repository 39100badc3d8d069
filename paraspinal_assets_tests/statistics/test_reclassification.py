from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.reclassification import (
    idi,
    nri_categorical,
    nri_continuous,
    reclassification_table,
)
from paraspinal_assets_tests.statistics.r_reference import reference, vector
from paraspinal_assets_tests.statistics.test_roc import scores

PAIRS = [
    ("FRAXnb", "Expanded"),
    ("Expanded", "Volume"),
    ("Expanded", "Attenuation"),
    ("vBMD", "vBMD_Volume"),
    ("vBMD", "vBMD_Attenuation"),
]


def check_nri(got, want):
    assert got.total.value == pytest.approx(want["nri"], rel=1e-9, abs=1e-15)
    assert got.total.std_error == pytest.approx(want["se.nri"], rel=1e-9)
    assert got.total.z == pytest.approx(want["z.nri"], rel=1e-9, abs=1e-12)
    assert got.total.p == pytest.approx(want["p_nri"], rel=1e-9)
    for part, tag in ((got.events, "ev"), (got.nonevents, "ne")):
        assert part.value == pytest.approx(want[f"nri.{tag}"], rel=1e-9, abs=1e-15)
        assert part.std_error == pytest.approx(want[f"se.nri.{tag}"], rel=1e-9)


@pytest.mark.parametrize("estimate", ["apparent", "oof_10fold"])
@pytest.mark.parametrize("pair", PAIRS)
def test_matches_improve_prob(estimate, pair):
    want = reference("A")["reclassification"][estimate]["__".join(pair)]
    y, a, b = vector("y"), scores(estimate, pair[0]), scores(estimate, pair[1])
    check_nri(nri_continuous(y, a, b), want["continuous"])
    check_nri(nri_categorical(y, a, b, (0.03, 0.1)), want["categorical"])
    gain = idi(y, a, b)
    assert (gain.value, gain.std_error, gain.p) == pytest.approx(
        [want["continuous"][k] for k in ("idi", "se.idi", "p_idi")], rel=1e-9
    )


def test_two_classes_match():
    want = reference("A")["reclassification"]["apparent_two_classes_0.15"]["categorical"]
    y, a, b = vector("y"), scores("apparent", "vBMD"), scores("apparent", "vBMD_Attenuation")
    check_nri(nri_categorical(y, a, b, (0.15,)), want)


def test_interval_agrees_with_predictabel_print():
    y, a, b = vector("y"), scores("apparent", "vBMD"), scores("apparent", "vBMD_Attenuation")
    table = reclassification_table(y, ("a", "b"), a, b, estimate="apparent")
    total = table[table.part == "total"].set_index("measure")
    got = total.loc[["nri_categorical", "nri_continuous", "idi"], ["value", "ci_low", "ci_high"]].to_numpy()
    want = [[0.1262, 0.0255, 0.2268], [0.5431, 0.305, 0.7813], [0.0264, 0.0086, 0.0442]]
    np.testing.assert_allclose(got, want, atol=6e-5)


def test_no_movement_has_no_z():
    y, a = vector("y"), scores("apparent", "vBMD")
    same = nri_continuous(y, a, a).total
    assert (same.value, same.std_error, same.z, same.p) == (0, 0, None, None)


def test_a_log_odds_is_not_a_risk():
    with pytest.raises(StatisticsError, match="E-STAT-RISK"):
        nri_continuous([0, 1], [-2.0, 0.5], [0.1, 0.2])
    with pytest.raises(StatisticsError, match="E-STAT-RISK"):
        nri_categorical([0, 1], [0.2, 0.5], [0.1, 0.2], (0.5, 0.2))
