"""The terms of models in words and in the units in which measures are shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import pandas as pd

from paraspinal_assets.report.blocks import Source
from paraspinal_assets.report.measures import measure

_PER_UNIT: Final = ("estimate", "ci_low", "ci_high")


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
            return measure(term).label
        variable = next((name for name in variables if term.startswith(name)), None)
        return term if variable is None else f"{measure(variable).name}: {term.removeprefix(variable)}"

    return words


def per_shown_unit(coefficients: pd.DataFrame) -> pd.DataFrame:
    """Coefficients of measures per unit in which they are shown: per cm³ rather than per mm³."""
    factors = coefficients["term"].map(
        lambda term: math.prod(measure(part).factor for part in str(term).split(":"))
    )
    factors = factors.astype(float)
    return coefficients.assign(**{name: coefficients[name] / factors for name in _PER_UNIT})
