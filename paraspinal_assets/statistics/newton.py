"""Newton's method for the logistic likelihood, on plain arrays.

Source: McCullagh & Nelder, Generalized Linear Models (1989), section 4.4.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, special

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Matrix, Vector

MAX_ITERATIONS = 60
DECREMENT = 1e-15
"""Newton stops after a step whose half square, in standard errors, is below this."""

LONGEST_MOVE, SHORT_STEPS = 10.0, 5
"""Most that each of the first steps changes the log odds of a row. Where a rare level has only cases, Newton's first
step is the inverse of their share: its rows' information is then gone before the other coefficients have settled."""

R_EPSILON = 1e-8
R_MAX_ITERATIONS = 25
"""Defaults of R's ``glm.control``."""
EPSILON = float(np.finfo(float).eps)
CACHED_ROWS = 4096
"""Rows handled at once where an array of all of them would not fit into the processor's cache."""


def maximise(
    x: Matrix,
    y: Vector,
    *,
    weights: Vector | None = None,
    offset: Vector | None = None,
    start: Vector | None = None,
    decrement: float = DECREMENT,
) -> tuple[Vector, Matrix, float]:
    """Newton's method with step halving on a full-rank matrix.

    Parameters
    ----------
    x, y
        Matrix, shape ``(n, p)``, full column rank; outcome in [0, 1], shape ``(n,)``.
    weights, offset
        Case weights and fixed part of the log odds, shape ``(n,)``.
    start
        Starting log odds, shape ``(p,)``.
    decrement
        Stop after a step whose half square, in standard errors, is below this. What remains is of the order
        of that number again, since convergence is quadratic.

    Returns
    -------
    tuple
        Log odds ``(p,)``, lower Cholesky factor of the information ``(p, p)``, deviance. Under separation
        the iteration ends where the information becomes numerically singular, with finite log odds.

    Raises
    ------
    StatisticsError
        E-STAT-SINGULAR if the columns repeat each other.
    """
    # On columns of unit size the Cholesky factor sees no difference of units.
    scale = np.sqrt(np.einsum("ij,ij->j", x, x) / len(x))
    case = 1.0 if weights is None else weights
    beta = np.zeros(x.shape[1]) if start is None else start
    if start is None and offset is None:
        beta = _flat_start(x, y, case)
    eta = x @ beta + (0.0 if offset is None else offset)
    reached = deviance(eta, y, case)
    factor: Matrix | None = None
    for iteration in range(MAX_ITERATIONS):
        probability = special.expit(eta)
        information = weighted_gram(x, case * probability * (1 - probability)) / np.outer(scale, scale)
        try:
            trial: Matrix = np.asarray(np.linalg.cholesky(information), dtype=np.float64)
        except np.linalg.LinAlgError:
            break
        # A pivot lost to rounding: the columns repeat each other (first pass), or the fit runs to infinity.
        if np.diag(trial).min() < (1e-7 if factor is not None else 1e-7 * np.diag(trial).max()):
            break
        factor = trial
        half = triangular(factor, x.T @ (case * (y - probability)) / scale)
        step = triangular(factor, half, transposed=True) / scale
        moved = x @ step
        longest = float(np.abs(moved).max()) if iteration < SHORT_STEPS else 0.0
        if longest > LONGEST_MOVE:
            step, moved = step * (LONGEST_MOVE / longest), moved * (LONGEST_MOVE / longest)
        for halving in range(12):
            fraction = 0.5**halving
            candidate = deviance(eta + fraction * moved, y, case)
            if candidate <= reached + 1e-12 * abs(reached):
                break
        beta = beta + fraction * step
        eta = eta + fraction * moved
        reached = candidate
        if 0.5 * float(half @ half) < decrement:
            break
    if factor is None:
        raise StatisticsError(
            "E-STAT-SINGULAR",
            "The information matrix of a logistic model is singular at its start.",
            "Look for columns that repeat each other.",
        )
    return beta, scale[:, None] * factor, reached


def r_iterate(x: Matrix, y: Vector) -> tuple[Vector, float]:
    """Where R's ``glm`` stops: log odds and deviance at its tolerance, from its start, for separated data.

    The estimates run to infinity there; only R's rule makes the iterate, and what it predicts, well defined.

    Parameters
    ----------
    x, y
        Matrix, shape ``(n, p)``, full column rank; 0/1 outcome, shape ``(n,)``.

    Source: R documentation of ``glm.fit``, ``glm.control`` and ``binomial``.
    """
    fitted = (y + 0.5) / 2
    eta = special.logit(fitted)
    reached, beta = deviance(eta, y), np.zeros(x.shape[1])
    for _ in range(R_MAX_ITERATIONS):
        weights = fitted * (1 - fitted)
        root = np.sqrt(weights)
        beta = linalg.lstsq(root[:, None] * x, root * (eta + (y - fitted) / weights), cond=R_EPSILON / 1000)[
            0
        ]
        eta = x @ beta
        fitted = np.clip(special.expit(eta), EPSILON, 1 - EPSILON)
        before, reached = reached, deviance(eta, y)
        if abs(reached - before) / (abs(reached) + 0.1) < R_EPSILON:
            break
    return np.asarray(beta, dtype=np.float64), reached


def _flat_start(x: Matrix, y: Vector, case: Vector | float) -> Vector:
    """Only the intercept (a constant first column), at the log odds of the prevalence."""
    beta = np.zeros(x.shape[1])
    rate = float(np.average(y, weights=None if isinstance(case, float) else case))
    if x.shape[1] and np.ptp(x[:, 0]) == 0 and 0 < rate < 1:
        beta[0] = special.logit(rate) / x[0, 0]
    return beta


def deviance(eta: Vector, y: Vector, case: Vector | float = 1.0) -> float:
    """Twice the negative log-likelihood at these log odds of the rows, with case weights."""
    # log(1 + e^eta) - y eta, exact for large |eta| and with no log of zero
    softplus = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta)))
    return float(2 * np.sum(case * (softplus - y * eta)))


def weighted_gram(x: Matrix, weights: Vector) -> Matrix:
    """``x.T @ diag(weights) @ x``, block by block: the weighted rows stay in the processor's cache."""
    root = np.sqrt(weights)[:, None]
    total = np.zeros((x.shape[1], x.shape[1]))
    for first in range(0, len(x), CACHED_ROWS):
        block = slice(first, first + CACHED_ROWS)
        half = x[block] * root[block]
        total += half.T @ half
    return total


def triangular(factor: Matrix, right: Matrix, *, transposed: bool = False) -> Matrix:
    """Solve with a lower triangular factor, or with its transpose."""
    return np.asarray(
        linalg.solve_triangular(factor, right, lower=True, trans=1 if transposed else 0), dtype=float
    )
