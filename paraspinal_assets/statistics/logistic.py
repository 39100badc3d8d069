"""Logistic regression by maximum likelihood, converged far beyond R's default, with Wald inference.

R's ``glm`` stops at a relative deviance change of 1e-8 and reports standard errors one iteration old; the
numbers here are those of ``glm.control(epsilon = 1e-14)``. Infinite estimates (separation) are found by
linear programming and reported as such, never as large finite numbers; predictions are then those of the
iterate at which R stops, unless R's iteration diverges.

Sources: McCullagh & Nelder, Generalized Linear Models (1989), chapter 4; Albert & Anderson, Biometrika
71 (1984), on existence of the estimates; Konis, Linear programming algorithms for detecting separated
data (thesis, Oxford 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special, stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics import newton
from paraspinal_assets.statistics.arrays import Index, Matrix, Vector
from paraspinal_assets.statistics.confidence import TAIL
from paraspinal_assets.statistics.design import Design, build_design
from paraspinal_assets.statistics.formula import Formula
from paraspinal_assets.statistics.newton import EPSILON, maximise, r_iterate, triangular
from paraspinal_assets.statistics.rank import GLM_TOLERANCE, decompose

COEFFICIENT_COLUMNS = (
    *("term", "log_odds", "std_error", "odds_ratio", "ci_low", "ci_high"),
    *("profile_ci_low", "profile_ci_high", "p"),
)
ON_THE_PLANE = 1e-7
"""Rows this close to a separating plane, relative to the furthest, lie on it: the separation is not complete."""
R_STOPS_WITHIN = 1e-3
"""Deviance above the ascent's at which R's iteration on separated data has still found its way."""
SATURATED = 30.0
"""Log odds beyond which R's logit link is 0 or 1 but for the last bit of a double."""
VANISHING_INFORMATION = 1e-6
"""A direction in which each row tells less than this about its coefficient is looked at for separation."""


@dataclass(frozen=True)
class LogisticFit:
    """A fitted logistic model.

    Parameters
    ----------
    design
        Matrix, outcome (0/1) and names, shape ``(n, p)``.
    kept, aliased
        Positions of estimated and of aliased columns.
    coefficients, std_error
        Log odds, shape ``(p,)``; NaN where aliased; +-inf (standard error NaN) where separated.
    covariance
        Inverse Fisher information of the kept columns, shape ``(rank, rank)``.
    beta
        Log odds of the kept columns that predict: under separation the last iterate, which is finite.
    deviance
        Twice the negative log-likelihood.
    separated
        Positions of columns with an infinite estimate.
    """

    design: Design
    kept: Index
    aliased: Index
    coefficients: Vector
    std_error: Vector
    covariance: Matrix
    beta: Vector
    deviance: float
    separated: Index

    @property
    def probabilities(self) -> Vector:
        """Fitted probabilities, shape ``(n,)``."""
        return self.predict(self.design.x)

    def predict(self, x: Matrix) -> Vector:
        """Probabilities for rows of a matrix with this design's columns, shape ``(m, p)``."""
        # Summed column by column: rows that are alike must stay tied, which a matrix product does not promise.
        log_odds = np.zeros(len(x))
        for column, slope in zip(self.kept, self.beta, strict=True):
            log_odds += x[:, column] * slope
        beyond = np.abs(log_odds) > SATURATED
        return np.asarray(special.expit(np.where(beyond, np.sign(log_odds) * -np.log(EPSILON), log_odds)))

    @property
    def log_likelihood(self) -> float:
        """Maximised log-likelihood."""
        return -0.5 * self.deviance

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return self.deviance + 2 * len(self.kept)

    @property
    def bic(self) -> float:
        """Schwarz's criterion."""
        return float(self.deviance + np.log(len(self.design.y)) * len(self.kept))

    def coefficient_table(self, profile: Matrix | None = None) -> pd.DataFrame:
        """Columns `COEFFICIENT_COLUMNS`; intervals are of the log odds, as R's ``confint`` gives them.

        Parameters
        ----------
        profile
            Profile-likelihood limits, shape ``(p, 2)``, from `profile.profile_intervals`; empty if not given.
        """
        z = self.coefficients / self.std_error
        half = stats.norm.ppf(1 - TAIL) * self.std_error
        limits = np.full((len(z), 2), np.nan) if profile is None else profile
        log_odds = np.where(np.isinf(self.coefficients), np.nan, self.coefficients)
        with np.errstate(over="ignore"):  # a log odds beyond 709 is an infinite ratio
            odds_ratio = np.exp(log_odds)
        return pd.DataFrame(
            {
                "term": self.design.names,
                "log_odds": log_odds,
                "std_error": self.std_error,
                "odds_ratio": odds_ratio,
                "ci_low": log_odds - half,
                "ci_high": log_odds + half,
                "profile_ci_low": limits[:, 0],
                "profile_ci_high": limits[:, 1],
                "p": 2 * stats.norm.sf(np.abs(z)),
            }
        )


def check_outcome(design: Design) -> None:
    """Refuse an outcome that is not 0/1 with both values.

    Raises
    ------
    StatisticsError
        ``E-STAT-BINARY`` other values, ``E-STAT-ONE-CLASS`` one value only.
    """
    name, y = design.formula.outcome, design.y
    other = np.setdiff1d(y, [0.0, 1.0])
    if other.size:
        raise StatisticsError(
            "E-STAT-BINARY",
            f"The outcome {name!r} has the value {other[0]:g}; a fracture outcome is 0 or 1.",
            "Recode it; if it comes from median imputation of an outcome, keep outcomes observed.",
        )
    if np.ptp(y) == 0:
        raise StatisticsError(
            "E-STAT-ONE-CLASS",
            f"The outcome {name!r} is {y[0]:g} in all {len(y)} rows used: there is nothing to discriminate.",
            "Check the outcome column and the exclusions.",
        )


def fit_logistic(design: Design, *, start: Vector | None = None) -> LogisticFit:
    """Maximum likelihood on a design.

    Parameters
    ----------
    design
        Matrix and 0/1 outcome.
    start
        Starting log odds, shape ``(p,)``; aliased entries are ignored.

    Raises
    ------
    StatisticsError
        See `check_outcome`; ``E-STAT-SATURATED`` if there are no more rows than coefficients.
    """
    check_outcome(design)
    # Newton runs on orthogonal columns, so that units and near collinearity cost no digits.
    kept, aliased, q, r = decompose(design.x, GLM_TOLERANCE)
    if len(design.y) <= len(kept):
        raise StatisticsError(
            "E-STAT-SATURATED",
            f"'{design.formula}' has {len(kept)} coefficients to estimate and {len(design.y)} complete rows.",
            "Use fewer terms, or impute to keep more rows.",
        )
    x = design.x[:, kept]
    gamma, factor, deviance = maximise(q, design.y, start=None if start is None else r @ start[kept])
    beta = np.asarray(linalg.solve_triangular(r, gamma))
    root = np.asarray(linalg.solve_triangular(r, triangular(factor, np.eye(len(kept))).T))
    covariance = root @ root.T
    p = design.x.shape[1]
    coefficients, std_error = np.full(p, np.nan), np.full(p, np.nan)
    coefficients[kept] = beta
    std_error[kept] = np.sqrt(np.diag(covariance))
    separated = np.arange(0)
    # The columns of q have length 1, so the squared pivots are mean variances p (1 - p) over the rows.
    if np.diag(factor).min() ** 2 < VANISHING_INFORMATION:
        direction = separating_direction(x, design.y)
        infinite = np.flatnonzero(direction)
        separated = kept[infinite]
        coefficients[separated] = np.sign(direction[infinite]) * np.inf
        std_error[separated] = np.nan
        margin = np.abs(x @ direction)
        decided = margin > ON_THE_PLANE * margin.max()
        if len(separated) and decided.all():
            # Complete separation: no coefficient has an estimate, not even those beside the direction.
            std_error[:] = np.nan
            coefficients[np.isfinite(coefficients)] = np.nan
        if len(separated):
            at_r, reached = r_iterate(q, design.y)
            if reached <= deviance + R_STOPS_WITHIN:
                beta, deviance = np.asarray(linalg.solve_triangular(r, at_r)), reached
            else:
                # R's iteration takes full steps and can run away: go to where the link saturates instead.
                further = (2 * SATURATED + np.abs(x @ beta).max()) / margin[decided].min()
                beta = beta + further * direction
                deviance = newton.deviance(x @ beta, design.y)
    return LogisticFit(
        design, kept, aliased, coefficients, std_error, covariance, beta, deviance, np.asarray(separated)
    )


def logistic_model(table: pd.DataFrame, formula: Formula | str) -> LogisticFit:
    """Fit a formula on the complete rows of a table: `build_design`, then `fit_logistic`."""
    return fit_logistic(build_design(table, formula))


def separating_direction(x: Matrix, y: Vector) -> Vector:
    """A direction in which the likelihood grows without end, zero where there is none.

    Solves ``max sum((2y - 1) x b)`` subject to ``(2y - 1) x b >= 0``, ``-1 <= b <= 1`` (Konis 2007).
    Columns are scaled to unit root mean square first.

    Returns
    -------
    Vector
        Shape ``(p,)``: sign and relative size of the infinite coefficients, 0 for finite ones.
    """
    scale = np.sqrt((x**2).mean(axis=0))
    signed = (2 * y - 1)[:, None] * (x / scale)
    answer = optimize.linprog(
        -signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=(-1, 1), method="highs"
    )
    if answer.x is None or answer.fun is None or answer.fun > -1e-6:
        return np.zeros(x.shape[1])
    direction = np.where(np.abs(answer.x) < 1e-7, 0.0, answer.x)
    return np.asarray(direction / scale)


def likelihood_ratio(small: LogisticFit, large: LogisticFit) -> dict[str, float]:
    """Likelihood-ratio test of two nested models, as R's ``anova(..., test = "LRT")``.

    Returns ``df``, ``chi2``, ``p``. Raises ``E-STAT-ROWS`` if the rows differ.
    """
    if not np.array_equal(small.design.rows, large.design.rows):
        raise StatisticsError(
            "E-STAT-ROWS",
            f"The models are fitted on {len(small.design.y)} and {len(large.design.y)} rows.",
            "Compare models on the same rows.",
        )
    df = len(large.kept) - len(small.kept)
    chi2 = small.deviance - large.deviance
    return {"df": df, "chi2": chi2, "p": float(stats.chi2.sf(chi2, df)) if df > 0 else float("nan")}
