"""The original study's models and the columns of its analysis table.

Six nested linear models of vertebral bone density and seven logistic models of vertebral fracture, named
as in Hathaway et al. ``FRAXnb`` has the clinical risk factors of FRAX without bone density.
"""

from __future__ import annotations

from collections.abc import Mapping

from paraspinal_assets.statistics.column_types import ColumnKind

_FRAX = (
    *("Age", "Gender", "Race", "Site", "BMI", "Steroids", "Bisphosphonates", "Alcohol"),
    *("Alcohol_Consumption", "Tobacco", "Pack_Years"),
)
_CLINICAL = (
    *("Age", "Gender", "Race", "Site", "BMI", "HTN", "Diabetes", "Liver", "Kidney", "Creatinine", "Cancer"),
    *("Steroids", "Bisphosphonates", "Warfarin", "Thyroid", "Alcohol", "Alcohol_Consumption", "Tobacco"),
    "Pack_Years",
)
_ACTIVITY = ("Moderate_Phys", "Vigorous_Phys", "AGATSTON")
_SCANNER = ("Manufacturer", "Model")
VOLUME, ATTENUATION, DENSITY, FRACTURE = "Shape", "Median", "vBMD", "VFx"


def _join(*columns: str) -> str:
    return " + ".join(columns)


LINEAR_MODELS: Mapping[str, str] = {
    "model1": _join(*_FRAX),
    "model2": _join(*_CLINICAL, *_ACTIVITY),
    "model3": _join(*_CLINICAL, *_ACTIVITY, VOLUME),
    "model4": _join(*_CLINICAL, *_ACTIVITY, ATTENUATION),
    "model5": _join(*_CLINICAL, *_ACTIVITY, VOLUME, ATTENUATION),
    "model6": _join(*_CLINICAL, *_SCANNER, *_ACTIVITY, VOLUME, ATTENUATION),
}
"""Right-hand sides of the linear models of vBMD."""

FRACTURE_MODELS: Mapping[str, str] = {
    "FRAXnb": LINEAR_MODELS["model1"],
    "Expanded": LINEAR_MODELS["model2"],
    "Volume": LINEAR_MODELS["model3"],
    "Attenuation": LINEAR_MODELS["model4"],
    "vBMD": DENSITY,
    "vBMD_Volume": _join(DENSITY, VOLUME),
    "vBMD_Attenuation": _join(DENSITY, ATTENUATION),
}
"""Right-hand sides of the logistic models of fracture."""

RECLASSIFICATION_PAIRS: tuple[tuple[str, str], ...] = (
    ("FRAXnb", "Expanded"),
    ("Expanded", "Volume"),
    ("Expanded", "Attenuation"),
    ("vBMD", "vBMD_Volume"),
    ("vBMD", "vBMD_Attenuation"),
)
"""Reference and extended model of each reclassification."""

_BINARY = (
    *("HTN", "Diabetes", "Liver", "Kidney", "Cancer", "Steroids", "Bisphosphonates", "Warfarin", "Thyroid"),
    *("Alcohol", FRACTURE),
)
_CATEGORY = ("Gender", "Race", "Site", *_SCANNER)
_ORDER = (*_CLINICAL, *_ACTIVITY, VOLUME, ATTENUATION, *_SCANNER, DENSITY, FRACTURE)


def _kind(column: str) -> ColumnKind:
    if column in _BINARY:
        return "binary"
    return "category" if column in _CATEGORY else "number"


MESA_COLUMNS: Mapping[str, ColumnKind] = {column: _kind(column) for column in _ORDER}
"""Columns of the ``paraspinal-mesa`` preset, in the order of its table. ``Tobacco`` is never/former/current
coded 0/1/2 and enters as a number, as in the original."""
