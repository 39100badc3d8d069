"""Numbers that R gave for the synthetic cohorts, and the cohorts as R saw them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DATA = Path(__file__).parents[1] / "data" / "statistics"
_SPECIAL = {"NaN": float("nan"), "Inf": float("inf"), "-Inf": float("-inf")}


@cache
def reference(name: str) -> Any:
    """``A``, ``A_vectors`` or ``edge/edge`` as nested dictionaries."""
    return _numbers(json.loads((DATA / f"{name}.json").read_text()))


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return _SPECIAL.get(value, value) if isinstance(value, str) else value


@cache
def cohort(name: str = "A") -> pd.DataFrame:
    """A cohort with only ``NA`` missing, as R reads it."""
    return pd.read_csv(DATA / f"{name}.csv", keep_default_na=False, na_values=["NA"])


@cache
def imputed(name: str = "A") -> pd.DataFrame:
    """The cohort with medians in every numeric column, outcomes included."""
    frame = cohort(name).copy()
    for column in frame.select_dtypes("number"):
        frame[column] = frame[column].fillna(frame[column].median())
    return frame


def vector(*keys: str) -> np.ndarray:
    """A vector of A_vectors.json."""
    value = reference("A_vectors")
    for key in keys:
        value = value[key]
    return np.asarray(value, dtype=float)
