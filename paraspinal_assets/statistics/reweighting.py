"""A logistic model fitted again on other row weights, many sets at once: bootstrap samples, folds left out."""

from __future__ import annotations

import numpy as np
from scipy import special

from paraspinal_assets.statistics.arrays import Mask, Matrix, Vector
from paraspinal_assets.statistics.logistic import LogisticFit
from paraspinal_assets.statistics.newton import CACHED_ROWS

MAX_STEPS = 12
"""Weights that lead far from the model settle slowly; Newton's method, from where they got to, is faster."""


def gradients(x: Matrix, y: Vector, weights: Matrix, betas: Matrix) -> Matrix:
    """Score of the logistic likelihood for each column of weights ``(n, k)`` and log odds ``(p, k)``: ``(p, k)``.

    Block by block: residuals of all rows and sets at once would not fit into the processor's cache.
    """
    total = np.zeros_like(betas)
    for first in range(0, len(x), CACHED_ROWS):
        rows = slice(first, first + CACHED_ROWS)
        residual = x[rows] @ betas
        special.expit(residual, out=residual)
        np.subtract(y[rows, None], residual, out=residual)
        residual *= weights[rows]
        total += x[rows].T @ residual
    return total


def refit_together(fit: LogisticFit, x: Matrix, weights: Matrix, *, decrement: float) -> tuple[Matrix, Mask]:
    """Log odds for each column of weights, and which of them have settled.

    All start from the whole table's estimates and step with its information, scaled to their own sum of
    weights, so that a step costs two passes over the rows; each set's own gradient decides where it ends.

    Parameters
    ----------
    fit
        The model on all rows, with finite estimates.
    x
        Its kept columns, shape ``(n, rank)``, rows contiguous.
    weights
        Case weights, shape ``(n, k)``.
    decrement
        A set has settled after a step whose half square, in standard errors, is below this.
    """
    y, size = fit.design.y, weights.shape[1]
    # Fewer rows tell less: the steps are longer by as much.
    stretch = len(y) / np.maximum(weights.sum(axis=0), 1.0)
    betas = np.repeat(fit.beta[:, None], size, axis=1)
    settled = np.zeros(size, dtype=bool)
    going = np.arange(size)
    for _ in range(MAX_STEPS):
        if not len(going):
            break
        used = weights if len(going) == size else np.ascontiguousarray(weights[:, going])
        gradient = gradients(x, y, used, betas[:, going])
        step = (fit.covariance @ gradient) * stretch[going]
        half_square = 0.5 * np.einsum("ij,ij->j", gradient, step)
        betas[:, going] += step
        settled[going] = half_square < decrement
        going = going[half_square >= decrement]
    return betas, settled
