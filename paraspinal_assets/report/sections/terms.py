"""Columns and terms of models in words and in the units in which they are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import pandas as pd

from paraspinal_assets.report.blocks import Source
from paraspinal_assets.report.measures import Measure, measure
from paraspinal_assets.report.numbers import intervals
from paraspinal_assets.statistics.formula import parse_terms

_PER_UNIT: Final = ("estimate", "ci_low", "ci_high")


def column(source: Source, name: str) -> Measure:
    """How a column is shown, with the unit that the study file gives it."""
    shown = measure(name)
    return shown if shown.unit else replace(shown, unit=str(dict(source.info.get("units", {})).get(name, "")))


def reference_levels(source: Source, terms: Iterable[str]) -> str:
    """With which level those of each category are compared, as a sentence; empty without categories.

    It is the level that Table 1 counts and that has no term.
    """
    described, present = source.get("table_one", "variable", "level"), set(terms)
    if described is None:
        return ""
    found = []
    for name, rows in described.groupby("variable", sort=False):
        levels = [str(level) for level in rows["level"]]
        left = [level for level in levels if f"{name}{level}" not in present]
        if len(left) == 1 < len(levels):
            found.append(f"{measure(str(name)).name} {left[0]}")
    return f"Reference levels: {'; '.join(found)}." if found else ""


def adjustment(source: Source) -> str:
    """What the effects of dose-response and subgroups are adjusted for, as a sentence; empty if not known."""
    names = [measure(str(name)).name for name in source.info.get("adjusted_for", ())]
    return f"Adjusted for {', '.join(names)}." if names else ""


def model_contents(source: Source, outcome: int, shown: Iterable[str]) -> str:
    """The terms of an outcome's models, those of an earlier model by its name; empty if they are not known.

    Parameters
    ----------
    source
        Its facts hold the models of each outcome: those of density first, those of fracture last.
    outcome
        Place of the outcome among them.
    shown
        The models that could be fitted.
    """
    formulas = list(source.info.get("models", {}).values() or [{}])[outcome]
    found: dict[str, str] = {}
    terms = {str(name): parse_terms(formulas[name]) for name in shown if name in formulas}
    for name, own in terms.items():
        start = max(
            (earlier for earlier in found if terms[earlier] and set(terms[earlier]) < set(own)),
            key=lambda earlier: len(terms[earlier]),
            default=None,
        )
        added = own if start is None else [term for term in own if term not in terms[start]]
        words = [" × ".join(column(source, part).label for part in term) for term in added]
        found[name] = ", ".join(words if start is None else [start, *words]) or "an intercept alone"
    return f"{'; '.join(f'{name}: {words}' for name, words in found.items())}." if found else ""


def term_words(source: Source) -> Callable[[str], str]:
    """Words for a term: a measure's name with its unit; ``variable: level`` where it is a level of a category.

    R writes such a term as the variable's name with the level behind it, ``sexMale``, and an interaction as its terms
    with a colon between them. Variables are the columns of the cohort, or those that Table 1 describes; terms of no
    known variable stay as they are.
    """
    cohort, described = source.get("cohort"), source.get("table_one", "variable")
    known = [] if cohort is None else [str(name) for name in cohort.columns]
    known += [] if described is None else [str(name) for name in described["variable"]]
    variables = sorted(set(known), key=len, reverse=True)

    def words(term: str) -> str:
        return " × ".join(map(word, term.split(":")))

    def word(term: str) -> str:
        if term in variables:
            return column(source, term).label
        variable = next((name for name in variables if term.startswith(name)), None)
        return term if variable is None else f"{measure(variable).name}: {term.removeprefix(variable)}"

    return words


def with_interval(frame: pd.DataFrame) -> pd.DataFrame:
    """With a column ``ci``, the printed interval from ``ci_low`` to ``ci_high``."""
    return frame.assign(ci=intervals(frame["ci_low"], frame["ci_high"]))


def per_shown_unit(coefficients: pd.DataFrame) -> pd.DataFrame:
    """Coefficients of measures per unit in which they are shown: per cm³ rather than per mm³."""
    factors = coefficients["term"].map(
        lambda term: math.prod(measure(part).factor for part in str(term).split(":"))
    )
    factors = factors.astype(float)
    return coefficients.assign(**{name: coefficients[name] / factors for name in _PER_UNIT})
