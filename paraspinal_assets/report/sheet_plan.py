"""Which scans stand on which contact sheet: the rejected ones first, then every exam."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

PER_SHEET: Final = 100
"""Scans on one sheet; drawn in about a second, and read in a few minutes."""
MAX_REJECTED: Final = 1_000
"""Rejected scans that are shown; a study with more has one cause to find first."""
MAX_PER_EXAM: Final = 2_000
"""Scans of an exam that are shown. Of a larger exam every k-th is: nobody looks through more by eye."""
REJECTED_IN_OVERVIEW: Final = 12
REJECTED_MARK: Final = " *"
"""Behind the key of a rejected scan on the sheets of its exam, where there is no room for reasons."""


@dataclass(frozen=True)
class Entry:
    """A scan on a sheet, and what stands above it."""

    exam: str
    participant: str
    caption: str


@dataclass(frozen=True)
class Sheet:
    """A sheet to draw, with the arguments of `contact_sheet`.

    Attributes
    ----------
    name
        File name without ending.
    title
        Printed above; says how many of how many scans are shown.
    entries
        At least one.
    columns, width
        Pictures per row, and the width of each in pixels.
    """

    name: str
    title: str
    entries: tuple[Entry, ...]
    columns: int
    width: int


@dataclass(frozen=True)
class SheetGroup:
    """The sheets of the rejected scans or of one exam, and a small one that stands for them in a page."""

    overview: Sheet
    sheets: tuple[Sheet, ...]


def plan_sheets(verdicts: pd.DataFrame) -> list[SheetGroup]:
    """The sheets of a study.

    Parameters
    ----------
    verdicts
        The table ``quality`` (exam, participant, accepted, reasons) of the scans that have a picture.

    Returns
    -------
    list
        The rejected scans, if there are any, with their reasons; then each exam. Their order is that of exam
        and participant.
    """
    rows = verdicts.sort_values(["exam", "participant"])
    accepted = rows["accepted"].astype(bool)
    key = rows["exam"].astype("string") + "-" + rows["participant"].astype("string")
    reasons = ": " + rows["reasons"].astype("string").fillna("no reason given")
    rejected = rows.assign(caption=key + reasons)[~accepted]
    groups = [_group("rejected", "Rejected scans", rejected, MAX_REJECTED)] if len(rejected) else []
    marked = rows.assign(caption=key.where(accepted, key + REJECTED_MARK))
    for exam, own in marked.groupby("exam", sort=True):
        groups.append(_group(f"exam-{exam}", f"Scans of {exam} (* rejected)", own, MAX_PER_EXAM))
    return groups


def _group(name: str, title: str, rows: pd.DataFrame, most: int) -> SheetGroup:
    shown = _spaced(rows, most)
    pages = math.ceil(len(shown) / PER_SHEET)
    sheets = tuple(
        Sheet(
            f"{name}-{page + 1}",
            f"{title}: {_count(shown, rows)}, sheet {page + 1} of {pages}",
            _entries(shown.iloc[page * PER_SHEET : (page + 1) * PER_SHEET]),
            columns=6,
            width=400,
        )
        for page in range(pages)
    )
    few = shown.head(REJECTED_IN_OVERVIEW) if name == "rejected" else _spaced(rows, PER_SHEET)
    columns, width = (4, 240) if name == "rejected" else (10, 96)
    overview = Sheet(f"overview-{name}", f"{title}: {_count(few, rows)}", _entries(few), columns, width)
    return SheetGroup(overview, sheets)


def _entries(rows: pd.DataFrame) -> tuple[Entry, ...]:
    cells = zip(rows["exam"], rows["participant"], rows["caption"], strict=True)
    return tuple(Entry(str(exam), str(participant), str(caption)) for exam, participant, caption in cells)


def _spaced(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """All rows, or `most` of them at even steps."""
    if len(rows) <= most:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def _count(shown: pd.DataFrame, of: pd.DataFrame) -> str:
    return f"{len(of):,}" if len(shown) == len(of) else f"{len(shown):,} of {len(of):,}"
