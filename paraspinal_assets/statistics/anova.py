"""Tests between nested linear models, and of the terms of one, as R's ``anova`` and ``drop1``.

Source: R documentation of ``anova.lm`` and ``drop1``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.linear import LinearFit
from paraspinal_assets.statistics.rank import decompose


def compare_nested(small: LinearFit, large: LinearFit) -> dict[str, float | bool]:
    """F test of two models on the same rows, as R's ``anova(small, large)``.

    Returns
    -------
    dict
        ``nested``, ``df_difference``, ``ss_difference``, ``f``, ``p``; the last two are NaN unless the
        terms of one are a part of the other's and the other has the higher rank.

    Raises
    ------
    StatisticsError
        ``E-STAT-ROWS`` if the models were fitted to different rows.
    """
    if not np.array_equal(small.design.rows, large.design.rows):
        raise StatisticsError(
            "E-STAT-ROWS",
            f"'{small.design.formula}' is fitted on {small.n} rows, '{large.design.formula}' on {large.n}.",
            "Compare models on the same rows: impute, or fit both on the rows complete in the larger one.",
        )
    df = small.df_residual - large.df_residual
    ss = small.rss - large.rss
    terms, more = ({frozenset(t) for t in fit.design.formula.terms} for fit in (small, large))
    nested = terms <= more
    f = ss / df / (large.rss / large.df_residual) if nested and df > 0 else float("nan")
    p = float(stats.f.sf(f, df, large.df_residual)) if nested and df > 0 else float("nan")
    return {"nested": nested, "df_difference": df, "ss_difference": ss, "f": f, "p": p}


def type_one_anova(fit: LinearFit) -> pd.DataFrame:
    """Sequential sums of squares per term, as R's ``anova(model)``; the last row is ``Residuals``.

    Columns: term, df, sum_of_squares, mean_square, f, p.
    """
    groups = fit.design.assign[fit.kept]
    rows: list[dict[str, object]] = []
    for position, label in enumerate(fit.design.formula.labels, start=1):
        df = int((groups == position).sum())
        if df == 0:
            continue
        ss = float((fit.effects[groups == position] ** 2).sum())
        f = ss / df / fit.sigma**2
        p = float(stats.f.sf(f, df, fit.df_residual))
        rows.append({"term": label, "df": df, "sum_of_squares": ss, "mean_square": ss / df, "f": f, "p": p})
    left = {
        "term": "Residuals",
        "df": fit.df_residual,
        "sum_of_squares": fit.rss,
        "mean_square": fit.sigma**2,
    }
    return pd.DataFrame([*rows, left], columns=["term", "df", "sum_of_squares", "mean_square", "f", "p"])


def drop_one(fit: LinearFit) -> pd.DataFrame:
    """Each term left out in turn, as R's ``drop1(model, test = "F")``.

    ``aic`` is ``n log(rss / n) + 2 rank``, R's ``extractAIC``, which differs from ``AIC`` by a constant.
    Columns: term, df, sum_of_squares, rss, aic, f, p; the first row is the whole model.
    """
    n = fit.n
    rows: list[dict[str, object]] = [
        {"term": "<none>", "rss": fit.rss, "aic": n * np.log(fit.rss / n) + 2 * fit.rank},
    ]
    terms = fit.design.formula.terms
    for position, term in enumerate(terms, start=1):
        if any(set(term) < set(other) for other in terms):
            continue  # marginality: a main effect is not dropped from under its interaction
        # A column aliased to the term that goes may take its place, so all of the matrix is looked at again.
        rotated = fit.q.T @ fit.design.x[:, fit.design.assign != position] if len(fit.aliased) else None
        smaller = fit.r[:, fit.design.assign[fit.kept] != position] if rotated is None else rotated
        _, _, q, _ = decompose(smaller)
        lost = fit.effects - q @ (q.T @ fit.effects)
        rss, df = fit.rss + float(lost @ lost), fit.rank - q.shape[1]
        f = (rss - fit.rss) / df / fit.sigma**2 if df else float("nan")
        rows.append(
            {
                "term": ":".join(term),
                "df": df,
                "sum_of_squares": rss - fit.rss,
                "rss": rss,
                "aic": n * np.log(rss / n) + 2 * q.shape[1],
                "f": f,
                "p": float(stats.f.sf(f, df, fit.df_residual)) if df else float("nan"),
            }
        )
    return pd.DataFrame(rows, columns=["term", "df", "sum_of_squares", "rss", "aic", "f", "p"])
