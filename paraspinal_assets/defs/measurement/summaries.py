"""The few numbers of a scan's table that its page in the UI shows, and plots over all scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraspinal_assets.imaging.labels import UNION

if TYPE_CHECKING:
    import pandas as pd


def whole_muscle(frame: pd.DataFrame) -> dict[str, float | None]:
    """Attenuation, volume and fat fraction of all levels together, both sides."""
    (row,) = frame[(frame["level"] == UNION) & (frame["side"] == "both")].to_dict("records")
    return {
        "attenuation (HU)": _rounded(row["median_hu"], 1),
        "volume (cm3)": _rounded(row["volume_mm3"] / 1000, 1),
        "fat fraction": _rounded(row["fat_fraction"], 3),
    }


def mean_bone(frame: pd.DataFrame) -> dict[str, float | None]:
    """Means over the levels that were measured."""
    return {
        "mean trabecular attenuation (HU)": _rounded(frame["trabecular_mean_hu"].mean(), 1),
        "mean vBMD (mg/cm3)": _rounded(frame["vbmd_mg_cm3"].mean(), 1),
    }


def highest_grade(frame: pd.DataFrame) -> dict[str, float | None]:
    """The most deformed vertebra's grade."""
    return {"highest Genant grade": _rounded(frame["genant_grade"].max(), 0)}


def _rounded(value: float, digits: int) -> float | None:
    import pandas as pd

    return None if pd.isna(value) else round(float(value), digits)
