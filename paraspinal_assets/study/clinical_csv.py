"""Reading a CSV file cell by cell: every row must have a cell for each column, and no more."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def read_csv(path: Path, *, encoding: str = "utf-8", separator: str = ",") -> pd.DataFrame:
    """A CSV file with all cells as text (errors: see `read_rows`)."""
    import pandas as pd

    header, *rows = read_rows(path, encoding=encoding, separator=separator)
    return pd.DataFrame(rows, columns=header, dtype="str")


def read_rows(path: Path, *, encoding: str = "utf-8", separator: str = ",") -> list[list[str]]:
    """The header of a CSV file and its rows, each with a cell for each column.

    Stricter than `pandas.read_csv`, which takes the first column for an index where every row has a cell more
    than the header, and fills short rows with missing values. Empty lines at the end do not count.

    Raises
    ------
    UnicodeDecodeError
        If the file is not text in *encoding*.
    ValueError
        If there is no header or another separator is in it, or a row has too few or too many
        cells; the row is named, the header is row 1.
    """
    text = path.read_bytes().decode(encoding).removeprefix("\ufeff")
    try:
        rows = list(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()  # spreadsheets write such rows where there have been others
    if not rows or not rows[0]:
        raise ValueError("it has no header")
    header = rows[0]
    if len(header) == 1 and (other := next((mark for mark in ";\t|," if mark in header[0]), None)):
        raise ValueError(f"its cells seem to be separated by {other!r}, not by {separator!r}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            cells = "cell" if len(row) == 1 else "cells"
            raise ValueError(f"row {number} has {len(row)} {cells}, the header has {len(header)}")
    return rows
