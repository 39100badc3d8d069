"""Which columns of a design matrix are linear combinations of earlier ones, by R's rule.

R's ``lm`` and ``glm`` decompose with LINPACK's ``dqrdc2``: Householder reflections in the order of the
formula; a column whose norm, once the earlier columns are projected out, falls below `tolerance` times
its original norm moves to the end and is aliased. So the *later* of two collinear columns goes, where a
pivoted QR or a pseudo-inverse would decide otherwise.

Sources: R documentation of ``lm.fit`` and ``glm.control``; LINPACK Users' Guide, chapter 9; Yamamoto et al.,
Electronic Transactions on Numerical Analysis 44 (2015) 306-326, on CholeskyQR2.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from paraspinal_assets.statistics.arrays import Index, Matrix, Vector

LM_TOLERANCE = 1e-7
"""Tolerance of R's ``lm``."""
GLM_TOLERANCE = 1e-11
"""Tolerance of R's ``glm``: ``min(1e-7, epsilon / 1000)`` at the default ``epsilon = 1e-8``."""
WELL_CONDITIONED = 1e-6
"""Least eigenvalue of the cross products of columns of length 1 from which on no column is near aliasing: each
leaves a thousandth of its norm unexplained, and Cholesky's way to the QR loses no digits (CholeskyQR2)."""


def independent_columns(x: Matrix, tolerance: float = LM_TOLERANCE) -> tuple[Index, Index]:
    """Columns that R keeps, and those that it aliases, both in their original order.

    Parameters
    ----------
    x
        Design matrix, shape ``(n, p)``, finite.
    tolerance
        Smallest share of a column's norm that the earlier columns must leave unexplained.

    Returns
    -------
    tuple
        Positions of the kept and of the aliased columns.
    """
    if 0 in x.shape:
        return np.arange(0), np.arange(x.shape[1])
    # One orthogonal transformation shrinks the problem to p x p; column norms and angles survive it.
    triangle = np.asarray(linalg.qr(x, mode="r")[0], dtype=np.float64)[: min(x.shape)]
    return _dependent(triangle, np.linalg.norm(x, axis=0), tolerance)


def decompose(x: Matrix, tolerance: float = LM_TOLERANCE) -> tuple[Index, Index, Matrix, Matrix]:
    """`independent_columns` with the thin QR of the kept ones, from a single pass over the rows.

    Parameters
    ----------
    x
        Design matrix, shape ``(n, p)``, finite, n and p at least 1.
    tolerance
        As in `independent_columns`.

    Returns
    -------
    tuple
        Positions of the kept and of the aliased columns; ``q``, shape ``(n, rank)``; ``r``, upper triangular.
    """
    quick = _cholesky_qr(x)
    if quick is not None:
        return np.arange(x.shape[1]), np.arange(0), *quick
    q, r = (np.asarray(part, dtype=np.float64) for part in linalg.qr(x, mode="economic"))
    kept, aliased = _dependent(r, np.linalg.norm(x, axis=0), tolerance)
    if len(aliased):
        turn, r = (np.asarray(part, dtype=np.float64) for part in linalg.qr(r[:, kept], mode="economic"))
        q = q @ turn
    return kept, aliased, q, r


def cross_products_are_sound(gram: Matrix) -> bool:
    """Whether cross products ``x.T @ x`` alone show that R's rule keeps every column of x."""
    norms = np.sqrt(np.diag(gram))
    if not norms.all():
        return False
    return bool(np.linalg.eigvalsh(gram / np.outer(norms, norms))[0] > WELL_CONDITIONED)


def _cholesky_qr(x: Matrix) -> tuple[Matrix, Matrix] | None:
    """QR from two Cholesky factors, a fraction of the time of Householder's; None unless well conditioned."""
    norms = np.sqrt(np.einsum("ij,ij->j", x, x))
    if not norms.all():
        return None
    q, r = x / norms, np.diag(norms)
    for turn in range(2):
        gram = q.T @ q
        if turn == 0 and not cross_products_are_sound(gram):
            return None
        factor = np.linalg.cholesky(gram).T
        q = q @ linalg.solve_triangular(factor, np.eye(len(factor)))
        r = factor @ r
    return q, r


def _dependent(triangle: Matrix, norms: Vector, tolerance: float) -> tuple[Index, Index]:
    """R's rule on the triangular factor of a matrix whose columns have these norms."""
    work = triangle.copy()
    kept: list[int] = []
    aliased: list[int] = []
    row = 0
    for column in range(work.shape[1]):
        rest = work[row:, column]
        length = float(np.linalg.norm(rest))
        if row >= len(work) or norms[column] == 0.0 or length < tolerance * norms[column]:
            aliased.append(column)
            continue
        kept.append(column)
        reflector = rest.copy()
        reflector[0] += np.copysign(length, reflector[0])
        reflector /= np.linalg.norm(reflector)
        work[row:, column:] -= 2.0 * np.outer(reflector, reflector @ work[row:, column:])
        row += 1
    return np.array(kept, dtype=np.intp), np.array(aliased, dtype=np.intp)
