"""Design matrices as R's ``model.matrix`` builds them: its column order, names and contrasts.

Source: R documentation of ``model.matrix`` and ``contr.treatment``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Index, Matrix, Vector
from paraspinal_assets.statistics.factors import column_levels, contrasts, is_numeric
from paraspinal_assets.statistics.formula import Formula, Term

INTERCEPT = "(Intercept)"
MAX_LEVELS = 200
"""A text column with more levels is no category."""


@dataclass(frozen=True)
class Design:
    """A model matrix with what is needed to read it.

    Parameters
    ----------
    formula
        The formula that it was built from.
    x
        Matrix, shape ``(n, p)``, the intercept first; columns are contiguous.
    y
        Outcome, shape ``(n,)``.
    names
        Column names as R writes them (``GenderMale``), length ``p``.
    assign
        For each column the 1-based position of its term, 0 for the intercept.
    levels
        Levels of each categorical column; the first is the reference.
    rows
        Positions in the table of the rows used: those complete in all columns of the formula.
    n_dropped
        Rows left out because of a missing value.
    dropped_by
        Missing values per column of the formula, columns without any left out.
    """

    formula: Formula
    x: Matrix
    y: Vector
    names: tuple[str, ...]
    assign: Index
    levels: Mapping[str, tuple[str, ...]]
    rows: Index
    n_dropped: int
    dropped_by: Mapping[str, int] = field(default_factory=dict)

    def on_rows(self, rows: Index) -> Design:
        """The part of this design on those table rows (positions) that it has."""
        keep = np.isin(self.rows, rows)
        return replace(self, x=self.x.T[:, keep].T, y=self.y[keep], rows=self.rows[keep])


def build_design(
    table: pd.DataFrame, formula: Formula | str, *, levels: Mapping[str, Sequence[str]] | None = None
) -> Design:
    """Model matrix of a formula on the complete rows of a table.

    Parameters
    ----------
    table
        One row per participant. Numeric columns enter as numbers, all others by treatment contrasts.
    formula
        See `formula.Formula`.
    levels
        Levels of categorical columns, where they are to be fixed; default: those that occur.

    Raises
    ------
    StatisticsError
        ``E-STAT-FORMULA`` outcome among the terms, ``E-STAT-COLUMN`` unknown column, ``E-STAT-EMPTY``
        all-missing column, ``E-STAT-TYPE`` text outcome, ``E-STAT-INFINITE``, ``E-STAT-ROWS`` no complete row,
        ``E-STAT-MARGIN`` interaction without its main effects, ``E-STAT-LEVELS`` text with hundreds of
        different values.
    """
    parsed = Formula.parse(formula) if isinstance(formula, str) else formula
    _check_columns(table, parsed)
    used = table[[parsed.outcome, *parsed.columns]]
    missing = used.isna()
    rows = np.flatnonzero(~missing.to_numpy().any(axis=1))
    if len(rows) == 0:
        worst = ", ".join(f"{c} ({n} missing)" for c, n in missing.sum().nlargest(3).items())
        raise StatisticsError(
            "E-STAT-ROWS",
            f"No row is complete in the columns of '{parsed}': {worst}.",
            "Impute these columns or take them out of the formula.",
        )
    complete = used.iloc[rows]
    blocks: dict[str, tuple[Matrix, tuple[str, ...]]] = {}
    used_levels: dict[str, tuple[str, ...]] = {}
    for name in parsed.columns:
        column = complete[name]
        if is_numeric(column):
            blocks[name] = (column.to_numpy(dtype=float)[:, None], (name,))
            continue
        fixed = tuple(levels[name]) if levels and name in levels else column_levels(column)
        if len(fixed) > MAX_LEVELS:
            raise StatisticsError(
                "E-STAT-LEVELS",
                f"The column {name!r} of '{parsed}' is text with {len(fixed)} different values, such as {fixed[0]!r}.",
                f"Is it an identifier, or numbers with text among them? A category has at most {MAX_LEVELS} levels.",
            )
        used_levels[name] = fixed
        blocks[name] = (contrasts(column, fixed), tuple(f"{name}{level}" for level in fixed[1:]))
    columns: list[Matrix] = [np.ones((len(rows), 1))]
    names: list[str] = [INTERCEPT]
    assign: list[int] = [0]
    for position, term in enumerate(parsed.terms, start=1):
        block, block_names = _product(term, blocks)
        columns.append(block)
        names.extend(block_names)
        assign.extend([position] * len(block_names))
    x = np.concatenate([block.T for block in columns]).T
    y = complete[parsed.outcome].to_numpy(dtype=float)
    _check_finite(x, y, names, parsed)
    counts = {str(c): int(n) for c, n in missing.sum().items() if n}
    return Design(
        parsed,
        x,
        y,
        tuple(names),
        np.array(assign, dtype=np.intp),
        used_levels,
        rows,
        len(table) - len(rows),
        counts,
    )


def _product(
    term: Term, blocks: Mapping[str, tuple[Matrix, tuple[str, ...]]]
) -> tuple[Matrix, tuple[str, ...]]:
    """Columns of an interaction; the first factor varies fastest, as in R."""
    block, names = blocks[term[0]]
    for factor in term[1:]:
        other, other_names = blocks[factor]
        block = (other[:, :, None] * block[:, None, :]).reshape(len(block), -1)
        names = tuple(f"{a}:{b}" for b in other_names for a in names)
    return block, names


def _check_columns(table: pd.DataFrame, formula: Formula) -> None:
    if formula.outcome in formula.columns:
        raise StatisticsError(
            "E-STAT-FORMULA",
            f"The formula '{formula}' has its outcome {formula.outcome!r} among the terms that explain it.",
            f"Take {formula.outcome!r} out of the right-hand side.",
        )
    for name in (formula.outcome, *formula.columns):
        if name not in table.columns:
            raise StatisticsError(
                "E-STAT-COLUMN",
                f"The formula '{formula}' uses the column {name!r}, which the table does not have; "
                f"it has {', '.join(map(str, table.columns))}.",
                "Correct the name, add the column, or take it out of the formula.",
            )
        if table[name].isna().all():
            raise StatisticsError(
                "E-STAT-EMPTY",
                f"The column {name!r} of '{formula}' has no value in any of the {len(table)} rows.",
                "Take it out of the formula, or find out why it is empty.",
            )
    if not pd.api.types.is_numeric_dtype(table[formula.outcome].dtype):
        raise StatisticsError(
            "E-STAT-TYPE",
            f"The outcome {formula.outcome!r} is text, such as {table[formula.outcome].dropna().iloc[0]!r}.",
            "Code it as a number (0/1 for a fracture outcome).",
        )
    terms = {frozenset(term) for term in formula.terms}
    for term in formula.terms:
        for name in term:
            margin = frozenset(term) - {name}
            if margin and margin not in terms:
                raise StatisticsError(
                    "E-STAT-MARGIN",
                    f"The interaction {':'.join(term)} stands without {':'.join(sorted(margin))}.",
                    f"Write {'*'.join(term)} so that the lower-order terms are in the model.",
                )


def _check_finite(x: Matrix, y: Vector, names: Sequence[str], formula: Formula) -> None:
    if np.isfinite(x.sum()) and np.isfinite(y.sum()):
        return
    bad = [name for j, name in enumerate(names) if not np.isfinite(x[:, j]).all()]
    if not np.isfinite(y).all():
        bad.append(formula.outcome)
    if bad:
        raise StatisticsError(
            "E-STAT-INFINITE",
            f"Infinite values in {', '.join(bad)} of '{formula}'.",
            "Replace them by missing values or correct them.",
        )
