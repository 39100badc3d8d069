"""Categorical columns as R's factors: which columns they are, their levels in R's order, their contrasts.

Source: R documentation of ``factor`` and ``contr.treatment``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd

from paraspinal_assets.statistics.arrays import Matrix

_MARKS = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$"
"""ASCII marks in their collation order."""


def is_numeric(column: pd.Series) -> bool:
    """Whether a column enters a model as a number; truth values and text are categorical, as in R."""
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def level_name(value: object) -> str:
    """A level as text: truth values in capitals as in R, whole numbers without a point; different values differ."""
    if isinstance(value, (bool, np.bool_)):
        return str(value).upper()
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def column_levels(column: pd.Series) -> tuple[str, ...]:
    """Levels of a column: the order of an ordered type, else R's sort of what occurs, numbers by their size."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return tuple(level_name(level) for level in column.cat.categories if (column == level).any())
    values = list(pd.unique(column.dropna()))
    if all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in values):
        return tuple(level_name(value) for value in sorted(values))
    return r_sorted([level_name(value) for value in values])


def r_sorted(values: Sequence[str]) -> tuple[str, ...]:
    """Level order of R's ``factor`` in a language or UTF-8 locale: marks, digits, letters; accents before case.

    In R's plain ``C`` locale capitals would come first; levels that differ by more than case sort alike.

    Source: Unicode Collation Algorithm (UTS 10), CLDR root order.
    """

    def key(text: str) -> tuple[list[tuple[int, str]], str, str, str]:
        parts = unicodedata.normalize("NFKD", text)
        plain = "".join(c for c in parts if not unicodedata.combining(c))
        accents = "".join(c if unicodedata.combining(c) else " " for c in parts)
        return [_collation(c) for c in plain.casefold()], accents, plain.swapcase(), text

    return tuple(sorted(values, key=key))


def _collation(character: str) -> tuple[int, str]:
    """Place of a character: marks in their own order, then digits, then letters."""
    place = _MARKS.find(character)
    if place >= 0:
        return place, ""
    return len(_MARKS) + (0 if character.isdigit() else 1), character


def contrasts(column: pd.Series, levels: Sequence[str]) -> Matrix:
    """Treatment contrasts: one indicator for each level but the first, shape ``(n, levels - 1)``."""
    codes, values = pd.factorize(column)
    place = {level: k for k, level in enumerate(levels)}
    position = np.array([place.get(level_name(value), 0) for value in values], dtype=np.intp)
    return np.asarray(np.arange(1, len(levels))[:, None] == position[codes], dtype=np.float64).T
