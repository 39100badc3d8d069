"""The checks on the cohort; each says whose row or value is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraspinal_assets.defs.table_asset import Check

if TYPE_CHECKING:
    import pandas as pd

PLAUSIBLE = {"attenuation": (-150.0, 120.0), "volume": (5e3, 3e6), "vbmd": (-100.0, 700.0)}
"""Human range of the analysed quantities in HU, mm3 and mg/cm3; a value outside is a unit or reading error."""


def cohort_checks(people: pd.DataFrame) -> list[Check]:
    """One row each, somebody analysed, and their values in the human range."""
    analysed = people[people["analysed"]]
    doubled = people["participant"][people["participant"].duplicated()].tolist()
    odd = [
        f"{name} {value:g} of {participant}"
        for name, (low, high) in PLAUSIBLE.items()
        for participant, value in zip(analysed["participant"], analysed[name].astype(float), strict=True)
        if not low <= value <= high
    ]
    return [
        Check(
            "one_row_per_participant",
            not doubled,
            f"more than one row: {', '.join(doubled)}" if doubled else "none twice",
        ),
        Check(
            "somebody_is_analysed",
            len(analysed) > 0,
            f"{len(analysed)} of {len(people)} participants are analysed",
        ),
        Check(
            "measured_values_are_plausible",
            not odd,
            "; ".join(odd[:10]) or "all within range",
        ),
    ]
