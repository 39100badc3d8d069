from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.multiplicity import benjamini_hochberg


def test_agrees_with_statsmodels_and_skips_missing():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005, 0.5, 0.5])
    known = ~np.isnan(p)
    got = benjamini_hochberg(p)
    np.testing.assert_allclose(got[known], multipletests(p[known], method="fdr_bh")[1], rtol=1e-12)
    assert np.isnan(got[1])


def test_refuses_a_statistic():
    with pytest.raises(StatisticsError, match="E-STAT-P-VALUE"):
        benjamini_hochberg([0.2, 3.1])
