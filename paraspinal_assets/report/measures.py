"""Names and units in which the study's measures are shown, whatever they are called in a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Measure:
    """How a column is shown: name, unit, and the factor from the table's unit to that one."""

    name: str
    unit: str
    factor: float = 1.0

    @property
    def label(self) -> str:
        """Name with unit, for axes and table heads."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


MEASURES: Final = {
    "attenuation": Measure("Muscle attenuation", "HU"),
    "volume": Measure("Muscle volume", "cm³", 1e-3),
    "vbmd": Measure("vBMD", "mg/cm³"),
    "vbmd_baseline": Measure("vBMD at baseline", "mg/cm³"),
    "Median": Measure("Muscle attenuation", "HU"),
    "Shape": Measure("Muscle volume", "cm³", 1e-3),
    "vBMD": Measure("vBMD", "mg/cm³"),
    "median_hu": Measure("Muscle attenuation", "HU"),
    "volume_mm3": Measure("Muscle volume", "cm³", 1e-3),
    "fat_fraction": Measure("Fat fraction of the muscle", ""),
}
"""Columns of the cohort, of the original study's table and of the muscle table."""


def measure(column: str) -> Measure:
    """How a column is shown; columns not known are shown as they are."""
    return MEASURES.get(column, Measure(column.replace("_", " "), ""))
