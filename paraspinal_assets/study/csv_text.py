"""Tables as CSV that reads back bit for bit: 17 significant digits, empty where missing, one line ending."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

_MUST_QUOTE = re.compile(r'[",\r\n]')
_ROWS_AT_A_TIME = 65_536
"""Rows held as text at once."""


def csv_text(frame: pd.DataFrame) -> str:
    """The frame without its index as CSV text (RFC 4180 quoting, line feeds).

    Equal to ``DataFrame.to_csv(index=False, float_format="%.17g")``, several times faster on long tables, and
    with the digits of floats in mixed columns too.
    """
    parts = [",".join(_quoted(str(name)) for name in frame.columns) + "\n"]
    for first in range(0, len(frame), _ROWS_AT_A_TIME):
        part = frame.iloc[first : first + _ROWS_AT_A_TIME]
        columns = [_texts(part.iloc[:, j]) for j in range(part.shape[1])]
        if len(columns) == 1:
            columns = [[text or '""' for text in columns[0]]]  # an empty line would be skipped on reading
        parts += [",".join(row) + "\n" for row in zip(*columns, strict=True)]
    return "".join(parts)


def _texts(column: pd.Series[Any]) -> list[str]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f":
        values = tuple(column.to_numpy(dtype=np.float64).tolist())
        # One call of the C formatter for the whole column.
        texts = ("%.17g\n" * len(values) % values).split("\n")[:-1]
        return [("" if text == "nan" else text) for text in texts] if column.isna().any() else texts
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
        return [str(value) for value in column.tolist()]
    # Names, truth values and the like repeat: each different value is written once.
    codes, uniques = pd.factorize(column)
    written = [*(_text(value) for value in uniques), ""]
    return [written[code] for code in codes.tolist()]


def _text(value: object) -> str:
    return f"{value:.17g}" if isinstance(value, float) else _quoted(str(value))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _MUST_QUOTE.search(text) else text
