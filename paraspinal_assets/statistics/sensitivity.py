"""How strong an unmeasured confounder would have to be: omitted-variable bias in partial R2.

Closed forms for one treatment coefficient of a linear model. ``r2dz_x`` is the share of the treatment's
residual variance that a confounder explains, ``r2yz_dx`` the share of the outcome's.

Sources: Cinelli & Hazlett, Making sense of sensitivity, J. R. Stat. Soc. B 82 (2020) 39-67; Cinelli,
Ferwerda & Hazlett, sensemakr (2020), for the extreme robustness value and the adjusted critical value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Matrix, Vector
from paraspinal_assets.statistics.linear import LinearFit

SENSITIVITY_COLUMNS = (
    *("model", "treatment", "estimate", "std_error", "t", "df", "partial_r2", "partial_f2"),
    *("q", "alpha", "rv_q", "rv_qa"),
)
BOUND_COLUMNS = (
    *("bound_label", "r2dz_x", "r2yz_dx", "adjusted_estimate", "adjusted_se", "adjusted_t"),
    *("adjusted_lower", "adjusted_upper"),
)

EXTREME_SHARES = (1.0, 0.75, 0.5)
"""Shares of the outcome's residual variance that `extreme_scenarios` lets a confounder explain."""
EXTREME_LIMIT = 0.1
"""Largest share of the treatment's there."""


def partial_r2(t: float, df: float) -> float:
    """Partial R2 of a coefficient with the outcome, from its t value."""
    return t * t / (t * t + df)


def robustness_value(t: float, df: float, *, q: float = 1.0, alpha: float = 1.0) -> float:
    """Strength, equal on both sides, that takes away a share `q` of an estimate.

    Parameters
    ----------
    t, df
        t value and residual degrees of freedom.
    q
        Share of the estimate to be explained away.
    alpha
        Below 1: strength that makes the rest insignificant at this level. 1: brings the point estimate there.
    """
    fq = q * abs(t) / np.sqrt(df)
    critical = _critical_f(df, alpha)
    fqa = fq - critical
    if fqa < 0:
        return 0.0
    if fq * critical > 1:
        # The outcome side would have to exceed 1: the extreme scenario is the binding one.
        return float((fq**2 - critical**2) / (1 + fq**2))
    return float(0.5 * (np.sqrt(fqa**4 + 4 * fqa**2) - fqa**2))


def _critical_f(df: float, alpha: float) -> float:
    """Critical value on the scale of Cohen's f, with the degree of freedom that the confounder takes."""
    return float(abs(stats.t.ppf(alpha / 2, df - 1)) / np.sqrt(df - 1)) if alpha < 1 else 0.0


@dataclass(frozen=True)
class Treatment:
    """The coefficient under question: estimate, standard error and residual degrees of freedom.

    `reduce` says whether confounding pulls the estimate towards zero (the default) or away from it.
    """

    estimate: float
    std_error: float
    df: int
    reduce: bool = True

    @classmethod
    def of(cls, fit: LinearFit, term: str, *, reduce: bool = True) -> Treatment:
        """Treatment of a fitted model.

        Raises ``E-STAT-TERM`` if it has no such estimated term, ``E-STAT-SATURATED`` if there is no degree of
        freedom to spare for a confounder.
        """
        j = fit.term(term)
        if fit.df_residual < 2:
            raise StatisticsError(
                "E-STAT-SATURATED",
                f"'{fit.design.formula}' has {fit.df_residual} residual degree of freedom: none is left for an "
                "unmeasured confounder.",
                "Use fewer terms or more rows.",
            )
        return cls(float(fit.coefficients[j]), float(fit.std_error[j]), fit.df_residual, reduce)

    @property
    def t(self) -> float:
        """Its t value against zero."""
        return self.estimate / self.std_error

    def bias(self, r2dz_x: Vector | float, r2yz_dx: Vector | float) -> Vector:
        """Size of the bias (never negative) of a confounder of that strength."""
        factor = np.sqrt(np.asarray(r2yz_dx) * r2dz_x / (1 - np.asarray(r2dz_x)))
        return np.asarray(factor * self.std_error * np.sqrt(self.df))

    def adjusted_estimate(self, r2dz_x: Vector | float, r2yz_dx: Vector | float) -> Vector:
        """Estimate had the confounder been in the model."""
        direction = np.sign(self.estimate) * (-1.0 if self.reduce else 1.0)
        return np.asarray(self.estimate + direction * self.bias(r2dz_x, r2yz_dx))

    def adjusted_se(self, r2dz_x: Vector | float, r2yz_dx: Vector | float) -> Vector:
        """Standard error had the confounder been in the model."""
        factor = np.sqrt((1 - np.asarray(r2yz_dx)) / (1 - np.asarray(r2dz_x)))
        return np.asarray(factor * self.std_error * np.sqrt(self.df / (self.df - 1)))

    def adjusted_t(self, r2dz_x: Vector | float, r2yz_dx: Vector | float, *, q: float = 1.0) -> Vector:
        """The t value of the adjusted estimate against what is left when a share `q` is explained away."""
        null = self.estimate * (1 - q if self.reduce else 1 + q)
        above = self.adjusted_estimate(r2dz_x, r2yz_dx) - null
        with np.errstate(divide="ignore", invalid="ignore"):  # a confounder may leave no residual variance
            return np.asarray(above / self.adjusted_se(r2dz_x, r2yz_dx))

    def statistics(self, *, q: float = 1.0, alpha: float = 0.05) -> dict[str, float]:
        """Columns of `SENSITIVITY_COLUMNS` after ``treatment``; ``t`` is against zero."""
        r2 = partial_r2(self.t, self.df)
        return {
            "estimate": self.estimate,
            "std_error": self.std_error,
            "t": self.t,
            "df": self.df,
            "partial_r2": r2,
            "partial_f2": r2 / (1 - r2),
            "q": q,
            "alpha": alpha,
            "rv_q": robustness_value(self.t, self.df, q=q),
            "rv_qa": robustness_value(self.t, self.df, q=q, alpha=alpha),
        }

    def adjusted_rows(
        self, labels: Sequence[str], r2dz_x: Vector, r2yz_dx: Vector, *, q: float, alpha: float
    ) -> pd.DataFrame:
        """Adjusted estimate, error, t and interval for each strength; columns `BOUND_COLUMNS`."""
        estimate, se = self.adjusted_estimate(r2dz_x, r2yz_dx), self.adjusted_se(r2dz_x, r2yz_dx)
        half = abs(stats.t.ppf(alpha / 2, self.df)) * se
        return pd.DataFrame(
            {
                "bound_label": labels,
                "r2dz_x": r2dz_x,
                "r2yz_dx": r2yz_dx,
                "adjusted_estimate": estimate,
                "adjusted_se": se,
                "adjusted_t": self.adjusted_t(r2dz_x, r2yz_dx, q=q),
                "adjusted_lower": estimate - half,
                "adjusted_upper": estimate + half,
            }
        )


def contour_grid(
    subject: Treatment, *, limit: float = 0.4, step: float = 0.001, of: str = "estimate"
) -> tuple[Vector, Matrix]:
    """Adjusted estimate or t value over a square of strengths, for a contour plot.

    Returns
    -------
    tuple
        Grid, shape ``(k,)``, for both axes, and values, shape ``(k, k)``: rows by ``r2dz_x``.
    """
    grid = np.arange(0, limit + step / 2, step)
    dz, yz = grid[:, None], grid[None, :]
    value = subject.adjusted_estimate(dz, yz) if of == "estimate" else subject.adjusted_t(dz, yz)
    return grid, value


def extreme_scenarios(subject: Treatment) -> pd.DataFrame:
    """Adjusted estimate when confounding explains `EXTREME_SHARES` of the outcome, over its share of the treatment.

    Columns: r2yz_dx, r2dz_x, adjusted_estimate.
    """
    grid = np.arange(0, EXTREME_LIMIT + 0.0005, 0.001)
    parts = [
        pd.DataFrame(
            {"r2yz_dx": share, "r2dz_x": grid, "adjusted_estimate": subject.adjusted_estimate(grid, share)}
        )
        for share in EXTREME_SHARES
    ]
    return pd.concat(parts, ignore_index=True)
