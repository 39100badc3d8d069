"""Our numbers beside those of an independent source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """Pairs of numbers that are to agree.

    Attributes
    ----------
    what, source
        What was compared, and the independent program or formula.
    ours, theirs
        The numbers, in the same order.
    within
        Agreement asked for. Printed instead of the difference found, whose last digits differ between machines.
    unit
        Empty: `within` is relative. Otherwise it is absolute, in this unit.
    """

    what: str
    source: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    within: float
    unit: str = ""

    @classmethod
    def of(
        cls, what: str, source: str, pairs: Iterable[tuple[float, float]], within: float, unit: str = ""
    ) -> Comparison:
        """From pairs (ours, theirs); pairs that are missing on both sides are left out."""
        known = [(float(a), float(b)) for a, b in pairs if not (np.isnan(a) and np.isnan(b))]
        ours, theirs = zip(*known, strict=True)
        return cls(what, source, ours, theirs, within, unit)

    @property
    def holds(self) -> bool:
        """Whether every number is within the tolerance."""
        tolerance = {"rtol": 0, "atol": self.within} if self.unit else {"rtol": self.within, "atol": 0}
        return bool(np.allclose(self.ours, self.theirs, **tolerance))

    def row(self) -> list[str]:
        """Cells of the page's table; numbers are rounded so that machines agree."""
        places = ".1f" if self.unit else ".6g"
        agreement = f"{self.within:g} {self.unit}".strip() if self.within else "exact"
        return [
            *(self.what, self.source, f"{len(self.ours):,}"),
            *(format(value, places) for value in (self.theirs[0], self.ours[0])),
            agreement if self.holds else "**differs**",
        ]


def pairs(ours: Sequence[float], theirs: Sequence[float]) -> list[tuple[float, float]]:
    """Two sequences of equal length as pairs."""
    return list(zip(np.asarray(ours, float).tolist(), np.asarray(theirs, float).tolist(), strict=True))
