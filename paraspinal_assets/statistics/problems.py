"""Named diagnoses: what was wrong with an analysis, as one row of the `problems` table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pandas as pd

from paraspinal_assets.errors import ParaspinalError

PROBLEM_COLUMNS = ("analysis", "model", "code", "message")
"""Columns of the `problems` table. Codes ``E-`` stopped that model, ``W-`` qualify its numbers."""

NO_ANSWER = (ParaspinalError, ArithmeticError, ValueError)
"""What a model without an answer raises: a diagnosis, or numerics that broke down (LinAlgError included)."""


@dataclass(frozen=True)
class Problem:
    """One diagnosis in words.

    Parameters
    ----------
    analysis
        Output table concerned, such as ``linear`` or ``logistic``.
    model
        Model, measure or column concerned; empty where the whole analysis is.
    code
        ``E-STAT-...`` (no number came out) or ``W-STAT-...`` (read the number with care).
    message
        A sentence that names the columns, counts and values.
    """

    analysis: str
    model: str
    code: str
    message: str

    @classmethod
    def from_error(cls, analysis: str, model: str, error: Exception) -> Problem:
        """The problem that one of `NO_ANSWER` reports, its remedy included."""
        if not isinstance(error, ParaspinalError):
            text = f"The computation broke down ({type(error).__name__}: {error})."
            return cls(analysis, model, "E-STAT-NUMERIC", text)
        text = f"{error.message} {error.remedy}".strip()
        return cls(analysis, model, error.code, text)


def problems_table(problems: Iterable[Problem]) -> pd.DataFrame:
    """Problems as a table with `PROBLEM_COLUMNS`, each said once, in order of appearance."""
    unique = dict.fromkeys(problems)
    return pd.DataFrame([asdict(problem) for problem in unique], columns=list(PROBLEM_COLUMNS), dtype=object)
