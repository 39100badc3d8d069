"""How numbers are printed: digits, p values, intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

DASH = "–"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def digits(places: int) -> Callable[[Any], str]:
    """Printer with a fixed number of decimals, thousands separated; a dash for missing."""

    def print_value(value: Any) -> str:
        if _missing(value):
            return DASH
        shown = f"{float(value):,.{places}f}"
        return shown.replace("-", "−") if float(shown.replace(",", "")) != 0 else shown.replace("-", "")

    return print_value


def significant(value: Any, places: int = 3) -> str:
    """Three significant digits, thousands separated from 1,000 on."""
    if _missing(value):
        return DASH
    number = float(value)
    if number == 0:
        return "0"
    if abs(number) >= 10**places - 0.5:  # 999.7 has three digits as 1,000
        return f"{number:,.0f}".replace("-", "−")
    shown = f"{number:#.{places}g}".rstrip(".")
    digits_, _, exponent = shown.partition("e")
    if exponent:
        shown = f"{digits_} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return shown.replace("-", "−")


def count(value: Any) -> str:
    """Whole number, thousands separated."""
    return DASH if _missing(value) else f"{int(value):,}"


def p_value(value: Any) -> str:
    """Three decimals, ``<0.001`` below."""
    if _missing(value):
        return DASH
    return "<0.001" if float(value) < 0.001 else f"{float(value):.3f}"


def interval(low: Any, high: Any, printer: Callable[[Any], str] = significant) -> str:
    """``low to high``; a dash if either is missing."""
    return DASH if _missing(low) or _missing(high) else f"{printer(low)} to {printer(high)}"


def intervals(
    low: Iterable[Any], high: Iterable[Any], printer: Callable[[Any], str] = significant
) -> list[str]:
    """`interval` of each pair of limits."""
    return [interval(a, b, printer) for a, b in zip(low, high, strict=True)]


def percent(part: Any, whole: Any) -> str:
    """Count with its share: ``12 (34.5 %)``."""
    if _missing(part):
        return DASH
    if _missing(whole) or float(whole) == 0:
        return count(part)
    return f"{count(part)} ({100 * float(part) / float(whole):.1f} %)"


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))
