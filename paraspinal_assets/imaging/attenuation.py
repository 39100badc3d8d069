"""Exact statistics of attenuation values, from how often each value occurs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Histogram:
    """How often each value occurs; nothing is binned, so every statistic is exact.

    Attributes
    ----------
    values
        Shape ``(m,)``, float64, ascending, in HU.
    counts
        Shape ``(m,)``, int64; zeros are allowed.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Count a 1-D array of int16 or float32 values."""
        if values.size and values.dtype.kind in "iu":
            low = int(values.min())
            counts = np.bincount(values.astype(np.int64) - low)
            return cls(np.arange(low, low + len(counts), dtype=np.float64), counts)
        unique, counts = np.unique(values, return_counts=True)
        return cls(unique.astype(np.float64), counts.astype(np.int64))

    @property
    def n(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Arithmetic mean in HU; an exact quotient of integers for integer values."""
        return float((self.values * self.counts).sum() / self.n)

    @property
    def sd(self) -> float:
        """Standard deviation over all values (divisor n) in HU."""
        return float(np.sqrt((self.counts * (self.values - self.mean) ** 2).sum() / self.n))

    def percentile(self, q: float) -> float:
        """Percentile with linear interpolation, as numpy's default (type 7 of Hyndman and Fan)."""
        rank = (self.n - 1) * q / 100
        below = int(np.floor(rank))
        upto = np.cumsum(self.counts)
        low, high = self.values[np.searchsorted(upto, (below, min(below + 1, self.n - 1)), side="right")]
        return float(low + (high - low) * (rank - below))

    def within(self, low: float, high: float) -> Self:
        """The part with values from `low` to `high`, both included."""
        inside = (self.values >= low) & (self.values <= high)
        return type(self)(self.values[inside], self.counts[inside])
