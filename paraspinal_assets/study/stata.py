"""Writing a documented table as a Stata file: valid names, labels, and the same bytes for the same table.

pandas writes it rather than pyreadstat: it takes text of any length (strL) and a fixed time stamp.

Source: Stata manual, ``help dta`` (format 118), ``help varname``, ``help reserved words``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from paraspinal_assets.study.schema import Column, TableSchema

MAX_NAME: Final = 32
MAX_LABEL: Final = 80
MAX_FIXED_TEXT: Final = 2045
"""Bytes of text that a Stata column of fixed width can hold; longer columns become strL."""

TIME_STAMP: Final = dt.datetime(2000, 1, 1)
"""The same in every file, so that the same table gives the same bytes."""

INFINITE_NOTE: Final = " (infinite is missing)"

_RESERVED: Final = frozenset(
    {
        *("_all", "_b", "_coef", "_cons", "_n", "_N", "_pi", "_pred", "_rc", "_se", "_skip", "aggregate"),
        *("array", "boolean", "break", "byte", "case", "catch", "class", "colvector", "complex", "const"),
        *("continue", "default", "delegate", "delete", "do", "double", "else", "eltypedef", "end", "enum"),
        *("explicit", "export", "external", "float", "for", "friend", "function", "global", "goto", "if"),
        *("in", "inline", "int", "local", "long", "NULL", "pragma", "protected", "quad", "rowvector"),
        *("short", "strL", "typedef", "typename", "using", "virtual", "with"),
    }
)
"""Words of Stata and Mata."""


def stata_names(names: Sequence[str]) -> list[str]:
    """Valid and distinct Stata names for columns, in order; most stay as they are.

    Letters, digits and underscores, at most 32 of them. A radiomics feature loses its ``original_``; what is
    still too long is cut, and counted where two would be the same.
    """
    found: list[str] = []
    for name in names:
        short = re.sub(r"\W", "_", name, flags=re.ASCII)
        if len(short) > MAX_NAME:
            short = short.removeprefix("original_")
        if not re.match(r"[A-Za-z_]", short) or short in _RESERVED or re.fullmatch(r"str\d+", short):
            short = f"v_{short}"
        short = short[:MAX_NAME]
        unique, count = short, 1
        while unique in found:
            count += 1
            unique = f"{short[: MAX_NAME - len(str(count)) - 1]}_{count}"
        found.append(unique)
    return found


def write_stata(path: Path, schema: TableSchema, frame: pd.DataFrame) -> None:
    """Write a table in Stata's format 118 (Stata 14 and later).

    Variable labels are the columns' meanings with units. Stata has no missing text and no infinite number:
    missing text is empty, and an infinite number is missing, which its label then says.

    Parameters
    ----------
    path
        File to write.
    schema
        The table's documentation.
    frame
        Columns of *schema*, in its order and types (see `TableSchema.conform`).
    """
    names = stata_names([column.name for column in schema.columns])
    labels: dict[str, str] = {}
    columns: dict[str, Any] = {}
    long_text: list[str] = []
    for name, column in zip(names, schema.columns, strict=True):
        values, note = frame[column.name], ""
        if column.type == "text":
            columns[name] = values.fillna("").astype(object)
            if any(len(text.encode()) > MAX_FIXED_TEXT for text in columns[name]):
                long_text.append(name)
        else:
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            note = INFINITE_NOTE if np.isinf(numbers).any() else ""
            columns[name] = np.where(np.isinf(numbers), np.nan, numbers)
        labels[name] = _label(column, note)
    pd.DataFrame(columns, columns=names).to_stata(
        path,
        write_index=False,
        version=118,
        time_stamp=TIME_STAMP,
        data_label=schema.description[:MAX_LABEL],
        variable_labels=labels,
        convert_strl=long_text,
    )


def _label(column: Column, note: str) -> str:
    text = (f"{column.meaning} [{column.unit}]" if column.unit else column.meaning)[: MAX_LABEL - len(note)]
    return f"{text}{note}"
