"""Reference levels of categories other than the first in R's order."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from paraspinal_assets.statistics.factors import column_levels, is_numeric, level_name
from paraspinal_assets.statistics.problems import Problem


def with_references(table: pd.DataFrame, references: Mapping[str, str]) -> tuple[pd.DataFrame, list[Problem]]:
    """Make a level the first of its column, as R's ``relevel`` does; the others stay in their order.

    Parameters
    ----------
    table
        Typed columns; categories are text or of a categorical type.
    references
        Column to level. Columns that the table lacks are passed over.

    Returns
    -------
    tuple
        The table, and a ``W-STAT-REFERENCE`` for each column that is no category or has no row at that level.
    """
    changed: dict[str, pd.Series] = {}
    problems: list[Problem] = []
    for name, level in references.items():
        if name not in table.columns or table[name].isna().all():
            continue
        values = table[name]
        levels = (
            () if is_numeric(values) or pd.api.types.is_bool_dtype(values.dtype) else column_levels(values)
        )
        if level in levels:
            categories = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else levels
            first = sorted(categories, key=lambda other: level_name(other) != level)
            changed[name] = pd.Series(pd.Categorical(values, first), table.index)
            continue
        found = f"its levels are {', '.join(levels)}" if levels else "it is no category"
        message = (
            f"No row of {name!r} is at the reference level {level!r}: {found}. R's first level is taken."
        )
        problems.append(Problem("table", name, "W-STAT-REFERENCE", message))
    return table.assign(**changed), problems
