"""The original study's models and the columns of its analysis table.

Six nested linear models of vertebral bone density and seven logistic models of vertebral fracture, named
as in Hathaway et al. ``FRAXnb`` has the clinical risk factors of FRAX without bone density.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from paraspinal_assets.statistics.design import column_levels, is_numeric, level_name

ColumnKind = Literal["number", "binary", "category", "identifier"]

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


@dataclass(frozen=True)
class CoercedTable:
    """A table with typed columns, and what could not be typed.

    Parameters
    ----------
    table
        Numbers as float (missing NaN), categories as text (missing None), numeric codes in their order.
    unreadable
        For each column with text or infinities where numbers belong, the first few values with their rows,
        counted from 1.
    """

    table: pd.DataFrame
    unreadable: Mapping[str, str]


def coerce_columns(table: pd.DataFrame, kinds: Mapping[str, ColumnKind] = MESA_COLUMNS) -> CoercedTable:
    """Type the columns of a table, leaving out of the result those that do not read as what they are.

    A column with text or an infinity where numbers belong is taken out whole: R would silently make it a categorical
    variable, others would make the text missing. Empty text and ``NA`` are missing in either kind.
    Columns without a kind stay as they are.
    """
    result = table.copy()
    unreadable: dict[str, str] = {}
    for column, kind in kinds.items():
        if column not in table.columns:
            continue
        values = table[column]
        if kind in ("number", "binary"):
            blank = values.isna()
            if not pd.api.types.is_numeric_dtype(values.dtype):
                blank |= values.astype(str).str.strip().isin(["", "NA"])
            numbers = pd.to_numeric(values.where(~blank), errors="coerce").astype(float)
            wrong = (numbers.isna() & ~blank) | np.isinf(numbers)
            if kind == "binary":
                wrong |= ~numbers.isin([0.0, 1.0]) & numbers.notna()
            if wrong.any():
                places = np.flatnonzero(wrong.to_numpy())
                shown = [f"{values.iloc[[place]].tolist()[0]!r} in row {place + 1}" for place in places[:3]]
                unreadable[column] = f"{', '.join(shown)} ({int(wrong.sum())} of {len(table)} rows)"
                result = result.drop(columns=column)
            else:
                result[column] = numbers
        elif kind == "category" and not _already_category(values):
            codes, found = pd.factorize(values)
            texts = np.array([*(_category_text(value) for value in found), None], dtype=object)
            # R's factor of numeric codes orders them as numbers, text as text.
            dtype = pd.CategoricalDtype(list(column_levels(values))) if is_numeric(values) else "str"
            result[column] = pd.Series(texts[codes], index=table.index, dtype=dtype)
    return CoercedTable(result, unreadable)


def _already_category(values: pd.Series) -> bool:
    """Truth values and categorical types keep their own level order."""
    return pd.api.types.is_bool_dtype(values.dtype) or isinstance(values.dtype, pd.CategoricalDtype)


def infer_kind(values: pd.Series) -> ColumnKind:
    """Kind of a column that no schema describes: text is a number with errors if most of it reads as numbers."""
    if _already_category(values):
        return "category"
    if pd.api.types.is_numeric_dtype(values.dtype):
        return "number"
    distinct = pd.Series(pd.unique(values.dropna().astype(str).str.strip()))
    distinct = distinct[~distinct.isin(["", "NA"])]
    readable = pd.to_numeric(distinct, errors="coerce").notna()
    return "number" if len(distinct) and readable.mean() > 0.5 else "category"


def _category_text(value: object) -> str | None:
    """Text of a level, None where it is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return None
    text = level_name(value).strip()
    return None if text in ("", "NA") else text
