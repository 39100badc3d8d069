"""Quartile groups of a measure: R's type-7 cut points; the low group is ``<= Q1``.

Source: Hyndman and Fan, Am Stat 1996;50:361 (type 7); R ``quantile``, ``cut(include.lowest = TRUE)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.problems import Problem

COLUMNS: Final = (
    "measure", "q1", "median", "q3", "n", "n_missing", "n_low", "n_high",
    "n_quartile_1", "n_quartile_2", "n_quartile_3", "n_quartile_4",
)  # fmt: skip


def quantile7(values: ArrayLike, probabilities: ArrayLike) -> Vector:
    """Quantiles of the known values, R's type 7 to the last bit, shape ``(k,)``.

    Raises
    ------
    StatisticsError
        E-STAT-EMPTY if no value is known.
    """
    x = np.asarray(values, dtype=np.float64)
    x = np.sort(x[~np.isnan(x)])
    if x.size == 0:
        raise StatisticsError("E-STAT-EMPTY", "No value is known.", "Leave this measure out.")
    # R's own expressions, counting from 1; another order of operations can move a participant across the cut.
    index = 1 + (x.size - 1) * np.asarray(probabilities, dtype=np.float64)
    h = index - np.floor(index)
    low, high = x[np.floor(index).astype(np.intp) - 1], x[np.ceil(index).astype(np.intp) - 1]
    return np.where(high == low, low, (1 - h) * low + h * high)


def cut_points(values: ArrayLike) -> Vector:
    """First quartile, median and third quartile (type 7), shape ``(3,)``."""
    return quantile7(values, (0.25, 0.5, 0.75))


def low_quartile(values: pd.Series) -> pd.Series:
    """Membership of the lowest quartile, ``<= Q1``, as nullable booleans; missing where the value is.

    Raises
    ------
    StatisticsError
        E-STAT-CONSTANT if everyone would be in the low group, E-STAT-EMPTY if no value is known.
    """
    numbers = _numbers(values)
    low = numbers <= cut_points(numbers)[0]
    if low[~np.isnan(numbers)].all():
        raise StatisticsError(
            "E-STAT-CONSTANT",
            f"{values.name}: no value exceeds the first quartile ({np.nanmax(numbers):g}): no upper group.",
            "Leave this measure out, or find out why it does not vary.",
        )
    group = pd.Series(low, index=values.index, name=values.name).astype("boolean")
    return group.mask(np.isnan(numbers))


def quartile_number(values: pd.Series) -> pd.Series:
    """Quartile 1 to 4 as nullable integers; each group includes its upper cut point.

    Raises
    ------
    StatisticsError
        E-STAT-TIES if cut points coincide, so that a quartile would be empty.
    """
    numbers = _numbers(values)
    edges = quantile7(numbers, (0, 0.25, 0.5, 0.75, 1))
    if (np.diff(edges) <= 0).any():
        raise StatisticsError(
            "E-STAT-TIES",
            f"{values.name}: the quartile cut points {', '.join(f'{e:g}' for e in edges)} coincide.",
            "Quartiles need more distinct values; use the low group or the continuous measure.",
        )
    number = pd.Series(
        np.searchsorted(edges[1:4], numbers, side="left") + 1, index=values.index, name=values.name
    )
    return number.astype("Int64").mask(np.isnan(numbers))


def quartiles_table(frame: pd.DataFrame, measures: Sequence[str]) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Cut points and group sizes of each measure, with the columns of ``quartiles.csv``, and problems.

    ``n_low`` counts ``<= Q1``, ``n_high`` the rest of the known values. Group sizes are empty where the
    cut points coincide.
    """
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for measure in measures:
        row: dict[str, object] = {"measure": measure}
        try:
            numbers = _numbers(frame[measure])
            row |= {"n": int((~np.isnan(numbers)).sum()), "n_missing": int(np.isnan(numbers).sum())}
            row |= dict(zip(("q1", "median", "q3"), cut_points(numbers).tolist(), strict=True))
            low = low_quartile(frame[measure])
            row |= {"n_low": int(low.sum()), "n_high": int((~low).sum())}
            quartile = quartile_number(frame[measure])
            row |= {f"n_quartile_{k}": int((quartile == k).sum()) for k in (1, 2, 3, 4)}
        except StatisticsError as error:
            problems.append(Problem.from_error("quartiles", measure, error))
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COLUMNS[4:], "Int64")), tuple(problems)


def _numbers(values: pd.Series) -> Vector:
    try:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        strange = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
        raise StatisticsError(
            "E-STAT-TYPE",
            f"{values.name} holds text such as {strange.iloc[0]!r} ({len(strange)} cells).",
            "Correct these cells or leave them empty.",
        ) from None
