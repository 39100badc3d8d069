"""Bounds on a confounder that is so many times as strong as an observed covariate.

Source: Cinelli & Hazlett, Making sense of sensitivity, J. R. Stat. Soc. B 82 (2020) 39-67, section 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import linalg

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Index, Matrix, Vector
from paraspinal_assets.statistics.linear import LinearFit
from paraspinal_assets.statistics.sensitivity import BOUND_COLUMNS, Treatment


def benchmark_bounds(
    fit: LinearFit,
    treatment: str,
    benchmarks: Mapping[str, Sequence[str]],
    *,
    kd: Sequence[float] = (1, 2, 3),
    ky: Sequence[float] | None = None,
    q: float = 1.0,
    alpha: float = 0.05,
    reduce: bool = True,
) -> pd.DataFrame:
    """A confounder `kd` and `ky` times as strong as observed covariates.

    Parameters
    ----------
    fit
        The model.
    treatment
        Coefficient under question, by its R name.
    benchmarks
        Label to coefficients, such as ``{"Race": ["RaceChinese", "RaceHispanic", "RaceWhite"]}``.
    kd, ky
        Multiples of the benchmark's strength on the treatment and on the outcome; `ky` defaults to `kd`.
    q, alpha, reduce
        As in `sensitivity.Treatment`.

    Returns
    -------
    pandas.DataFrame
        Columns `BOUND_COLUMNS`, benchmarks in turn, each over `kd`.

    Raises
    ------
    StatisticsError
        ``E-STAT-TERM`` unknown or aliased term; ``E-STAT-BOUND`` a multiple beyond what is possible.
    """
    weights_y = tuple(kd) if ky is None else tuple(ky)
    subject = Treatment.of(fit, treatment, reduce=reduce)
    parts = []
    for label, terms in benchmarks.items():
        r2d, r2y = _benchmark_strength(fit, treatment, terms)
        rows: list[tuple[str, float, float]] = []
        for d, y in zip(kd, weights_y, strict=True):
            name = f"{d:g}x {label}" if d == y else f"{d:g}/{y:g}x {label}"
            rows.append((name, *_bound(r2d, r2y, d, y, name)))
        labels, r2dz, r2yz = zip(*rows, strict=True)
        parts.append(subject.adjusted_rows(labels, np.array(r2dz), np.array(r2yz), q=q, alpha=alpha))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(BOUND_COLUMNS))


def _bound(r2d: float, r2y: float, kd: float, ky: float, name: str) -> tuple[float, float]:
    """Strengths of the confounder from those of the benchmark."""
    r2dz = kd * r2d / (1 - r2d)
    if r2dz >= 1:
        raise StatisticsError(
            "E-STAT-BOUND",
            f"A confounder '{name}' would explain {r2dz:.2f} of the treatment's residual variance.",
            "Choose smaller multiples.",
        )
    r2zx = kd * r2d**2 / ((1 - kd * r2d) * (1 - r2d))
    if r2zx >= 1 or kd * r2d >= 1:
        raise StatisticsError(
            "E-STAT-BOUND",
            f"No confounder can be '{name}' given the covariates.",
            "Choose smaller multiples.",
        )
    r2yz = ((np.sqrt(ky) + np.sqrt(r2zx)) / np.sqrt(1 - r2zx)) ** 2 * r2y / (1 - r2y)
    return float(r2dz), float(min(r2yz, 1.0))


def _benchmark_strength(fit: LinearFit, treatment: str, terms: Sequence[str]) -> tuple[float, float]:
    """Partial R2 of the terms with the treatment (given the others) and with the outcome."""
    positions = [fit.term(term) for term in terms]
    j = fit.term(treatment)
    if j in positions:
        raise StatisticsError(
            "E-STAT-TERM", f"{treatment!r} is its own benchmark.", "Name another covariate as the benchmark."
        )
    kept = [int(k) for k in fit.kept]
    x, y = fit.design.x, fit.design.y
    others = np.array([k for k in kept if k != j and k not in positions], dtype=np.intp)
    covariates = np.array([k for k in kept if k != j], dtype=np.intp)
    d = x[:, j]
    r2d = 1 - _rss(x, covariates, d) / _rss(x, others, d)
    r2y = 1 - fit.rss / _rss(x, np.append(others, j), y)
    return r2d, r2y


def _rss(x: Matrix, columns: Index, y: Vector) -> float:
    q = np.asarray(linalg.qr(x[:, columns], mode="economic")[0])
    residual = y - q @ (q.T @ y)
    return float(residual @ residual)
