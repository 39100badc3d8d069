"""Linear models: forest plot of coefficients, and R's four plots of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from paraspinal_assets.report.figures.drawing import COLOURS, GREY, Drawing, canvas, reference_line, scatter
from paraspinal_assets.statistics.diagnostics import normal_quantiles, smooth

OUTCOME: Final = "vBMD (mg/cm³)"
"""Of every linear model, with its unit."""
COOK_LEVELS: Final = (0.5, 1.0)
"""Contours of Cook's distance, as R draws them."""


def forest_plot(
    data: pd.DataFrame,
    *,
    name: str,
    title: str,
    description: str,
    axis_label: str,
    highlight: tuple[str, ...] = (),
) -> Drawing:
    """One estimate with its interval per row; a line marks 0, no effect.

    Parameters
    ----------
    data
        Columns label, estimate, ci_low, ci_high, and optionally group: rows of one group stand together
        under its name. Drawn from top to bottom; a row without an estimate has its label alone.
    name, title, description, axis_label
        As in `Drawing`, and the label of the horizontal axis.
    highlight
        Labels drawn in the second colour, as squares.
    """
    rows = data.reset_index(drop=True)
    places, headings = _forest_places(rows)
    with canvas(7.0, 0.9 + 0.24 * (len(rows) + len(headings))) as (figure, axes):
        axis = axes[0, 0]
        reference_line(axis, x=0)
        chosen = rows["label"].isin(list(highlight)).to_numpy()
        for mask, colour, marker in ((~chosen, COLOURS[0], "o"), (chosen, COLOURS[1], "s")):
            own = rows[mask]
            spread = np.abs(
                own[["ci_low", "ci_high"]].to_numpy(dtype=float).T - own["estimate"].to_numpy(dtype=float)
            )
            axis.errorbar(
                own["estimate"],
                np.array(places)[mask],
                xerr=spread,
                fmt=marker,
                color=colour,
                markersize=5,
                capsize=2,
            )
        ticks = sorted([*zip(places, rows["label"], strict=True), *headings])
        axis.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
        for tick, (_, text) in zip(axis.get_yticklabels(), ticks, strict=True):
            tick.set_fontweight("bold" if text in {heading for _, heading in headings} else "normal")
        axis.set_ylim(len(rows) + len(headings) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel(axis_label)
    return Drawing(name, title, description, figure, rows)


def _forest_places(rows: pd.DataFrame) -> tuple[list[float], list[tuple[float, str]]]:
    """Height of each row, and of the headings of its groups."""
    if "group" not in rows.columns:
        return [float(number) for number in range(len(rows))], []
    places: list[float] = []
    headings: list[tuple[float, str]] = []
    current: object = None
    height = 0.0
    for group in rows["group"]:
        if group != current:
            headings.append((height, str(group)))
            current, height = group, height + 1
        places.append(height)
        height += 1
    return places, headings


def coefficient_forest(
    coefficients: pd.DataFrame,
    *,
    model: str,
    exposures: tuple[str, ...] = (),
    scale: Mapping[str, float] | None = None,
    words: Callable[[str], str] = str,
) -> Drawing:
    """Forest plot of one linear model.

    Parameters
    ----------
    coefficients
        The table ``linear_coefficients``: model, term, estimate, ci_low, ci_high, aliased.
    model
        Model to show; its intercept and its aliased terms are left out.
    exposures
        Terms to highlight.
    scale
        Standard deviation of each numeric term: its coefficient is shown per standard deviation, since
        years, HU and scores have no common unit. Other terms are shown as they are.
    words
        How a term is written.
    """
    rows = coefficients[(coefficients["model"] == model) & (coefficients["term"] != "(Intercept)")]
    rows = rows[~rows["aliased"].fillna(False).astype(bool) & rows["estimate"].notna()]
    factors = rows["term"].map(dict(scale or {}))
    factor = factors.fillna(1.0).astype(float)
    labels = [
        term if pd.isna(sd) else f"{term}, per SD"
        for term, sd in zip(rows["term"].map(words), factors, strict=True)
    ]
    data = pd.DataFrame(
        {
            "model": model,
            "label": labels,
            "estimate": rows["estimate"].astype(float) * factor,
            "ci_low": rows["ci_low"].astype(float) * factor,
            "ci_high": rows["ci_high"].astype(float) * factor,
        }
    )
    return forest_plot(
        data,
        name=f"forest-{model}",
        title=f"Coefficients of {model}",
        description=f"Coefficients of the linear model {model} for {OUTCOME} with 95 % confidence intervals.",
        axis_label=f"Difference in {OUTCOME}, 95 % CI",
        highlight=tuple(data.loc[rows["term"].isin(exposures).to_numpy(), "label"]),
    )


def lm_plots(diagnostics: pd.DataFrame, *, model: str) -> Drawing:
    """R's four plots of a linear model, with the three most extreme rows named.

    Parameters
    ----------
    diagnostics
        One row per row used: row, fitted, residual, hat, rstandard, cooks_distance.
    model
        Name of the model, for the heading.

    Source: R ``plot.lm`` with ``which = c(1, 2, 3, 5)``.
    """
    rows = diagnostics.dropna(subset=["rstandard"]).reset_index(drop=True).astype({"fitted": float})
    data = rows.assign(
        theoretical=normal_quantiles(rows["rstandard"].to_numpy(dtype=float)),
        root=np.sqrt(rows["rstandard"].abs()),
    )
    panels = (
        ("Residuals vs fitted", "fitted", "residual", "Fitted values", "Residuals"),
        ("Normal Q-Q", "theoretical", "rstandard", "Theoretical quantiles", "Standardized residuals"),
        ("Scale-location", "fitted", "root", "Fitted values", "√|standardized residuals|"),
        ("Residuals vs leverage", "hat", "rstandard", "Leverage", "Standardized residuals"),
    )
    with canvas(7.4, 6.2, 2, 2) as (figure, axes):
        for axis, (heading, x, y, x_label, y_label) in zip(axes.flat, panels, strict=True):
            scatter(axis, data[x], data[y], s=7, color=COLOURS[0], alpha=0.55, linewidths=0)
            axis.set(title=heading, xlabel=x_label, ylabel=y_label)
            extreme = data["cooks_distance"] if x == "hat" else data["rstandard"].abs()
            named = data.loc[extreme.nlargest(3).index, ["row", x, y]]
            _name_rows(axis, named)
            if x == "theoretical":
                _quartile_line(axis, data)
            else:
                trend = smooth(data[x].to_numpy(dtype=float), data[y].to_numpy(dtype=float))
                axis.plot(trend["x"], trend["y"], color=COLOURS[1], linewidth=1.4)
        reference_line(axes[0, 0], y=0)
        _cook_contours(axes[1, 1], data, rank=float(rows["hat"].sum()))
    return Drawing(
        f"diagnostics-{model}",
        f"Diagnostic plots of {model}",
        "Residuals against fitted values, normal quantiles, scale-location, and residuals against leverage.",
        figure,
        data.drop(columns="root"),
    )


def _name_rows(axis: Axes, named: pd.DataFrame) -> None:
    """Row numbers beside their points, towards the middle; of points that touch, one below the other."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    placed: list[tuple[float, float]] = []
    for row, x, y in named.itertuples(index=False, name=None):
        at = (x - left) / (right - left), (y - bottom) / (top - bottom)
        above = sum(abs(at[0] - a) < 0.15 and abs(at[1] - b) < 0.05 for a, b in placed)
        placed.append(at)
        aside, side = (-4, "right") if at[0] > 0.5 else (4, "left")
        options: dict[str, Any] = {
            "textcoords": "offset points",
            "ha": side,
            "va": "center",
            "fontsize": 7,
            "in_layout": False,
        }
        axis.annotate(str(row), (x, y), xytext=(aside, -8 * above), **options)


def _quartile_line(axis: Axes, data: pd.DataFrame) -> None:
    """R's qqline: through the first and third quartiles."""
    low, high = data["rstandard"].quantile([0.25, 0.75])
    slope = (high - low) / (2 * stats.norm.ppf(0.75))
    axis.axline((0.0, float(low + high) / 2), slope=float(slope), color=GREY, linestyle="--", linewidth=1)


def _cook_contours(axis: Axes, data: pd.DataFrame, rank: float) -> None:
    limits = axis.get_ylim()
    hat = np.linspace(1e-4, max(float(data["hat"].max()) * 1.05, 1e-3), 200)
    for level in COOK_LEVELS:
        bound = np.sqrt(level * rank * np.maximum(1 - hat, 0) / hat)
        for sign in (1, -1):
            axis.plot(hat, sign * bound, color=COLOURS[1], linestyle="--", linewidth=0.9)
    axis.set_ylim(*limits)
    axis.plot([], [], color=COLOURS[1], linestyle="--", linewidth=0.9, label="Cook's distance 0.5, 1")
    axis.legend(loc="lower left")
