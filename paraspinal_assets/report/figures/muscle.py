"""Muscle along the spine, and the cohort's measures by quartile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy import stats

from paraspinal_assets.report.figures.drawing import COLOURS, LINES, MARKERS, Drawing, canvas, reference_line
from paraspinal_assets.report.measures import measure as shown_as
from paraspinal_assets.statistics.quartiles import cut_points

PROFILES: Final = ("median_hu", "volume_mm3", "fat_fraction")
"""Muscle columns that are shown along the spine."""
EXPOSURES: Final = ("attenuation", "volume")
OUTCOME: Final = "vbmd"
DISTRIBUTIONS: Final = (*EXPOSURES, OUTCOME)
"""Columns of the cohort whose distributions are shown."""
BINS: Final = 24
QUARTILES: Final = ("Q1 (lowest)", "Q2", "Q3", "Q4 (highest)")


def quartile_group(values: pd.Series[Any]) -> pd.Series[Any]:
    """Quartile of each value, Q1 at or below the first cut point (type 7); null where the value is."""
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    place = np.searchsorted(cut_points(numbers), numbers, side="left")
    named = pd.Series(np.array(QUARTILES, dtype=object)[np.clip(place, 0, 3)], index=values.index)
    return named.where(values.notna())


def muscle_profile(
    muscle: pd.DataFrame,
    cohort: pd.DataFrame,
    *,
    levels: Sequence[str],
    measure: str = "median_hu",
) -> Drawing:
    """Mean of a muscle measure per level, by sex and by quartile, with 95 % confidence intervals.

    Parameters
    ----------
    muscle
        Rows of one exam; columns participant, level, side, and *measure*. The side ``both`` is shown.
    cohort
        One row per participant: participant, sex and attenuation, whose quartiles group the second panel.
    levels
        Head to foot.
    measure
        One of `PROFILES`.
    """
    shown = shown_as(measure)
    rows = muscle[(muscle["side"] == "both") & muscle["level"].isin(list(levels))]
    joined = rows.merge(cohort[["participant", "sex", "attenuation"]], on="participant")
    joined = joined.assign(
        value=joined[measure].astype(float) * shown.factor,
        quartile=joined["participant"].map(
            cohort.set_index("participant")["attenuation"].pipe(quartile_group)  # one row per participant
        ),
    )
    data = pd.concat(
        [_group_means(joined, "sex"), _group_means(joined, "quartile")], ignore_index=True
    ).assign(measure=measure)
    with canvas(7.4, 4.6, 1, 2, sharex=True, sharey=True) as (figure, axes):
        for axis, (grouping, heading) in zip(
            axes[0], (("sex", "By sex"), ("quartile", "By quartile of attenuation")), strict=True
        ):
            _profile(axis, data[data["grouping"] == grouping], levels)
            axis.set_title(heading)
            axis.set_xlabel(shown.label)
        axes[0, 0].set_ylabel("Vertebral level")
        axes[0, 0].invert_yaxis()
    return Drawing(
        f"muscle-profile-{measure.replace('_', '-')}",
        f"{shown.name} from {levels[0]} to {levels[-1]}",
        "Mean and 95 % interval at each vertebral level, by sex and by quartile of attenuation.",
        figure,
        data,
    )


def _group_means(joined: pd.DataFrame, grouping: str) -> pd.DataFrame:
    grouped = joined.dropna(subset=[grouping, "value"]).groupby([grouping, "level"], sort=True)["value"]
    table = grouped.agg(n="count", mean="mean", sd="std").reset_index()
    half = stats.t.ppf(0.975, table["n"] - 1) * table["sd"] / np.sqrt(table["n"])
    return table.assign(
        grouping=grouping,
        group=table[grouping].astype(str),
        ci_low=table["mean"] - half,
        ci_high=table["mean"] + half,
    )[["grouping", "group", "level", "n", "mean", "sd", "ci_low", "ci_high"]]


def _profile(axis: Axes, data: pd.DataFrame, levels: Sequence[str]) -> None:
    place = {level: number for number, level in enumerate(levels)}
    groups = sorted(data["group"].unique())
    for number, group in enumerate(groups):
        own = data[data["group"] == group].sort_values("level", key=lambda names: names.map(place))
        y = own["level"].map(place).to_numpy(dtype=float) + 0.08 * (number - (len(groups) - 1) / 2)
        colour = COLOURS[number % len(COLOURS)]
        axis.errorbar(
            own["mean"],
            y,
            xerr=own["ci_high"] - own["mean"],
            fmt="none",
            ecolor=colour,
            elinewidth=1,
            alpha=0.8,
        )
        axis.plot(
            own["mean"],
            y,
            color=colour,
            linestyle=LINES[number % len(LINES)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            label=group,
        )
    axis.set_yticks(range(len(levels)), levels)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def cohort_distributions(cohort: pd.DataFrame) -> Drawing:
    """Histograms of exposures and outcome by sex, with the cut points of the quartiles.

    Parameters
    ----------
    cohort
        One row per participant with sex and `DISTRIBUTIONS`, one panel each.
    """
    sexes = sorted(cohort["sex"].dropna().astype(str).unique())
    parts = []
    with canvas(7.4, 2.9, 1, len(DISTRIBUTIONS)) as (figure, axes):
        for axis, measure in zip(axes[0], DISTRIBUTIONS, strict=True):
            shown = shown_as(measure)
            own = cohort[["sex", measure]].dropna()
            values = own[measure].astype(float) * shown.factor
            edges = np.histogram_bin_edges(values, bins=BINS)
            for number, sex in enumerate(sexes):
                counts, _ = np.histogram(values[own["sex"].astype(str) == sex], bins=edges)
                axis.stairs(counts, edges, color=COLOURS[number], linestyle=LINES[number], label=sex)
                parts.append(
                    pd.DataFrame(
                        {"measure": measure, "sex": sex, "from": edges[:-1], "to": edges[1:], "n": counts}
                    )
                )
            for cut in cut_points(values.to_numpy()) if len(values) else ():
                reference_line(axis, x=float(cut))
            axis.yaxis.set_major_locator(MaxNLocator(integer=True))
            axis.set_xlabel(shown.label)
        axes[0, 0].set_ylabel("Participants")
        axes[0, -1].legend(loc="upper right")
    return Drawing(
        "distributions",
        "Distribution of muscle measures and vBMD",
        f"Histograms by sex of {', '.join(shown_as(name).name for name in DISTRIBUTIONS)}, with the three cut points "
        "of the quartiles.",
        figure,
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(),
    )


def quartile_distributions(cohort: pd.DataFrame) -> Drawing:
    """Box plots of the outcome by quartile of each exposure (box: quartiles; whiskers: 1.5 times their range).

    Parameters
    ----------
    cohort
        One row per participant with `DISTRIBUTIONS`.
    """
    parts = [
        pd.DataFrame(
            {
                "exposure": exposure,
                "quartile": quartile_group(cohort[exposure]),
                "value": cohort[OUTCOME] * shown_as(OUTCOME).factor,
            }
        ).dropna()
        for exposure in EXPOSURES
    ]
    values = pd.concat(parts, ignore_index=True).astype({"value": float})
    with canvas(7.4, 3.4, 1, len(EXPOSURES), sharey=True) as (figure, axes):
        for axis, exposure in zip(axes[0], EXPOSURES, strict=True):
            own = values[values["exposure"] == exposure]
            _boxes(axis, [own.loc[own["quartile"] == name, "value"].to_numpy() for name in QUARTILES])
            axis.set_xlabel(f"Quartile of {shown_as(exposure).name.lower()}")
        axes[0, 0].set_ylabel(shown_as(OUTCOME).label)
    data = values.groupby(["exposure", "quartile"], sort=True)["value"].describe().reset_index()
    return Drawing(
        f"distribution-{OUTCOME}-by-quartile",
        f"{shown_as(OUTCOME).name} by quartile of muscle",
        f"Box plots in each quartile of {' and '.join(EXPOSURES)}: quartiles, and whiskers to 1.5 times their range.",
        figure,
        data,
    )


def _boxes(axis: Axes, groups: Sequence[np.ndarray[Any, Any]]) -> None:
    drawn = axis.boxplot(
        list(groups),
        tick_labels=[name.split(" ")[0] for name in QUARTILES],
        patch_artist=True,
        widths=0.6,
        medianprops={"color": "black", "linewidth": 1.6},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": "#595959"},
    )
    for number, box in enumerate(drawn["boxes"]):
        box.set_facecolor(COLOURS[1] if number == 0 else "#c9dff0")
        box.set_alpha(0.75)
    axis.grid(visible=False, axis="x")
