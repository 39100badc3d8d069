"""Agreement of the segmentation with readers."""

from __future__ import annotations

from typing import Final

import pandas as pd

from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.report.blocks import Block, Formats, Section, Source, figure, table
from paraspinal_assets.report.figures.change import bland_altman_plot
from paraspinal_assets.report.measures import measure
from paraspinal_assets.report.numbers import count, digits, intervals, significant

AGREEMENT: Final = {
    "dice": "Dice",
    "iou": "IoU",
    "surface_distance_mean_mm": "Surface distance, mean (mm)",
    "surface_distance_p95_mm": "Surface distance, 95th percentile (mm)",
}
READ: Final = {"volume_mm3": "Volume (cm³)", "median_hu": "Median attenuation (HU)"}
"""What was read of a structure, muscle or vertebra."""
WHOLE: Final = "muscle_both"
LEVELS: Final = r"muscle_[CTL]\d+"
"""Structures of a Bland-Altman plot. Both sides together are the exposure and have wider limits than each alone; levels
share one plot, since they are of one size."""


def agreement(source: Source) -> Section:
    """Overlap, distances, Bland-Altman and ICC against manual masks."""
    section = Section("agreement", "Agreement with readers")
    found = source.get("reader_agreement", "structure")
    if found is None:
        return section.add(source.absent("reader_agreement", "structure"), _left_out(source))
    measures = [name for name in AGREEMENT if name in found.columns]
    means = found.groupby("structure", sort=False)[measures].agg("mean").reset_index()
    means.insert(1, "n", found.groupby("structure", sort=False).size().to_numpy())
    section.add(
        table(
            means.assign(structure=_structures(means)),
            {"structure": "Structure", "n": "Scans", **{name: AGREEMENT[name] for name in measures}},
            caption="Overlap and surface distance, means over the scans",
            formats={"n": count, **dict.fromkeys(measures, digits(3))},
        )
    )
    for what, structures in (("", WHOLE), ("levels", LEVELS)):
        read = found[found["structure"].astype(str).str.fullmatch(structures)]
        for column, reader in (("volume_mm3", "reader_volume_mm3"), ("median_hu", "reader_median_hu")):
            if {column, reader} <= set(read.columns) and len(read[[column, reader]].dropna()) >= 3:
                pairs = read.rename(columns={column: "first", reader: "second"})
                section.add(figure(bland_altman_plot(pairs, measure=column, what=what)))
    return section.add(_limits(source), _left_out(source))


def _left_out(source: Source) -> Block | None:
    """Scans with masks that could not be compared, by reason."""
    found = source.get("reader_agreement_problems", "code")
    if found is None:
        return None
    rows = found["code"].map(lambda code: REASONS.get(code, code)).value_counts().sort_index().reset_index()
    return table(
        rows.set_axis(["reason", "n"], axis=1),
        {"reason": "Reason", "n": "Scans"},
        caption="Scans with manual masks that could not be compared",
        formats={"n": count},
    )


def _limits(source: Source) -> Block | None:
    """Bias, limits of agreement and ICC per structure, in shown units."""
    bounds = ["bias", "lower_limit", "upper_limit"]
    found = source.get(
        "reader_agreement_summary", "structure", "measure", "n", *bounds, "icc", "icc_low", "icc_high"
    )
    if found is None:
        return None
    shown = [measure(str(name)) for name in found["measure"]]
    factors = pd.Series([one.factor for one in shown], index=found.index)
    rows = found.assign(
        measure=[READ.get(str(name), str(name)) for name in found["measure"]],
        structure=_structures(found),
        limits=intervals(found["lower_limit"] * factors, found["upper_limit"] * factors),
        bias=found["bias"] * factors,
        icc_ci=intervals(found["icc_low"], found["icc_high"], digits(3)),
    )
    heads = {
        "structure": "Structure",
        "measure": "Measure",
        "n": "Scans",
        "bias": "Bias",
        "limits": "Limits of agreement",
        "icc": "ICC",
        "icc_ci": "95 % CI",
    }
    formats: Formats = {"n": count, "bias": significant, "limits": str, "icc": digits(3), "icc_ci": str}
    note = "Bias: segmentation minus reader. ICC(2,1), absolute agreement."
    return table(rows, heads, caption="Bland-Altman limits and ICC", formats=formats, note=note)


def _structures(found: pd.DataFrame) -> list[str]:
    return [str(name).replace("_", " ") for name in found["structure"]]
