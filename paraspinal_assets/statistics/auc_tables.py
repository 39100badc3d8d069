"""The tables of discrimination: areas, their comparisons, and partial areas, model by model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paraspinal_assets.statistics.delong import auc_estimate, compare_auc_paired
from paraspinal_assets.statistics.problems import Problem
from paraspinal_assets.statistics.roc import DirectionRule, Focus, partial_auc, roc_curve
from paraspinal_assets.statistics.roc_band import roc_band

AUC_COLUMNS: Final = (
    "model", "estimate", "auc", "variance", "ci_low", "ci_high", "direction", "n_cases", "n_controls",
)  # fmt: skip
COMPARISON_COLUMNS: Final = (
    "model_a", "model_b", "estimate", "auc_a", "auc_b", "z", "p", "difference", "ci_low", "ci_high",
)  # fmt: skip
PARTIAL_COLUMNS: Final = ("model", "estimate", "focus", "high", "low", "area", "corrected")
INTERVALS: Final[tuple[tuple[Focus, float, float], ...]] = (
    ("specificity", 1.0, 0.9),
    ("specificity", 1.0, 0.8),
    ("sensitivity", 1.0, 0.9),
)

Problems = tuple[Problem, ...]


def auc_table(
    outcome: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> tuple[pd.DataFrame, Problems]:
    """Area, DeLong variance and interval of every model, with the columns of ``auc.csv``.

    Parameters
    ----------
    outcome
        0/1 or missing, shape ``(n,)``.
    scores
        Model name to predicted risk or raw score, shape ``(n,)``.
    estimate
        ``apparent`` or ``out_of_fold``; copied into the table.
    direction
        ``auto`` is pROC's rule. It turns round a model that ranks the wrong way, which is diagnosed.

    Raises
    ------
    StatisticsError
        E-STAT-BINARY, E-STAT-ONE-CLASS, E-STAT-SMALL-CLASS: this outcome allows no discrimination.
    """
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for model, score in scores.items():
        found = auc_estimate(outcome, score, direction=direction)
        problems += [Problem("auc", model, "W-STAT-AUC", f"{note} ({estimate}).") for note in found.notes]
        if direction == "auto" and found.direction == ">":
            problems.append(
                Problem(
                    "auc",
                    model,
                    "W-STAT-REVERSED",
                    f"Cases score lower than controls; the area is that of the reversed score ({estimate}).",
                )
            )
        rows.append(
            {"model": model, "estimate": estimate} | {name: getattr(found, name) for name in AUC_COLUMNS[2:]}
        )
    return pd.DataFrame(rows, columns=list(AUC_COLUMNS)), tuple(problems)


def comparison_table(
    outcome: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> tuple[pd.DataFrame, Problems]:
    """DeLong's paired test of every pair, with the columns of ``auc_comparison.csv``.

    A pair is tested on the rows where both scores are known, so ``auc_a`` may differ from `auc_table`.
    """
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for a, b in combinations(scores, 2):
        found = compare_auc_paired(outcome, scores[a], scores[b], direction=direction)
        label = f"{a} against {b}"
        problems += [
            Problem("auc_comparison", label, "W-STAT-DELONG", f"{note} ({estimate}).") for note in found.notes
        ]
        rows.append(
            {"model_a": a, "model_b": b, "estimate": estimate}
            | {name: getattr(found, name) for name in COMPARISON_COLUMNS[3:]}
        )
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS)), tuple(problems)


def partial_auc_table(
    outcome: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> pd.DataFrame:
    """Partial areas over `INTERVALS`, with the columns of ``partial_auc.csv``.

    ``corrected`` is McClish's standardized area, empty where the curve runs below the diagonal.
    """
    rows = []
    for model, score in scores.items():
        curve = roc_curve(outcome, score, direction=direction)
        for focus, high, low in INTERVALS:
            part = partial_auc(curve, high, low, focus=focus)
            rows.append((model, estimate, focus, high, low, part.area, part.corrected))
    return pd.DataFrame(rows, columns=list(PARTIAL_COLUMNS)).astype({"corrected": "float64"})


def curve_table(
    outcome: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    estimate: str,
    direction: DirectionRule = "auto",
    max_points: int = 2000,
) -> pd.DataFrame:
    """Points of the ROC curves for drawing: model, estimate, threshold, sensitivity, specificity.

    A curve of more than *max_points* points is thinned evenly, its ends kept.
    """
    parts = []
    for model, score in scores.items():
        curve = roc_curve(outcome, score, direction=direction)
        size = curve.thresholds.size
        keep = np.unique(np.linspace(0, size - 1, min(size, max_points)).round().astype(int))
        parts.append(
            pd.DataFrame(
                {
                    "model": model,
                    "estimate": estimate,
                    "threshold": curve.thresholds[keep],
                    "sensitivity": curve.sensitivities[keep],
                    "specificity": curve.specificities[keep],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def band_table(
    outcome: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> pd.DataFrame:
    """Pointwise bands for drawing: model, estimate, specificity, sensitivity, ci_low, ci_high."""
    bands = []
    for model, score in scores.items():
        band = roc_band(roc_curve(outcome, score, direction=direction))
        band.insert(0, "model", model)
        band.insert(1, "estimate", estimate)
        bands.append(band)
    return pd.concat(bands, ignore_index=True)
