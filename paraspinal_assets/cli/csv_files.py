"""CSV files as the commands read and write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.csv_text import csv_text
from paraspinal_assets.study.store import StudyStore


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV file in which only NA and the empty cell are missing, as R reads it.

    Raises
    ------
    StudyError
        ``E-STUDY-21`` no such file, ``E-STUDY-24`` not CSV in UTF-8, a column twice, or no columns or rows.
    """
    if not path.is_file():
        what = "is a folder, not a table" if path.is_dir() else "is not there"
        raise StudyError("E-STUDY-21", f"no table at {path}: it {what}", "give the path of a CSV file")
    try:
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
        table = pd.read_csv(path, keep_default_na=False, na_values=["NA", ""])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StudyError(
            "E-STUDY-24", f"{path} cannot be read: {error}", "save it as CSV in UTF-8, with a header line"
        ) from error
    other = next((mark for mark in (";", "\t") if len(header) == 1 and mark in str(header.iloc[0])), None)
    if other is not None:
        raise StudyError(
            "E-STUDY-24",
            f"{path}: its cells seem to be separated by {other!r}",
            "save it with commas and decimal points",
        )
    twice = header[header.duplicated()]
    if len(twice):  # pandas would rename the second and use the first
        raise StudyError(
            "E-STUDY-24", f"{path} has the column {twice.iloc[0]!r} twice", "rename or remove one of them"
        )
    if table.empty:
        raise StudyError("E-STUDY-24", f"{path} has a header but no rows", "check how the file was made")
    return table


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """One CSV file per table, in full precision; the file names."""
    store = StudyStore(folder)
    for name, frame in tables.items():
        store.write_bytes(store.root / f"{name}.csv", csv_text(frame).encode())
    return [f"{name}.csv" for name in tables]
