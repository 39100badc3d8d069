"""The tables of discrimination: areas, partial areas and curves of a model, and comparisons of models."""

from __future__ import annotations

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
    model: str,
    score: ArrayLike,
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> tuple[pd.DataFrame, Problems]:
    """Area, DeLong variance and interval of a model, with the columns of ``auc.csv``.

    Parameters
    ----------
    outcome
        0/1 or missing, shape ``(n,)``.
    model, estimate
        Name, and ``apparent`` or ``out_of_fold``; copied into the table.
    score
        Predicted risk or raw score, shape ``(n,)``.
    direction
        ``auto`` is pROC's rule. It turns round a model that ranks the wrong way, which is diagnosed.

    Raises
    ------
    StatisticsError
        E-STAT-BINARY, E-STAT-ONE-CLASS, E-STAT-SMALL-CLASS: this outcome allows no discrimination.
    """
    found = auc_estimate(outcome, score, direction=direction)
    problems = [Problem("auc", model, "W-STAT-AUC", f"{note} ({estimate}).") for note in found.notes]
    if direction == "auto" and found.direction == ">":
        text = f"Cases score lower than controls; the area is that of the reversed score ({estimate})."
        problems.append(Problem("auc", model, "W-STAT-REVERSED", text))
    row = {"model": model, "estimate": estimate} | {name: getattr(found, name) for name in AUC_COLUMNS[2:]}
    return pd.DataFrame([row], columns=list(AUC_COLUMNS)), tuple(problems)


def comparison_table(
    outcome: ArrayLike,
    pair: tuple[str, str],
    score_a: ArrayLike,
    score_b: ArrayLike,
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> tuple[pd.DataFrame, Problems]:
    """DeLong's paired test of two models, with the columns of ``auc_comparison.csv``.

    They are tested on the rows where both scores are known, so ``auc_a`` may differ from `auc_table`.
    """
    found = compare_auc_paired(outcome, score_a, score_b, direction=direction)
    label = f"{pair[0]} against {pair[1]}"
    problems = [
        Problem("auc_comparison", label, "W-STAT-DELONG", f"{note} ({estimate}).") for note in found.notes
    ]
    row = {"model_a": pair[0], "model_b": pair[1], "estimate": estimate}
    row |= {name: getattr(found, name) for name in COMPARISON_COLUMNS[3:]}
    return pd.DataFrame([row], columns=list(COMPARISON_COLUMNS)), tuple(problems)


def partial_auc_table(
    outcome: ArrayLike,
    model: str,
    score: ArrayLike,
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> pd.DataFrame:
    """Partial areas of a model over `INTERVALS`, with the columns of ``partial_auc.csv``.

    ``corrected`` is McClish's standardized area, empty where the curve runs below the diagonal.
    """
    curve = roc_curve(outcome, score, direction=direction)
    rows = []
    for focus, high, low in INTERVALS:
        part = partial_auc(curve, high, low, focus=focus)
        rows.append((model, estimate, focus, high, low, part.area, part.corrected))
    return pd.DataFrame(rows, columns=list(PARTIAL_COLUMNS)).astype({"corrected": "float64"})


def curve_table(
    outcome: ArrayLike,
    model: str,
    score: ArrayLike,
    *,
    estimate: str,
    direction: DirectionRule = "auto",
    max_points: int = 2000,
) -> pd.DataFrame:
    """Points of a model's ROC curve for drawing: model, estimate, threshold, sensitivity, specificity.

    A curve of more than *max_points* points is thinned evenly, its ends kept.
    """
    curve = roc_curve(outcome, score, direction=direction)
    size = curve.thresholds.size
    keep = np.unique(np.linspace(0, size - 1, min(size, max_points)).round().astype(int))
    return pd.DataFrame(
        {
            "model": model,
            "estimate": estimate,
            "threshold": curve.thresholds[keep],
            "sensitivity": curve.sensitivities[keep],
            "specificity": curve.specificities[keep],
        }
    )


def band_table(
    outcome: ArrayLike,
    model: str,
    score: ArrayLike,
    *,
    estimate: str,
    direction: DirectionRule = "auto",
) -> pd.DataFrame:
    """Pointwise band of a model for drawing: model, estimate, specificity, sensitivity, ci_low, ci_high."""
    band = roc_band(roc_curve(outcome, score, direction=direction))
    band.insert(0, "model", model)
    band.insert(1, "estimate", estimate)
    return band
