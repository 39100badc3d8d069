"""R-style model formulas: additive terms and interactions, nothing else.

``vBMD ~ Age + Gender * Median`` means what it means in R: ``Gender * Median`` is both main effects and
their interaction, and terms are sorted by order (main effects first, then pairs, then triples), each
order as written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paraspinal_assets.errors import StatisticsError

_NAME = re.compile(r"`[^`]+`|(?:[A-Za-z]|\.[A-Za-z])[A-Za-z0-9._]*")
_REMEDY = "Write 'outcome ~ a + b', with interactions as 'a:b' or 'a*b'; put other names in backticks."

Term = tuple[str, ...]


@dataclass(frozen=True)
class Formula:
    """A parsed formula: an outcome and terms, each a tuple of the columns that it multiplies."""

    outcome: str
    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Formula:
        """Read ``outcome ~ terms``.

        Raises
        ------
        StatisticsError
            ``E-STAT-FORMULA``, with the part that was not understood.
        """
        left, tilde, right = text.partition("~")
        if not tilde:
            raise StatisticsError("E-STAT-FORMULA", f"The formula {text!r} has no '~'.", _REMEDY)
        return cls(_name(left.strip(), text), parse_terms(right))

    @property
    def columns(self) -> tuple[str, ...]:
        """Predictor columns, in order of first appearance."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term))

    @property
    def labels(self) -> tuple[str, ...]:
        """Terms as R labels them, such as ``Gender:Median``."""
        return tuple(":".join(term) for term in self.terms)

    def __str__(self) -> str:
        return f"{self.outcome} ~ {' + '.join(self.labels) or '1'}"


def parse_terms(text: str) -> tuple[Term, ...]:
    """Terms of the right-hand side of a formula; ``1`` alone is the empty model.

    Raises
    ------
    StatisticsError
        ``E-STAT-FORMULA`` for anything but names, ``+``, ``:`` and ``*``.
    """
    found: dict[frozenset[str], Term] = {}
    for part in _split(text, "+"):
        piece = part.strip()
        if piece == "1":
            continue
        for term in _expand(piece, text):
            found.setdefault(frozenset(term), term)
    # R's order: by number of factors, then as written. `sorted` is stable.
    return tuple(sorted(found.values(), key=len))


def _expand(piece: str, text: str) -> list[Term]:
    """``a*b`` as a, b, a:b; ``a:b`` as itself; ``a`` as itself."""
    factors = [tuple(_name(n.strip(), text) for n in _split(part, ":")) for part in _split(piece, "*")]
    terms: list[Term] = []
    for factor in factors:
        crossed = [(*term, *(n for n in factor if n not in term)) for term in terms]
        terms = [*terms, tuple(dict.fromkeys(factor)), *crossed]
    return terms


def _split(text: str, operator: str) -> list[str]:
    """Split at an operator outside backticks."""
    return re.split(rf"{re.escape(operator)}(?=(?:[^`]*`[^`]*`)*[^`]*$)", text)


def _name(text: str, formula: str) -> str:
    if not _NAME.fullmatch(text):
        raise StatisticsError(
            "E-STAT-FORMULA",
            f"The formula {formula.strip()!r} has {text!r} where a column name belongs.",
            _REMEDY,
        )
    return text.strip("`")
