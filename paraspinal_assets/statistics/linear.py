"""Ordinary least squares with R's numbers: coefficients and fit statistics.

Solved by QR in the order of the formula; linearly dependent columns are aliased by R's rule (`rank`), so
their rows are present with empty numbers. AIC and BIC count sigma as a parameter, as R does.

Source: R documentation of ``summary.lm`` and ``AIC``. Tests between models are in `anova`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import linalg, stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Index, Matrix, Vector
from paraspinal_assets.statistics.confidence import TAIL
from paraspinal_assets.statistics.design import Design, build_design
from paraspinal_assets.statistics.formula import Formula
from paraspinal_assets.statistics.rank import LM_TOLERANCE, decompose

COEFFICIENT_COLUMNS = ("term", "estimate", "std_error", "t", "p", "ci_low", "ci_high", "aliased")
FIT_COLUMNS = (
    *("n", "df_residual", "sigma", "r2", "adj_r2", "f", "f_p", "log_likelihood", "aic", "bic"),
    *("mse", "rmse", "mae"),
)


@dataclass(frozen=True)
class LinearFit:
    """A fitted linear model.

    Parameters
    ----------
    design
        Matrix, outcome and names, shape ``(n, p)``.
    kept, aliased
        Positions of estimated and of aliased columns.
    coefficients, std_error
        Shape ``(p,)``, NaN where aliased.
    q, r
        Thin QR of the kept columns.
    """

    design: Design
    kept: Index
    aliased: Index
    coefficients: Vector
    std_error: Vector
    q: Matrix
    r: Matrix

    @property
    def n(self) -> int:
        """Rows used."""
        return len(self.design.y)

    @property
    def rank(self) -> int:
        """Estimated coefficients, the intercept included."""
        return len(self.kept)

    @property
    def df_residual(self) -> int:
        """Residual degrees of freedom."""
        return self.n - self.rank

    @cached_property
    def effects(self) -> Vector:
        """``Q'y``, shape ``(rank,)``: each squared entry is the sum of squares of its column in order."""
        return np.asarray(self.q.T @ self.design.y)

    @cached_property
    def fitted(self) -> Vector:
        """Fitted values, shape ``(n,)``."""
        return np.asarray(self.design.x[:, self.kept] @ self.coefficients[self.kept])

    @cached_property
    def residuals(self) -> Vector:
        """Outcome less fitted values, shape ``(n,)``."""
        return self.design.y - self.fitted

    @cached_property
    def rss(self) -> float:
        """Residual sum of squares."""
        return float(self.residuals @ self.residuals)

    @property
    def sigma(self) -> float:
        """Residual standard error."""
        return float(np.sqrt(self.rss / self.df_residual))

    def term(self, name: str) -> int:
        """Position of a coefficient by its R name.

        Raises
        ------
        StatisticsError
            ``E-STAT-TERM`` if it is not in the model, or is aliased.
        """
        if name not in self.design.names:
            raise StatisticsError(
                "E-STAT-TERM",
                f"{name!r} is no coefficient of '{self.design.formula}'; "
                f"these are {', '.join(self.design.names)}.",
                "Name a coefficient of the model.",
            )
        position = self.design.names.index(name)
        if position in self.aliased:
            raise StatisticsError(
                "E-STAT-TERM",
                f"{name!r} is aliased in '{self.design.formula}': it is a combination of earlier columns.",
                "Name another coefficient, or take out the columns that it repeats.",
            )
        return position

    def coefficient_table(self) -> pd.DataFrame:
        """Columns `COEFFICIENT_COLUMNS`, one row per column of the design, aliased ones with nulls."""
        t = self.coefficients / self.std_error
        half = stats.t.ppf(1 - TAIL, self.df_residual) * self.std_error
        return pd.DataFrame(
            {
                "term": self.design.names,
                "estimate": self.coefficients,
                "std_error": self.std_error,
                "t": t,
                "p": 2 * stats.t.sf(np.abs(t), self.df_residual),
                "ci_low": self.coefficients - half,
                "ci_high": self.coefficients + half,
                "aliased": np.isin(np.arange(len(self.design.names)), self.aliased),
            }
        )

    def fit_statistics(self) -> dict[str, float]:
        """Values of `FIT_COLUMNS`. ``f`` is NaN for a model without terms."""
        n, df, residuals = self.n, self.df_residual, self.residuals
        # R centres both sums on the mean of the fitted values, which equals the outcome's with an intercept.
        explained = float(((self.fitted - self.fitted.mean()) ** 2).sum())
        r2 = explained / (explained + self.rss)
        df_model = self.rank - 1
        f = explained / df_model / (self.rss / df) if df_model else float("nan")
        log_likelihood = -0.5 * n * (np.log(2 * np.pi) + 1 - np.log(n) + np.log(self.rss))
        parameters = self.rank + 1
        mse = self.rss / n
        return {
            "n": n,
            "df_residual": df,
            "sigma": self.sigma,
            "r2": r2,
            "adj_r2": 1 - (1 - r2) * (n - 1) / df,
            "f": f,
            "f_p": float(stats.f.sf(f, df_model, df)) if df_model else float("nan"),
            "log_likelihood": float(log_likelihood),
            "aic": float(-2 * log_likelihood + 2 * parameters),
            "bic": float(-2 * log_likelihood + np.log(n) * parameters),
            "mse": mse,
            "rmse": float(np.sqrt(mse)),
            "mae": float(np.abs(residuals).mean()),
        }


def fit_linear(design: Design) -> LinearFit:
    """Least squares on a design.

    Raises
    ------
    StatisticsError
        ``E-STAT-CONSTANT`` if the outcome has one value, ``E-STAT-SATURATED`` if no residual degree of
        freedom is left (fewer rows than columns).
    """
    if np.ptp(design.y) == 0:
        raise StatisticsError(
            "E-STAT-CONSTANT",
            f"The outcome {design.formula.outcome!r} is {design.y[0]:g} in all {len(design.y)} rows used.",
            "A constant outcome cannot be modelled; check the column and the exclusions.",
        )
    kept, aliased, q, r = decompose(design.x, LM_TOLERANCE)
    n, rank = len(design.y), len(kept)
    if n - rank < 1:
        raise StatisticsError(
            "E-STAT-SATURATED",
            f"'{design.formula}' has {len(design.names)} coefficients and {n} complete rows: "
            "nothing is left to estimate the error from.",
            "Use fewer terms, or impute to keep more rows.",
        )
    inverse = linalg.solve_triangular(r, np.eye(rank))
    beta = inverse @ (q.T @ design.y)
    residuals = design.y - design.x[:, kept] @ beta
    sigma2 = float(residuals @ residuals) / (n - rank)
    coefficients = np.full(design.x.shape[1], np.nan)
    std_error = np.full(design.x.shape[1], np.nan)
    coefficients[kept] = beta
    std_error[kept] = np.sqrt(sigma2 * (inverse**2).sum(axis=1))
    return LinearFit(design, kept, aliased, coefficients, std_error, q, r)


def linear_model(table: pd.DataFrame, formula: Formula | str) -> LinearFit:
    """Fit a formula on the complete rows of a table: `build_design`, then `fit_linear`."""
    return fit_linear(build_design(table, formula))
