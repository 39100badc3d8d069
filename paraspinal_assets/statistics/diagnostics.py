"""What a fitted model says about its rows and columns: influence, collinearity, and the culprits by name.

Sources: R documentation of ``influence.measures`` and ``lowess``; Belsley, Kuh & Welsch, Regression
Diagnostics (1980); Fox & Monette, Generalized collinearity diagnostics, JASA 87 (1992) 178-183; Peduzzi
et al., J. Clin. Epidemiol. 49 (1996) 1373-1379, on ten events per variable.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import linalg, stats
from statsmodels.nonparametric.smoothers_lowess import lowess

from paraspinal_assets.statistics.arrays import Index, Matrix, Vector
from paraspinal_assets.statistics.design import INTERCEPT, Design
from paraspinal_assets.statistics.linear import LinearFit
from paraspinal_assets.statistics.logistic import LogisticFit
from paraspinal_assets.statistics.problems import Problem

ROW_COLUMNS = ("row", "fitted", "residual", "hat", "rstandard", "rstudent", "cooks_distance")
TERM_COLUMNS = ("term", "df", "gvif", "vif")
VIF_LIMIT = 10.0
EVENTS_PER_VARIABLE = 10.0


def row_diagnostics(fit: LinearFit) -> pd.DataFrame:
    """Columns `ROW_COLUMNS`: residual, leverage, studentised residuals and Cook's distance of each row used.

    ``row`` is the 0-based position in the table; ``rstudent`` leaves the row itself out of sigma. Where
    leverage is 1 the row determines its own fit, and the last three columns are empty.
    """
    hat = np.einsum("ij,ij->i", fit.q, fit.q)
    own = hat > 1 - 1e-10
    spare = np.where(own, np.nan, 1 - hat)
    residual, sigma, df = fit.residuals, fit.sigma, fit.df_residual
    standard = residual / (sigma * np.sqrt(spare))
    left_out = (df * sigma**2 - residual**2 / spare) / (df - 1) if df > 1 else np.full(len(hat), np.nan)
    return pd.DataFrame(
        {
            "row": fit.design.rows,
            "fitted": fit.fitted,
            "residual": residual,
            "hat": hat,
            "rstandard": standard,
            "rstudent": residual / np.sqrt(np.where(left_out > 0, left_out, np.nan) * spare),
            "cooks_distance": standard**2 * hat / (spare * fit.rank),
        }
    )


def variance_inflation(design: Design, kept: Index) -> pd.DataFrame:
    """Generalised variance inflation per term; ``vif`` is ``gvif ** (1 / df)``, comparable across terms."""
    positions = [int(k) for k in kept if design.names[k] != INTERCEPT]
    x = design.x[:, positions]
    centred = x - x.mean(axis=0)
    q_r = linalg.qr(centred / np.linalg.norm(centred, axis=0), mode="r")[0][: len(positions)]
    correlation = q_r.T @ q_r
    terms = design.assign[positions]
    whole = _log_det(correlation)
    rows: list[tuple[str, int, float, float]] = []
    for position, label in enumerate(design.formula.labels, start=1):
        own = terms == position
        df = int(own.sum())
        if df == 0:
            continue
        log_gvif = _log_det(correlation[np.ix_(own, own)]) + _log_det(correlation[np.ix_(~own, ~own)]) - whole
        rows.append((label, df, float(np.exp(log_gvif)), float(np.exp(log_gvif / df))))
    return pd.DataFrame(rows, columns=list(TERM_COLUMNS))


def _log_det(matrix: Matrix) -> float:
    return float(np.linalg.slogdet(matrix)[1]) if len(matrix) else 0.0


def normal_quantiles(sample: Vector) -> Vector:
    """Normal quantiles that a sample is drawn against, in its order, as R's ``qqnorm``; shape ``(n,)``."""
    n = len(sample)
    a = 3 / 8 if n <= 10 else 1 / 2
    points = stats.norm.ppf((np.arange(1, n + 1) - a) / (n + 1 - 2 * a))
    theoretical = np.empty(n)
    theoretical[np.argsort(sample, kind="stable")] = points
    return theoretical


def smooth(x: Vector, y: Vector) -> pd.DataFrame:
    """Cleveland's lowess with R's defaults (two thirds of the points, three robust iterations): x, y."""
    spread = float(np.ptp(x))
    line = lowess(y, x, frac=2 / 3, it=3, delta=0.01 * spread)
    return pd.DataFrame(line, columns=["x", "y"])


def design_problems(analysis: str, model: str, design: Design, kept: Index, aliased: Index) -> list[Problem]:
    """Constant, aliased and nearly collinear columns, dropped rows and a shortage of rows, in words."""
    found: list[Problem] = []

    def say(code: str, message: str) -> None:
        found.append(Problem(analysis, model, code, message))

    if design.n_dropped:
        by = ", ".join(f"{column} ({count})" for column, count in design.dropped_by.items())
        say("W-STAT-DROPPED", f"{design.n_dropped} rows with missing values were left out; missing in {by}.")
    for name, levels in design.levels.items():
        if len(levels) == 1:
            say(
                "W-STAT-CONSTANT",
                f"{name} is {levels[0]!r} in all {len(design.y)} rows: it has no coefficient.",
            )
    for j in aliased:
        name, column = design.names[j], design.x[:, j]
        if np.ptp(column) == 0:
            say(
                "W-STAT-CONSTANT",
                f"{name} is {column[0]:g} in all {len(column)} rows: it has no coefficient.",
            )
        else:
            culprits = ", ".join(_explained_by(design, kept, int(j)))
            say("W-STAT-ALIASED", f"{name} is an exact combination of {culprits}: it has no coefficient.")
    inflation = variance_inflation(design, kept)
    for row in inflation[inflation["vif"] > VIF_LIMIT].itertuples():
        say("W-STAT-COLLINEAR", f"{row.term} is nearly a combination of the others: VIF {row.vif:.1f}.")
    n, p = design.x.shape
    if n < p:
        say(
            "W-STAT-FEW-ROWS", f"{n} rows for {p} coefficients ({n - len(kept)} residual degrees of freedom)."
        )
    return found


def _explained_by(design: Design, kept: Index, j: int) -> list[str]:
    """Kept columns before j that it combines."""
    before = np.array([k for k in kept if k < j], dtype=np.intp)
    x = design.x[:, before]
    scale = np.sqrt((x**2).mean(axis=0))
    share = np.linalg.lstsq(x / scale, design.x[:, j], rcond=None)[0]
    large = np.abs(share) > 1e-7 * np.abs(share).max()
    names = [design.names[k] for k, use in zip(before, large, strict=True) if use]
    return [name for name in names if name != INTERCEPT] or names


def logistic_problems(model: str, fit: LogisticFit) -> list[Problem]:
    """`design_problems`, separation with the column that separates, and too few events per coefficient."""
    found = design_problems("logistic", model, fit.design, fit.kept, fit.aliased)
    y = fit.design.y
    found += [Problem("logistic", model, "W-STAT-SEPARATION", words) for words in _separation_words(fit)]
    events = int(min(y.sum(), len(y) - y.sum()))
    variables = max(len(fit.kept) - 1, 1)
    if events / variables < EVENTS_PER_VARIABLE:
        found.append(
            Problem(
                "logistic",
                model,
                "W-STAT-EVENTS",
                f"{events} events of {fit.design.formula.outcome} for {variables} coefficients: "
                f"{events / variables:.1f} events per variable (10 are usual). The apparent AUC flatters; "
                "read the out-of-fold and optimism-corrected values.",
            )
        )
    return found


def _separation_words(fit: LogisticFit) -> list[str]:
    """Whether the rows are separated as a whole, and the columns that run to infinity alone or with others."""
    if not len(fit.separated):
        return []
    outcome = fit.design.formula.outcome
    alone = {int(j): _separates_alone(fit, int(j)) for j in fit.separated}
    if not np.isfinite(fit.coefficients).any():
        whole = f"The columns of the model together separate {outcome}: no coefficient is finite."
        return [whole, *filter(None, alone.values())]
    return [
        words
        or f"{fit.design.names[j]} separates {outcome} together with other columns. Its log odds are infinite."
        for j, words in alone.items()
    ]


def _separates_alone(fit: LogisticFit, j: int) -> str:
    """The value or the cut at which a column separates the outcome by itself; empty if it does not."""
    name, outcome = fit.design.names[j], fit.design.formula.outcome
    x, y = fit.design.x[:, j], fit.design.y
    if name == INTERCEPT:
        return ""
    for value in np.unique(x) if len(np.unique(x)) == 2 else ():
        inside = y[x == value]
        if len(np.unique(inside)) == 1:
            return (
                f"{name} separates {outcome}: all {len(inside)} rows with {name} = {value:g} "
                f"have {outcome} = {inside[0]:g}. Its log odds are infinite."
            )
    low, high = x[y == 0], x[y == 1]
    if low.max() <= high.min() or high.max() <= low.min():
        cut = (low.max() + high.min()) / 2 if low.max() <= high.min() else (high.max() + low.min()) / 2
        return f"{name} separates {outcome} perfectly at {cut:g}. Its log odds are infinite."
    return ""
