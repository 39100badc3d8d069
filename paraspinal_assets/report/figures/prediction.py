"""Predicted risk of fracture: ROC, calibration and decision curves."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from paraspinal_assets.report.figures.drawing import COLOURS, GREY, LINES, Drawing, canvas, reference_line


def roc_curves(
    curves: pd.DataFrame,
    bands: pd.DataFrame,
    auc: pd.DataFrame,
    *,
    models: Sequence[str],
    estimate: str,
) -> Drawing:
    """ROC curves of several models with pointwise 95 % bands.

    Parameters
    ----------
    curves, bands
        Tables of `statistics.auc_tables`: model, estimate, sensitivity, specificity (and ci_low, ci_high).
    auc
        The table ``auc``, for the legend: model, estimate, auc, ci_low, ci_high.
    models
        Which models, in the order of the legend.
    estimate
        ``apparent`` or ``out_of_fold``.

    The first and the last model have their band drawn; seven would hide each other.
    """
    banded = {*models[:1], *models[-1:]}
    shown = curves[(curves["estimate"] == estimate) & curves["model"].isin(list(models))]
    with canvas(5.4, 5.2) as (figure, axes):
        axis = axes[0, 0]
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
        for number, model in enumerate(models):
            colour = COLOURS[number % len(COLOURS)]
            own = shown[shown["model"] == model].sort_values(
                ["specificity", "sensitivity"], ascending=[False, True]
            )
            band = bands[(bands["model"] == model) & (bands["estimate"] == estimate)]
            if model in banded and len(band):
                axis.fill_between(
                    1 - band["specificity"],
                    band["ci_low"],
                    band["ci_high"],
                    color=colour,
                    alpha=0.15,
                    linewidth=0,
                )
            axis.plot(
                1 - own["specificity"],
                own["sensitivity"],
                color=colour,
                linestyle=LINES[number % len(LINES)],
                label=_auc_label(auc, model, estimate),
            )
        axis.set(
            xlabel="1 − specificity",
            ylabel="Sensitivity",
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
            aspect="equal",
        )
        axis.legend(loc="lower right", title="AUC (95 % CI)", title_fontsize=8)
    words = estimate.replace("_", " ")
    return Drawing(
        f"roc-{estimate.replace('_', '-')}",
        f"ROC curves ({words})",
        f"ROC curves of {len(models)} fracture models, {words} predictions, with pointwise 95 % bands.",
        figure,
        shown.reset_index(drop=True),
    )


def _auc_label(auc: pd.DataFrame, model: str, estimate: str) -> str:
    row = auc[(auc["model"] == model) & (auc["estimate"] == estimate)]
    if row.empty:
        return model
    value = row.iloc[0]
    return f"{model}: {value['auc']:.3f} ({value['ci_low']:.3f}-{value['ci_high']:.3f})"


def calibration_curves(curves: pd.DataFrame, *, models: Sequence[str], estimate: str) -> Drawing:
    """Smooth observed against predicted risk, with the spread of the predictions beneath.

    Parameters
    ----------
    curves
        model, estimate, risk, observed, n, as `statistics.calibration.calibration_curve` gives for each model.
    models, estimate
        Which models, in the order of the legend, and whether ``apparent`` or ``out_of_fold``.
    """
    shown = curves[(curves["estimate"] == estimate) & curves["model"].isin(list(models))]
    # Nearly everybody lies below; the few predictions beyond would squeeze them into a corner.
    top = _weighted_quantile(shown, 0.99) * 1.25 if len(shown) else 1.0
    with canvas(5.4, 6.0, 2, 1, sharex=True, height_ratios=(4, 1)) as (figure, axes):
        axis, below = axes[:, 0]
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), label="ideal")
        for number, model in enumerate(models):
            own = shown[shown["model"] == model].sort_values("risk")
            colour, line = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
            axis.plot(own["risk"], own["observed"], color=colour, linestyle=line, label=model)
            _cumulative(below, own, colour, line)
        limit = min(max(top, 0.02), 1.0)
        axis.set(ylabel="Observed proportion", xlim=(0, limit), ylim=(0, limit))
        axis.legend(loc="upper left")
        below.set(xlabel="Predicted risk", ylabel="Share below", ylim=(0, 1.02))
    words = estimate.replace("_", " ")
    return Drawing(
        f"calibration-{estimate.replace('_', '-')}",
        f"Calibration curves ({words})",
        f"Observed proportion of fractures against predicted risk, {words}; the diagonal is perfect calibration.",
        figure,
        shown.reset_index(drop=True),
    )


def _weighted_quantile(shown: pd.DataFrame, share: float) -> float:
    ordered = shown.sort_values("risk")
    reached = ordered["n"].cumsum() / ordered["n"].sum()
    return float(ordered.loc[reached >= share, "risk"].iloc[0])


def _cumulative(axis: Axes, own: pd.DataFrame, colour: str, line: object) -> None:
    share = own["n"].cumsum() / max(float(own["n"].sum()), 1.0)
    axis.plot(own["risk"], share, color=colour, linestyle=line, linewidth=1.2)


def decision_curves(curves: pd.DataFrame, *, models: Sequence[str], estimate: str) -> Drawing:
    """Net benefit of acting on each model, on everyone and on no one.

    Parameters
    ----------
    curves
        The table ``decision_curve``: model, estimate, threshold, net_benefit, treat_all.
    models, estimate
        Which models, in the order of the legend, and whether ``apparent`` or ``out_of_fold``.
    """
    shown = curves[(curves["estimate"] == estimate) & curves["model"].isin(list(models))]
    with canvas(6.2, 4.0) as (figure, axes):
        axis = axes[0, 0]
        reference_line(axis, y=0)
        first = shown[shown["model"] == models[0]] if models else shown
        axis.plot(first["threshold"], first["treat_all"], color=GREY, linewidth=1.2, label="treat everyone")
        axis.plot([], [], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), label="treat no one")
        for number, model in enumerate(models):
            own = shown[shown["model"] == model].sort_values("threshold")
            axis.plot(
                own["threshold"],
                own["net_benefit"],
                color=COLOURS[number % len(COLOURS)],
                linestyle=LINES[number % len(LINES)],
                label=model,
            )
        # Where no model is of use at any threshold, the axis still needs a height.
        best = max(float(shown["net_benefit"].max()), 0.01) if len(shown) else 0.1
        useful = shown[shown["net_benefit"] > 0.02 * best]
        right = float(useful["threshold"].max()) if len(useful) else 0.5
        axis.set(
            xlabel="Threshold probability",
            ylabel="Net benefit",
            xlim=(0, min(right * 1.2, 0.5)),
            ylim=(-0.3 * best, 1.1 * best),
        )
        axis.legend(loc="upper right", ncols=2)
    words = estimate.replace("_", " ")
    return Drawing(
        f"decision-{estimate.replace('_', '-')}",
        f"Decision curves ({words})",
        f"Net benefit over threshold probability, {words} predictions, against treating everyone or no one.",
        figure,
        shown.reset_index(drop=True),
    )
