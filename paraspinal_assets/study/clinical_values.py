"""Turning one column of a clinical file into typed values, with every wrong cell named."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Any, Final

import pandas as pd

from paraspinal_assets.study.clinical_settings import ColumnSettings
from paraspinal_assets.study.scan import cell_shape, cell_text

NOT_AVAILABLE: Final = frozenset({"", "NA", "N/A", "NaN", "nan", ".", "None", "null"})
"""Text that means missing in every column: the empty cell, R's NA, Stata's and SAS's dot. In a column of words,
``None`` is an answer and not missing, as are the values that the study file names."""

_NUMERIC: Final = frozenset({"number", "integer", "binary"})
_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_DECIMAL_COMMA: Final = str.maketrans(",.", ".,")

_BINARY: Final = {
    "1": 1,
    "0": 0,
    "1.0": 1,
    "0.0": 0,
    "yes": 1,
    "no": 0,
    "true": 1,
    "false": 0,
    "y": 1,
    "n": 0,
}


def parse_column(
    cells: pd.Series[Any],
    settings: ColumnSettings,
    complain: Callable[[int, str], None],
    say: Callable[[object], str] = cell_shape,
    *,
    decimal: str = ".",
) -> pd.Series[Any]:
    """Typed values of a column; wrong cells become null and are reported.

    Parameters
    ----------
    cells
        The column as read: text from CSV, numbers or dates from binary formats.
    settings
        Type, allowed range or values, missing codes.
    complain
        Called with the position of a wrong cell, what to say of it and what is wrong with it.
    say
        What to say of a wrong cell. Messages are stored, so it is its shape unless they are only shown; of a date
        it is always that.
    decimal
        Decimal mark of numbers that are text.
    """
    missing = cells.isna() | _is_code(cells, settings, decimal)
    parse = _PARSERS[settings.type]
    values: list[Any] = []
    for position, (cell, absent) in enumerate(zip(cells, missing, strict=True)):
        value, problem = (None, None) if absent else parse(_pointed(cell, settings, decimal), settings)
        if problem is not None:
            shown = cell_shape(cell) if settings.type == "date" else say(cell)
            complain(position, f"{shown!r} {problem}")
            value = None
        values.append(value)
    dtype = {"number": "Float64", "integer": "Int64", "binary": "Int64", "date": "datetime64[s]"}.get(
        settings.type, "string"
    )
    return pd.Series(values, index=cells.index, dtype=dtype)


def _is_code(cells: pd.Series[Any], settings: ColumnSettings, decimal: str) -> pd.Series[bool]:
    """Which cells hold a code for missing; among numbers -9.0 is the code -9."""
    words = settings.type in {"category", "text"}
    codes = (NOT_AVAILABLE - ({"None", *(settings.values or ())} if words else set())) | set(settings.missing)
    found = cells.map(_stripped).isin(codes)
    numbers = [number for code in settings.missing if (number := _float(code)) is not None]
    if settings.type in _NUMERIC and numbers:
        found |= cells.map(lambda cell: _float(_pointed(cell, settings, decimal)) in numbers)
    return found


def _pointed(cell: Any, settings: ColumnSettings, decimal: str) -> Any:
    """A number's cell with a decimal point; a point where commas are the mark becomes a comma, and is refused."""
    comma = decimal == "," and isinstance(cell, str) and settings.type in _NUMERIC
    return cell.translate(_DECIMAL_COMMA) if comma else cell


def _float(cell: Any) -> float | None:
    text = _stripped(cell)
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _stripped(cell: Any) -> str:
    return cell_text(cell).strip()


def _number(cell: Any, settings: ColumnSettings) -> tuple[Any, str | None]:
    value = _float(cell)
    if value is None or not math.isfinite(value):
        comma = _COMMA.fullmatch(_stripped(cell)) is not None
        return None, "is not a number" + (", or not with `decimal` as it is set" if comma else "")
    if settings.type == "integer" and not value.is_integer():
        return None, "is not a whole number"
    if settings.range is not None and not settings.range[0] <= value <= settings.range[1]:
        low, high = settings.range
        return (
            None,
            f"is outside the allowed range {low:g} to {high:g}{' ' + settings.unit if settings.unit else ''}",
        )
    return (int(value) if settings.type == "integer" else value), None


def _binary(cell: Any, _: ColumnSettings) -> tuple[Any, str | None]:
    value = _BINARY.get(_stripped(cell).lower())
    return (None, "is not 0/1, yes/no or true/false") if value is None else (value, None)


def _category(cell: Any, settings: ColumnSettings) -> tuple[Any, str | None]:
    text = _stripped(cell)
    if isinstance(settings.values, dict):
        label = settings.values.get(text)
        return (
            (None, f"is not one of the codes {', '.join(settings.values)}")
            if label is None
            else (label, None)
        )
    if settings.values is not None and text not in settings.values:
        return None, f"is not one of {', '.join(settings.values)}"
    return text, None


def _text(cell: Any, _: ColumnSettings) -> tuple[Any, str | None]:
    return _stripped(cell), None


def _date(cell: Any, _: ColumnSettings) -> tuple[Any, str | None]:
    """A whole date; a year alone or a number would become a date in silence, and is refused."""
    if not isinstance(cell, dt.date) and not _DATE.fullmatch(str(cell).strip()):
        return None, "is not a date like 2012-07-31"
    try:
        value = pd.Timestamp(cell.strip() if isinstance(cell, str) else cell)
    except (ValueError, TypeError):
        return None, "is not a date like 2012-07-31"
    return value.tz_localize(None).normalize(), None


_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?|\d{8}", re.ASCII)


_PARSERS: Final[dict[str, Callable[[Any, ColumnSettings], tuple[Any, str | None]]]] = {
    "number": _number,
    "integer": _number,
    "binary": _binary,
    "category": _category,
    "text": _text,
    "date": _date,
}
