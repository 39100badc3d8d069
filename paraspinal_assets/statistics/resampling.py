"""Honest performance: stratified folds and out-of-fold predictions.

Source: Efron & Gong, American Statistician 37 (1983) 36-48.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from paraspinal_assets.errors import ParaspinalError, StatisticsError
from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.logistic import LogisticFit, fit_logistic
from paraspinal_assets.statistics.newton import DECREMENT
from paraspinal_assets.statistics.rank import cross_products_are_sound
from paraspinal_assets.statistics.reweighting import refit_together

MOST_TOGETHER = 50
"""With more folds, as when each row is one, the weights of all at once would not fit into memory."""


def stratified_folds(y: Vector, n_folds: int = 10, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """Fold of each row, 1 to `n_folds`, cases and controls spread evenly.

    Raises
    ------
    StatisticsError
        ``E-STAT-FOLDS`` if there are fewer cases (or controls) than folds.
    """
    y = np.asarray(y, dtype=float)
    generator = np.random.default_rng(seed)
    folds = np.zeros(len(y), dtype=np.int64)
    offset = 0
    values, sizes = np.unique(y, return_counts=True)
    if sizes.min() < n_folds:
        value, most = values[sizes.argmin()], sizes.min()
        raise StatisticsError(
            "E-STAT-FOLDS",
            f"{most} rows have the outcome {value:g}: too few for {n_folds} folds.",
            f"Use at most {most} folds."
            if most > 1
            else "There are no out-of-fold predictions of a single row.",
        )
    for value in values:
        rows = np.flatnonzero(y == value)
        # Continue the deal where the last class stopped, so that the folds have equal sizes.
        folds[generator.permutation(rows)] = (np.arange(len(rows)) + offset) % n_folds + 1
        offset += len(rows)
    return folds


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for each row from a model fitted without its fold.

    Parameters
    ----------
    probabilities
        Shape ``(n,)``; NaN where the fold's model could not be fitted.
    notes
        A sentence per fold whose model differs from the whole: a failure, or columns lost in training.
    """

    probabilities: Vector
    notes: tuple[str, ...]


def out_of_fold(fit: LogisticFit, folds: npt.ArrayLike) -> OutOfFold:
    """Refit without each fold and predict it.

    Parameters
    ----------
    fit
        The whole model, which gives the design and the starting values.
    folds
        Fold of each row of the design, shape ``(n,)``.
    """
    design, labels = fit.design, np.asarray(folds)
    start = np.where(np.isfinite(fit.coefficients), fit.coefficients, 0.0)
    probabilities = np.full(len(design.y), np.nan)
    notes: list[str] = []
    together = _together(fit, labels)
    for fold in np.unique(labels):
        test = labels == fold
        if fold in together:
            probabilities[test] = replace(fit, beta=together[fold]).predict(design.x[test])
            continue
        try:
            part = fit_logistic(design.on_rows(design.rows[~test]), start=start)
        except ParaspinalError as error:
            notes.append(f"fold {fold}: {error.message}")
            continue
        lost = [design.names[j] for j in np.setdiff1d(part.aliased, fit.aliased)]
        if lost:
            notes.append(f"fold {fold}: {', '.join(lost)} cannot be estimated without it.")
        probabilities[test] = part.predict(design.x[test])
    return OutOfFold(probabilities, tuple(notes))


def _together(fit: LogisticFit, labels: npt.NDArray[np.generic]) -> dict[object, Vector]:
    """Log odds without each fold, of the folds whose rest certainly keeps every column and settles at once."""
    y, names = fit.design.y, np.unique(labels)
    if len(fit.separated) or len(names) > MOST_TOGETHER:
        return {}
    x = np.ascontiguousarray(fit.design.x[:, fit.kept])
    gram, found = x.T @ x, {}
    weights = np.asarray(labels[:, None] != names, dtype=np.float64)
    betas, settled = refit_together(fit, x, weights, decrement=DECREMENT)
    for fold, beta, done in zip(names, betas.T, settled, strict=True):
        test = labels == fold
        if done and cross_products_are_sound(gram - x[test].T @ x[test]) and np.ptp(y[~test]) > 0:
            found[fold] = beta
    return found
