"""Readers' decisions about scans: accept, reject or relabel, from a CSV file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.clinical_csv import read_rows
from paraspinal_assets.study.scan import Scan, cell_shape, check_participant
from paraspinal_assets.study.settings import Study

COLUMNS: Final = ("participant", "exam", "decision", "reader", "reason")


@dataclass(frozen=True)
class Review:
    """One reader's decision about one scan.

    `relabel` carries the number of levels by which every vertebra name must move towards the feet
    (negative: towards the head), written in the file as ``relabel+1`` or ``relabel-1``.
    """

    decision: Literal["accept", "reject", "relabel"]
    reader: str
    reason: str
    shift: int = 0


def read_reviews(study: Study, root: Path) -> dict[Scan, Review]:
    """The decisions of the study's review file; none if the study has no such file.

    Raises
    ------
    StudyError
        E-STUDY-40 if the file is absent, lacks a column, decides twice about a scan, or has an unknown
        decision, exam or id; the message names the row.
    """
    if study.readers.decisions is None:
        return {}
    path = root / study.readers.decisions
    if not path.is_file():
        raise StudyError("E-STUDY-40", f"no review file at {path}", "create it or remove readers.decisions")
    try:
        header, *rows = read_rows(path)
    except (UnicodeDecodeError, ValueError, OSError) as error:
        raise StudyError(
            "E-STUDY-40", f"{path} cannot be read: {error}", "save it as CSV in UTF-8"
        ) from error
    absent = [column for column in COLUMNS if column not in header]
    if absent:
        raise StudyError(
            "E-STUDY-40", f"{path} has no column {', '.join(absent)}", f"columns: {', '.join(COLUMNS)}"
        )
    reviews: dict[Scan, Review] = {}
    for number, cells in enumerate(rows, 2):
        where = f"{path} row {number}"
        row = dict(zip(header, cells, strict=True))
        scan = Scan(_exam(row["exam"], study, where), check_participant(row["participant"], where=where))
        if scan in reviews:
            raise StudyError(
                "E-STUDY-40", f"{where}: a second decision about {scan.key}", "keep one row per scan"
            )
        reviews[scan] = _review(row["decision"], row["reader"], row["reason"], where)
    return reviews


def _exam(exam: str, study: Study, where: str) -> str:
    if exam not in study.exams:
        raise StudyError(
            "E-STUDY-40",
            f"{where}: exam {cell_shape(exam)!r} is not in the study",
            f"use {', '.join(study.exams)}",
        )
    return exam


def _review(decision: str, reader: str, reason: str, where: str) -> Review:
    shift = re.fullmatch(r"relabel([+-][1-9][0-9]?)", decision, re.ASCII)
    if shift is not None:
        return Review("relabel", reader, reason, int(shift.group(1)))
    if decision == "accept":
        return Review("accept", reader, reason)
    if decision == "reject":
        return Review("reject", reader, reason)
    raise StudyError(
        "E-STUDY-40",
        f"{where}: unknown decision {cell_shape(decision)!r}",
        "use accept, reject, relabel+1 or relabel-1",
    )
