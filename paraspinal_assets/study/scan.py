"""A scan: one participant at one exam, and the key that names it everywhere."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from paraspinal_assets.errors import StudyError

PARTICIPANT_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
EXAM_PATTERN: Final = re.compile(r"[a-z][a-z0-9]{0,31}")


def check_participant(value: object, *, where: str) -> str:
    """The participant id, if it is safe as a file name, a key and a query parameter.

    Parameters
    ----------
    value
        The id as read; numbers from a table are accepted and written without a decimal point.
    where
        File and row or folder that the id was read from, for the message.

    Raises
    ------
    StudyError
        E-STUDY-10 if the id has other characters than letters, digits and hyphens, or over 64 of them.
    """
    text = cell_text(value)
    if not PARTICIPANT_PATTERN.fullmatch(text):
        shape = cell_shape(text)
        shown = shape if len(shape) <= 80 else f"{shape[:77]}..."
        raise StudyError(
            "E-STUDY-10",
            f"{where}: participant id {shown!r} is not allowed (letters are shown as x, digits as 9)",
            "use 1 to 64 letters, digits and hyphens, starting with a letter or digit",
        )
    return text


def cell_text(value: object) -> str:
    """A table's cell as text: a whole number without decimal point, nothing where the cell is empty."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() else str(value)
    return str(value)


def cell_shape(value: object) -> str:
    """A table's cell with every letter as x and every digit as 9: messages are stored, and cells are about people."""
    return re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "9", str(value)))


def check_exam(value: str, *, where: str) -> str:
    """The exam name, if it is a lower-case word such as ``exam5`` (E-STUDY-11 otherwise)."""
    if not EXAM_PATTERN.fullmatch(value):
        raise StudyError(
            "E-STUDY-11",
            f"{where}: exam name {value!r} is not allowed",
            "use a lower-case letter followed by lower-case letters and digits, such as exam5",
        )
    return value


@dataclass(frozen=True, order=True)
class Scan:
    """One participant at one exam.

    The key ``exam5-1001`` is the partition key; an exam name has no hyphen, so that it reads back uniquely.
    """

    exam: str
    participant: str

    def __post_init__(self) -> None:
        check_exam(self.exam, where="scan key")
        check_participant(self.participant, where="scan key")

    @property
    def key(self) -> str:
        """The partition key."""
        return f"{self.exam}-{self.participant}"

    @staticmethod
    def is_key(text: str) -> bool:
        """Whether a text can be the key of a scan."""
        exam, _, participant = text.partition("-")
        return bool(EXAM_PATTERN.fullmatch(exam) and PARTICIPANT_PATTERN.fullmatch(participant))

    @classmethod
    def from_key(cls, key: str) -> Scan:
        """The scan that a partition key names."""
        exam, separator, participant = key.partition("-")
        if not separator:
            raise StudyError("E-STUDY-12", f"{key!r} is not a scan key", "scan keys look like exam5-1001")
        return cls(exam, participant)
