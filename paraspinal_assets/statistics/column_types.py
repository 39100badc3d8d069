"""What the columns of a table hold: numbers, yes or no, categories; typed as such, or refused with their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from paraspinal_assets.statistics.factors import column_levels, is_numeric, level_name

ColumnKind = Literal["number", "binary", "category"]


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


def coerce_columns(table: pd.DataFrame, kinds: Mapping[str, ColumnKind]) -> CoercedTable:
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
