"""Change between the exams, subgroups, and agreement between readers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from paraspinal_assets.report.figures.drawing import COLOURS, GREY, Drawing, canvas, reference_line, scatter
from paraspinal_assets.report.figures.linear import forest_plot
from paraspinal_assets.report.measures import measure as shown_as
from paraspinal_assets.report.numbers import p_value, significant


def longitudinal_change(change: pd.DataFrame, *, measures: Sequence[str]) -> Drawing:
    """Distribution of the change per year of each measure, with its mean.

    Parameters
    ----------
    change
        One row per participant and measure: measure, change_per_year (unit of the measure per year).
    measures
        Which measures, one panel each.
    """
    rows = change.dropna(subset=["change_per_year"])
    with canvas(7.4, 2.9, 1, max(len(measures), 1)) as (figure, axes):
        for number, (axis, measure) in enumerate(zip(axes[0], measures, strict=False)):
            shown = shown_as(measure)
            values = (
                rows.loc[rows["measure"] == measure, "change_per_year"].to_numpy(dtype=float) * shown.factor
            )
            if values.size:
                axis.hist(values, bins=20, color=COLOURS[0], alpha=0.75, edgecolor="white", linewidth=0.3)
                axis.axvline(values.mean(), color=COLOURS[1], linewidth=1.8)
                axis.yaxis.set_major_locator(MaxNLocator(integer=True))
                axis.set_title(f"{shown.name}: mean {significant(values.mean())}")
            reference_line(axis, x=0)
            axis.set_xlabel(f"Change per year ({shown.unit or 'unit of the measure'})")
            if number == 0:
                axis.set_ylabel("Participants")
    data = rows.groupby("measure", sort=True)["change_per_year"].describe().reset_index()
    return Drawing(
        "longitudinal-change",
        "Change per year between the exams",
        f"Histograms of the change per year of {', '.join(shown_as(name).name for name in measures)}, with the mean "
        "and zero marked.",
        figure,
        data,
    )


def subgroup_forest(subgroups: pd.DataFrame, *, name: str, exposure: str, axis_label: str) -> Drawing:
    """Effect of the exposure in each subgroup, under its variable and the p value of the interaction.

    Parameters
    ----------
    subgroups
        subgroup (variable), level, n, estimate, ci_low, ci_high, and optionally p_interaction.
    name
        Last part of the file name.
    exposure, axis_label
        Name of the exposure, and what its effect is measured in; 0 is no effect.
    """
    groups = subgroups["subgroup"].astype(str)
    if "p_interaction" in subgroups.columns:
        p = subgroups["p_interaction"]
        groups = groups.where(p.isna(), groups + " (interaction p = " + p.map(p_value) + ")")
        groups = groups.str.replace("= <", "< ", regex=False)
    data = subgroups.assign(
        label=[
            f"{level} (n = {int(n):,})" + (": no estimate" if pd.isna(estimate) else "")
            for level, n, estimate in subgroups[["level", "n", "estimate"]].itertuples(index=False)
        ],
        group=groups,
    )
    return forest_plot(
        data,
        name=f"subgroups-{name}",
        title=f"Effect of {exposure} in subgroups",
        description=f"Effect of {exposure} with 95 % intervals in each subgroup.",
        axis_label=axis_label,
    )


def bland_altman_plot(pairs: pd.DataFrame, *, measure: str, what: str = "") -> Drawing:
    """Difference against mean of two readings with the bias and 95 % limits of agreement.

    Parameters
    ----------
    pairs
        first, second: one row per scan and structure.
    measure
        Column that was read; says name and unit.
    what
        Of what it was read, such as "levels"; ends the file name and the heading.
    """
    shown, of = shown_as(measure), f" of {what}" if what else ""
    rows = pairs.dropna(subset=["first", "second"]).astype({"first": float, "second": float})
    rows = rows.assign(first=rows["first"] * shown.factor, second=rows["second"] * shown.factor)
    data = rows.assign(mean=(rows["first"] + rows["second"]) / 2, difference=rows["first"] - rows["second"])
    bias, sd = float(data["difference"].mean()), float(data["difference"].std(ddof=1))
    with canvas(5.0, 3.6) as (figure, axes):
        axis = axes[0, 0]
        scatter(axis, data["mean"], data["difference"], s=14, color=COLOURS[0], alpha=0.7, linewidths=0)
        axis.axhline(bias, color=COLOURS[1], label=f"bias {significant(bias)}")
        for limit in (bias - 1.96 * sd, bias + 1.96 * sd):
            axis.axhline(limit, color=GREY, linestyle="--", linewidth=1.1)
        axis.plot([], [], color=GREY, linestyle="--", linewidth=1.1, label="95 % limits of agreement")
        axis.set(
            xlabel=f"Mean of the two readings ({shown.unit})",
            ylabel=f"Difference ({shown.unit})",
            title=f"{shown.name}{of}",
        )
        spread = float(np.abs(data["difference"] - bias).max()) if len(data) else 1.0
        axis.set_ylim(bias - 1.6 * max(spread, 2 * sd, 1e-9), bias + 1.6 * max(spread, 2 * sd, 1e-9))
        axis.legend(loc="upper right")
    return Drawing(
        "-".join(["bland-altman", measure.replace("_", "-"), *([what] if what else [])]),
        f"Agreement of readings: {shown.name[:1].lower()}{shown.name[1:]}{of}",
        f"Bland-Altman plot: bias {significant(bias)} {shown.unit}, standard deviation of the differences "
        f"{significant(sd)}.",
        figure,
        data,
    )
