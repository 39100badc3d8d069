from __future__ import annotations

import numpy as np
import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.decision import decision_curve


def test_net_benefit_by_hand():
    # At 0.25 three rows are treated: two cases, one control. 2/5 - 1/5 * 1/3.
    got = decision_curve([1, 1, 0, 0, 0], [0.9, 0.25, 0.4, 0.1, 0.2], [0.25]).iloc[0]
    assert got.net_benefit == pytest.approx(2 / 5 - 1 / 15, rel=1e-12)
    assert got.treat_all == pytest.approx(2 / 5 - 3 / 5 / 3, rel=1e-12)
    assert got.interventions_avoided_per_100 == pytest.approx(100 * 2 / 5, rel=1e-12)
    assert got.treat_none == 0


def test_curve_agrees_with_counting():
    rng = np.random.default_rng(3)
    p = rng.random(500).round(2)
    y = (rng.random(500) < p).astype(float)
    limits = [0.05, 0.2, 0.5, 0.83]
    for t, got in zip(limits, decision_curve(y, p, limits).net_benefit, strict=True):
        treated = p >= t
        want = (treated & (y == 1)).mean() - (treated & (y == 0)).mean() * t / (1 - t)
        assert got == pytest.approx(want, abs=1e-14)


def test_bad_thresholds_are_refused():
    with pytest.raises(StatisticsError, match="E-STAT-THRESHOLD"):
        decision_curve([0, 1], [0.1, 0.2], [0.0, 0.5])
