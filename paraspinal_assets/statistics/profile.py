"""Profile-likelihood confidence limits of a logistic model: as R interpolates them, or exactly.

R's ``confint.glm`` lays a spline through about ten points of the profile and interpolates linearly on
three times as many, which leaves an error of up to about 1e-3 of an interval's width. The default repeats
that; ``exact`` solves for the limits.

Sources: R documentation of ``profile.glm`` and ``splinefun``; Forsythe, Malcolm & Moler, Computer Methods
for Mathematical Computations (1977), section 4.4; Venzon & Moolgavkar, Applied Statistics 37 (1988) 87-94.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import linalg, special, stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Matrix, Vector
from paraspinal_assets.statistics.confidence import LEVEL, TAIL
from paraspinal_assets.statistics.logistic import (
    ON_THE_PLANE,
    LogisticFit,
    fit_logistic,
    separating_direction,
)
from paraspinal_assets.statistics.newton import deviance, weighted_gram

ProfileMethod = Literal["auto", "spline", "exact"]

EXACT_FROM_ROWS = 20_000
"""``auto`` solves exactly from here on: the profile is so close to a parabola that R's interpolation
agrees, and the points of the spline would take minutes."""
MAX_ITERATIONS = 40
MAX_STEPS = 9
"""Points of the profile on either side, as in R (``maxsteps = 10``)."""
TOLERANCE = 1e-5
"""The exact solution stops after a step below this, in standard errors, from a log-likelihood within it of
its target; convergence is quadratic."""


def profile_intervals(fit: LogisticFit, *, method: ProfileMethod = "auto") -> Matrix:
    """Limits at which the log-likelihood, maximised over the other coefficients, has fallen enough.

    Parameters
    ----------
    fit
        A fitted model.
    method
        ``spline`` as R, ``exact``, or ``auto``: R's below `EXACT_FROM_ROWS` rows.

    Returns
    -------
    Matrix
        Log odds, shape ``(p, 2)``; NaN where aliased or separated, or where the likelihood does not fall
        far enough on that side.
    """
    limits = np.full((len(fit.design.names), 2), np.nan)
    if len(fit.separated):
        rest = _beside_separation(fit)
        if rest is not None:
            settled = np.setdiff1d(rest.kept, fit.separated)
            limits[settled] = profile_intervals(rest, method=method)[settled]
        return limits
    x = fit.design.x[:, fit.kept]
    scale = np.sqrt((x**2).mean(axis=0))
    scaled, beta = np.ascontiguousarray(x / scale), fit.beta * scale
    covariance = fit.covariance * np.outer(scale, scale)
    exact = method == "exact" or (method == "auto" and len(x) >= EXACT_FROM_ROWS)
    for j, position in enumerate(fit.kept):
        # Direction of the profile: one standard error of this coefficient, the others moved along.
        direction = covariance[:, j] / np.sqrt(covariance[j, j])
        if exact:
            drop = float(stats.chi2.ppf(LEVEL, 1)) / 2
            pair = [
                _solve(scaled, fit.design.y, beta + sign * np.sqrt(2 * drop) * direction, j, drop, fit, sign)
                for sign in (-1.0, 1.0)
            ]
        else:
            pair = _interpolated(scaled, fit.design.y, beta, direction, j, fit.deviance)
        limits[position] = np.array(pair, dtype=float) / scale[j]
    return limits


def _beside_separation(fit: LogisticFit) -> LogisticFit | None:
    """The model of the rows that separated columns do not decide; None if none are left.

    As those columns run to infinity, the rows that they decide add nothing to the likelihood, and the rest of
    the profile is that of the other rows.
    """
    margin = np.abs(fit.design.x[:, fit.kept] @ separating_direction(fit.design.x[:, fit.kept], fit.design.y))
    open_rows = fit.design.rows[margin <= ON_THE_PLANE * margin.max()]
    if not len(open_rows):
        return None
    try:
        rest = fit_logistic(fit.design.on_rows(open_rows))
    except StatisticsError:
        return None
    return None if len(rest.separated) else rest


def _interpolated(x: Matrix, y: Vector, beta: Vector, direction: Vector, j: int, least: float) -> list[float]:
    """R's ``confint``: signed root deviance at steps of a fifth of its range, a spline, then ``approx``."""
    furthest = float(np.sqrt(stats.chi2.ppf(1 - TAIL / 2, 1)))
    values, roots = [beta[j]], [0.0]
    for sign in (-1.0, 1.0):
        point = beta
        for _ in range(MAX_STEPS):
            moved, reached = _profile_point(x, y, point + sign * furthest / 5 * direction, j)
            root = sign * float(np.sqrt(max(reached - least, 0.0)))
            point = moved
            values.append(point[j])
            roots.append(root)
            if abs(root) >= furthest:
                break
    order = np.argsort(values)
    at, height = np.array(values)[order], np.array(roots)[order]
    grid = np.linspace(at[0], at[-1], 3 * len(at))
    curve = fmm_spline(at, height, grid)
    rising = np.argsort(curve, kind="stable")
    cut = (float(stats.norm.ppf(TAIL)), float(stats.norm.ppf(1 - TAIL)))
    low, high = (np.interp(c, curve[rising], grid[rising], left=np.nan, right=np.nan) for c in cut)
    return [float(low), float(high)]


def _profile_point(x: Matrix, y: Vector, beta: Vector, j: int) -> tuple[Vector, float]:
    """Maximise over all coefficients but the j-th, from a good start; coefficients and deviance."""
    others = np.arange(x.shape[1]) != j
    eta = x @ beta
    for _ in range(MAX_ITERATIONS):
        probability = special.expit(eta)
        information = weighted_gram(x, probability * (1 - probability))
        gradient = x.T @ (y - probability)
        try:
            factor = linalg.cho_factor(information[np.ix_(others, others)])
        except linalg.LinAlgError:
            break
        step = linalg.cho_solve(factor, gradient[others])
        beta = beta.copy()
        beta[others] += step
        eta = x @ beta
        # The deviance is off by the fourth power of the step: this leaves it good to about 1e-10.
        if float(gradient[others] @ step) < 1e-6:
            break
    return beta, deviance(eta, y)


def fmm_spline(x: Vector, y: Vector, at: Vector) -> Vector:
    """Cubic spline of Forsythe, Malcolm and Moler, R's default: end cubics through the outer four points.

    Parameters
    ----------
    x, y
        Knots, ascending, shape ``(k,)``; with fewer than four the ends are natural.
    at
        Where to evaluate, within the knots.
    """
    k, h, slope = len(x), np.diff(x), np.diff(y) / np.diff(x)
    if k < 3:
        return np.asarray(np.interp(at, x, y))
    # Unknowns: c, half the second derivatives over three, as in the book.
    system, right = np.zeros((k, k)), np.zeros(k)
    for i in range(1, k - 1):
        system[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        right[i] = slope[i] - slope[i - 1]
    system[0, :2] = -h[0], h[0]
    system[-1, -2:] = h[-1], -h[-1]
    if k > 3:
        third = np.diff(np.diff(slope) / (x[2:] - x[:-2])) / (x[3:] - x[:-3])
        right[0], right[-1] = h[0] ** 2 * third[0], -(h[-1] ** 2) * third[-1]
    c = np.linalg.solve(system, right)
    piece = np.clip(np.searchsorted(x, at, side="right") - 1, 0, k - 2)
    b = slope[piece] - h[piece] * (c[piece + 1] + 2 * c[piece])
    d = (c[piece + 1] - c[piece]) / h[piece]
    step = at - x[piece]
    return np.asarray(y[piece] + step * (b + step * (3 * c[piece] + step * d)))


def _solve(x: Matrix, y: Vector, beta: Vector, j: int, drop: float, fit: LogisticFit, sign: float) -> float:
    """Venzon-Moolgavkar iteration for one limit; NaN if it does not settle."""
    target = fit.log_likelihood - drop
    others = np.arange(x.shape[1]) != j
    for _ in range(MAX_ITERATIONS):
        eta = x @ beta
        probability = special.expit(eta)
        log_likelihood = -0.5 * deviance(eta, y)
        information = weighted_gram(x, probability * (1 - probability))
        gradient = x.T @ (y - probability)
        try:
            factor = linalg.cho_factor(information[np.ix_(others, others)])
        except linalg.LinAlgError:
            return float("nan")
        toward = linalg.cho_solve(factor, gradient[others])
        along = linalg.cho_solve(factor, information[others, j])
        # The profile log-likelihood near here, to second order in the coefficient's step.
        value = log_likelihood + 0.5 * float(gradient[others] @ toward)
        slope = float(gradient[j] - information[j, others] @ toward)
        curvature = float(information[j, j] - information[j, others] @ along)
        if not curvature > 0:
            return float("nan")
        root = slope**2 + 2 * curvature * (value - target)
        step = (slope + sign * np.sqrt(max(root, 0.0))) / curvature
        bound = 4 / np.sqrt(curvature)
        step = float(np.clip(step, -bound, bound))
        beta = beta.copy()
        beta[others] += toward - along * step
        beta[j] += step
        if abs(step) * np.sqrt(curvature) < TOLERANCE and abs(log_likelihood - target) < TOLERANCE:
            return float(beta[j])
    return float("nan")
