"""How strong a confounder would have to be: contours of the adjusted estimate, and extreme scenarios."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from paraspinal_assets.report.figures.drawing import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    Drawing,
    canvas,
    reference_line,
)
from paraspinal_assets.report.numbers import significant
from paraspinal_assets.statistics.sensitivity import EXTREME_LIMIT, Treatment, contour_grid, extreme_scenarios

GRID_STEP: Final = 0.005
"""Resolution of the contours in partial R2; they are smooth."""
CONTOURS: Final = 10
"""Contours drawn, about."""
CRITICAL_T: Final = 1.96
MARGIN: Final = 1.25
"""The axes reach this much beyond the robustness value and the strongest benchmark."""


def sensitivity_contour(
    subject: Treatment,
    bounds: pd.DataFrame,
    *,
    treatment: str,
    of: Literal["estimate", "t"] = "estimate",
) -> Drawing:
    """Adjusted estimate or t value over the strength of a confounder, with the benchmarks as points.

    Parameters
    ----------
    subject
        The coefficient.
    bounds
        The table ``sensitivity_bounds``: bound_label, r2dz_x, r2yz_dx, adjusted_estimate, adjusted_t.
    treatment
        Name of the coefficient.
    of
        What is adjusted.

    The red contour is at `CRITICAL_T`, or at an estimate of 0.

    Source: Cinelli and Hazlett, J R Stat Soc B 2020;82:39, figures 2 and 3.
    """
    limit = _limit(subject, bounds)
    grid, values = contour_grid(subject, limit=limit, step=GRID_STEP, of=of)
    threshold = 0.0 if of == "estimate" else float(np.sign(subject.t) * CRITICAL_T)
    now = subject.estimate if of == "estimate" else subject.t
    column = "adjusted_estimate" if of == "estimate" else "adjusted_t"
    with canvas(5.6, 5.2) as (figure, axes):
        axis = axes[0, 0]
        lines = axis.contour(
            grid, grid, values.T, levels=_levels(values, threshold), colors=GREY, linewidths=0.9
        )
        axis.clabel(lines, fontsize=7, fmt=_level_label)
        if values.min() < threshold < values.max():
            red = axis.contour(
                grid, grid, values.T, levels=[threshold], colors=COLOURS[1], linestyles="--", linewidths=1.8
            )
            axis.clabel(red, fontsize=8, fmt=_level_label)
        axis.plot(
            0, 0, "^", color="black", clip_on=False, markersize=7, label=f"unadjusted ({significant(now)})"
        )
        for number, row in enumerate(bounds.to_dict("records")):
            axis.plot(
                row["r2dz_x"],
                row["r2yz_dx"],
                MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                label=f"{row['bound_label']} ({significant(row[column])})",
            )
        axis.set(
            xlim=(0, limit),
            ylim=(0, limit),
            xlabel=f"Partial R² of the confounder with {treatment}",
            ylabel="Partial R² of the confounder with the outcome",
        )
        axis.legend(loc="upper right", frameon=True, framealpha=0.9)
    points = bounds[["bound_label", "r2dz_x", "r2yz_dx", column]]
    unadjusted = pd.DataFrame(
        {"bound_label": ["unadjusted"], "r2dz_x": [0.0], "r2yz_dx": [0.0], column: [now]}
    )
    what = "estimate" if of == "estimate" else "t value"
    return Drawing(
        f"sensitivity-contour-{of}",
        f"Sensitivity to confounding: adjusted {what} of {treatment}",
        f"Contours of the {what} of {treatment} had a confounder of given strength been in the model; "
        f"the dashed contour is {significant(threshold)}.",
        figure,
        pd.concat([unadjusted, points], ignore_index=True),
    )


def _level_label(level: float) -> str:
    return f"{level:.3g}".replace("-", "−")


def _levels(values: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Round levels over the range of the values, without those at the threshold, which has its own contour."""
    ticks = MaxNLocator(CONTOURS).tick_values(float(values.min()), float(values.max()))
    levels = np.asarray(ticks, np.float64)
    return np.asarray(levels[np.abs(levels - threshold) > (levels[1] - levels[0]) / 4])


def _limit(subject: Treatment, bounds: pd.DataFrame) -> float:
    robust = float(subject.statistics()["rv_q"])
    strongest = float(bounds[["r2dz_x", "r2yz_dx"]].max().max()) if len(bounds) else 0.0
    wanted = max(robust, strongest) * MARGIN
    return float(np.clip(np.ceil(wanted / 0.05) * 0.05, 0.1, 0.95))


def extreme_scenario_plot(subject: Treatment, bounds: pd.DataFrame, *, treatment: str) -> Drawing:
    """Adjusted estimate when confounding explains 100, 75 or 50 % of what is left of the outcome.

    The ticks at the bottom are the benchmarks' strengths on the treatment.

    Source: Cinelli and Hazlett, J R Stat Soc B 2020;82:39, figure 4.
    """
    data = extreme_scenarios(subject)
    with canvas(5.6, 3.8) as (figure, axes):
        axis = axes[0, 0]
        reference_line(axis, y=0)
        for number, (share, own) in enumerate(data.groupby("r2yz_dx", sort=False)):
            axis.plot(
                own["r2dz_x"],
                own["adjusted_estimate"],
                color=COLOURS[number],
                linestyle=LINES[number],
                label=f"{share:.0%} of the outcome",
            )
        inside = bounds[bounds["r2dz_x"] <= EXTREME_LIMIT]
        axis.plot(
            inside["r2dz_x"], np.zeros(len(inside)), "|", color=COLOURS[1], markersize=12, label="benchmarks"
        )
        axis.set(
            xlim=(0, EXTREME_LIMIT),
            xlabel=f"Partial R² of the confounder with {treatment}",
            ylabel="Adjusted estimate",
        )
        axis.legend(loc="upper right")
    return Drawing(
        "sensitivity-extreme",
        f"Sensitivity to confounding: extreme scenarios for {treatment}",
        f"Adjusted estimate of {treatment} if confounding explains most of the rest of the outcome.",
        figure,
        data,
    )
