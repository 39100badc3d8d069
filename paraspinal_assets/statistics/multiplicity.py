"""Adjustment of p-values for the number of tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paraspinal_assets.errors import StatisticsError


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """False-discovery-rate adjusted p-values, shape ``(n,)``, in the order given.

    Missing p-values stay missing and do not count as tests, as in R's ``p.adjust(method = "BH")``.

    Raises
    ------
    StatisticsError
        E-STAT-P-VALUE if a value lies outside [0, 1].

    Source: Benjamini and Hochberg, J R Stat Soc B 1995;57:289.
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = ~np.isnan(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise StatisticsError(
            "E-STAT-P-VALUE", "A p-value lies outside 0 to 1.", "Pass p-values, not statistics."
        )
    adjusted = np.full(p.shape, np.nan)
    tested = p[known]
    descending = np.argsort(tested)[::-1]
    ranks = np.arange(tested.size, 0, -1)
    stepped = np.minimum.accumulate(tested[descending] * tested.size / ranks)
    back = np.empty(tested.size)
    back[descending] = np.minimum(stepped, 1.0)
    adjusted[known] = back
    return adjusted
