"""Agreement of a segmentation with a reader's masks: one row per structure of a scan, and a summary of all scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.agreement import bland_altman, dice, icc, iou, surface_distances
from paraspinal_assets.imaging.anatomy import Box, label_box
from paraspinal_assets.imaging.geometry import crop, voxel_volume_mm3
from paraspinal_assets.imaging.labels import vertebra_labels
from paraspinal_assets.imaging.levels import Slab, SlabRule, level_slabs
from paraspinal_assets.imaging.muscle import SIDES
from paraspinal_assets.imaging.volume import Volume

Mask = NDArray[np.bool_]
MEASURES: Final = ("volume_mm3", "median_hu")
_COLUMNS: Final = (
    *("structure", "dice", "iou", "surface_distance_mean_mm", "surface_distance_p95_mm"),
    *("volume_mm3", "reader_volume_mm3", "median_hu", "reader_median_hu"),
)


def agreement_rows(
    ct: Volume, labels: Volume, reader: Volume, levels: Sequence[str], *, slab: SlabRule = "vertebra"
) -> pd.DataFrame:
    """Compare every structure that either of two label volumes has.

    Parameters
    ----------
    ct, labels, reader
        Same grid, shape ``(x, y, z)``, RAS+; both label volumes with the values of `imaging.labels`.
    levels
        Vertebral levels to compare, beside the muscle left, right and both: each vertebra, and the muscle in
        its slab. Either volume is cut by its own vertebrae, so that levels named or ended otherwise count as
        disagreement; a reader's volume without any vertebra is cut by those of the segmentation. Of a reader who
        drew one side only, that side is compared and nothing that is of both.
    slab
        Rule by which a level gets its slices, see `levels.SlabRule`.

    Returns
    -------
    DataFrame
        structure, dice, iou, surface distances in mm, and volume (mm3) and median attenuation (HU) of either.
    """
    box = label_box(np.maximum(labels.data, reader.data), margin=(1, 1, 1))
    if box is None:
        return pd.DataFrame(columns=list(_COLUMNS))
    ct, labels, reader = (crop(volume, _limits(box)) for volume in (ct, labels, reader))
    voxel_mm3 = voxel_volume_mm3(ct.affine)
    rows: list[dict[str, Any]] = []
    for structure, mine, theirs in _masks(labels, reader, levels, slab):
        if not theirs.any():
            continue
        distances = surface_distances(mine, theirs, ct.spacing)
        rows.append(
            {
                "structure": structure,
                "dice": dice(mine, theirs),
                "iou": iou(mine, theirs),
                "surface_distance_mean_mm": distances.mean_mm,
                "surface_distance_p95_mm": distances.p95_mm,
                "volume_mm3": int(mine.sum()) * voxel_mm3,
                "reader_volume_mm3": int(theirs.sum()) * voxel_mm3,
                "median_hu": _median(ct.data, mine),
                "reader_median_hu": _median(ct.data, theirs),
            }
        )
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def agreement_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Bland-Altman limits and ICC(2,1) per structure and measure over all scans; null with a reason if too few."""
    summary: list[dict[str, Any]] = []
    for structure, group in rows.groupby("structure", sort=False):
        for measure in MEASURES:
            pairs = group[[measure, f"reader_{measure}"]].dropna().to_numpy(dtype=float)
            row: dict[str, Any] = {
                "structure": structure,
                "measure": measure,
                "n": len(pairs),
                "reason": None,
            }
            try:
                limits, correlation = bland_altman(pairs[:, 0], pairs[:, 1]), icc(pairs)
                row |= {"bias": limits.bias, "lower_limit": limits.lower, "upper_limit": limits.upper}
                row |= {
                    "icc": correlation.icc,
                    "icc_low": correlation.ci_low,
                    "icc_high": correlation.ci_high,
                }
            except ParaspinalError as error:
                row["reason"] = error.message
            summary.append(row)
    names = ["structure", "measure", "n", "bias", "lower_limit", "upper_limit", "icc", "icc_low", "icc_high"]
    return pd.DataFrame(summary, columns=[*names, "reason"])


def _limits(box: Box) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    x, y, z = ((part.start, part.stop) for part in box)
    return x, y, z


def _masks(
    labels: Volume, reader: Volume, levels: Sequence[str], rule: SlabRule
) -> Iterator[tuple[str, Mask, Mask]]:
    """Every structure with its mask in either volume."""
    both = SIDES["both"]
    mine, theirs = np.isin(labels.data, both), np.isin(reader.data, both)
    if not all((reader.data == value).any() for value in both):
        theirs[:] = False
    for side in ("left", "right"):
        yield f"muscle_{side}", np.isin(labels.data, SIDES[side]), np.isin(reader.data, SIDES[side])
    yield "muscle_both", mine, theirs
    slabs, read = level_slabs(labels, levels, rule=rule), level_slabs(reader, levels, rule=rule)
    for level in levels:
        slab = read.get(level) if read else slabs.get(level)
        yield f"muscle_{level}", _within(mine, slabs.get(level), labels), _within(theirs, slab, reader)
    for level in levels:
        values = vertebra_labels(level)
        yield f"vertebra_{level}", np.isin(labels.data, values), np.isin(reader.data, values)


def _within(mask: Mask, slab: Slab | None, volume: Volume) -> Mask:
    """The part of a mask in a level's slab; nothing where the level is absent."""
    part = np.zeros_like(mask)
    if slab is not None:
        rows = slice(slab.start - volume.offset[2], slab.stop - volume.offset[2])
        part[:, :, rows] = mask[:, :, rows]
    return part


def _median(values: NDArray[Any], mask: NDArray[np.bool_]) -> float | None:
    return float(np.median(values[mask])) if mask.any() else None
