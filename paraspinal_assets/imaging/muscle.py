"""Paraspinal muscle per level and side: volume, attenuation, tissue fractions, cross-sectional area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.imaging.attenuation import Histogram
from paraspinal_assets.imaging.geometry import voxel_volume_mm3
from paraspinal_assets.imaging.labels import (
    AUTOCHTHON_LEFT,
    AUTOCHTHON_RIGHT,
    UNION,
    Side,
    body_label,
    vertebra_labels,
)
from paraspinal_assets.imaging.levels import LabelProfile, Slab, SlabRule, level_slabs, union_rows
from paraspinal_assets.imaging.volume import Volume

SIDES: Final[dict[Side, tuple[int, ...]]] = {
    "left": (AUTOCHTHON_LEFT,),
    "right": (AUTOCHTHON_RIGHT,),
    "both": (AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT),
}

_NUMBERS: Final = (
    "volume_mm3",
    "mean_hu",
    "median_hu",
    "sd_hu",
    "p25",
    "p75",
    "fat_fraction",
    "low_attenuation_fraction",
    "normal_fraction",
    "area_mm2",
)
_DTYPES: Final = {
    "level": "string",
    "side": "string",
    "voxels": "Int64",
    **dict.fromkeys(_NUMBERS, "float64"),
    "touches_border": "boolean",
    "reason": "string",
}


@dataclass(frozen=True)
class HuWindows:
    """Attenuation windows in whole HU, both ends included: a value between two counts for the nearer one.

    Source: Aubrey et al., Acta Physiol 2014;210:489-497 (fat, low-attenuation and normal-attenuation muscle).
    """

    fat: tuple[float, float] = (-190, -30)
    low: tuple[float, float] = (-29, 29)
    normal: tuple[float, float] = (30, 150)


def measure_muscle(
    ct: Volume,
    labels: Volume,
    levels: Sequence[str],
    windows: HuWindows | None = None,
    *,
    slab: SlabRule = "vertebra",
    profile: LabelProfile | None = None,
) -> pd.DataFrame:
    """Measure the muscle of every level and of their union, left, right and together.

    Parameters
    ----------
    ct, labels
        Same shape ``(x, y, z)``, RAS+; whole images or one region of both.
    levels
        Levels to measure; each gives three rows, present or not.
    windows
        Tissue windows; fractions are of all muscle voxels of the row.
    slab
        Rule by which a level gets its slices, see `levels.SlabRule`.
    profile
        `LabelProfile.of(labels)`, if it was counted already.

    Returns
    -------
    DataFrame
        level, side, voxels, volume_mm3, mean_hu, median_hu, sd_hu (divisor n), p25, p75, fat_fraction,
        low_attenuation_fraction, normal_fraction, area_mm2 (muscle in the middle slice of the vertebral body,
        or of the vertebra where bodies are unknown; null for the union, and where that slice has no muscle),
        touches_border, reason. What cannot be measured is null, with its reason; the union is null as soon as
        one level is absent, for a smaller sum under the same name would be a wrong value.
    """
    windows = windows or HuWindows()
    profile = LabelProfile.of(labels) if profile is None else profile
    slabs = level_slabs(labels, levels, rule=slab, profile=profile)
    sides = {value: _SideValues.gather(ct, labels, value) for value in SIDES["both"]}
    voxel_mm3 = voxel_volume_mm3(ct.affine)
    plane_mm2 = float(np.linalg.norm(np.cross(ct.affine[:3, 0], ct.affine[:3, 1])))
    rows: list[dict[str, Any]] = []
    for level in levels:
        found = slabs.get(level)
        for side, values in SIDES.items():
            row: dict[str, Any] = {"level": level, "side": side}
            rows.append(row)
            if found is None:
                row["reason"] = (
                    "level_absent" if not len(profile.slices(vertebra_labels(level))) else "no_body"
                )
                continue
            parts = [sides[value].between(found.start, found.stop) for value in values]
            row |= _statistics(parts, voxel_mm3, windows)
            row["touches_border"] = profile.reaches_edge(vertebra_labels(level)) or profile.reaches_edge(
                values, found.start, found.stop
            )
            if not row["voxels"]:
                row["reason"] = "no_muscle" if side == "both" else "no_muscle_side"
                row["voxels"] = None
            else:
                row["area_mm2"] = _area(profile, level, values, plane_mm2)
    rows += _union(slabs, levels, sides, profile, voxel_mm3, windows)
    return pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)


@dataclass(frozen=True)
class _SideValues:
    """The attenuation of one side's muscle, slice after slice.

    `values` has shape ``(n,)``; those of slice z lie from ``starts[z]`` to ``starts[z + 1]``, z counted in
    the whole image.
    """

    values: NDArray[Any]
    starts: NDArray[np.int64]

    @classmethod
    def gather(cls, ct: Volume, labels: Volume, value: int) -> _SideValues:
        offset = labels.offset[2]
        starts = np.zeros(labels.image_shape[2] + 1, np.int64)
        parts = [np.empty(0, ct.data.dtype)]
        for z in range(labels.data.shape[2]):
            mask = value == labels.data[:, :, z].T
            part = ct.data[:, :, z].T[mask]
            starts[offset + z + 1] = part.size
            parts.append(part)
        return cls(np.concatenate(parts), np.cumsum(starts))

    def between(self, start: int, stop: int) -> NDArray[Any]:
        return self.values[self.starts[start] : self.starts[stop]]

    def inside(self, rows: NDArray[np.bool_]) -> NDArray[Any]:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], rows.view(np.int8), [0]])))
        runs = [self.between(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
        return np.concatenate([self.values[:0], *runs])


def _statistics(parts: Sequence[NDArray[Any]], voxel_mm3: float, windows: HuWindows) -> dict[str, Any]:
    hu = Histogram.of(np.concatenate(parts) if len(parts) > 1 else parts[0])
    if not hu.n:
        return {"voxels": 0}
    return {
        "voxels": hu.n,
        "volume_mm3": hu.n * voxel_mm3,
        "mean_hu": hu.mean,
        "median_hu": hu.percentile(50),
        "sd_hu": hu.sd,
        "p25": hu.percentile(25),
        "p75": hu.percentile(75),
        "fat_fraction": _fraction(hu, windows.fat),
        "low_attenuation_fraction": _fraction(hu, windows.low),
        "normal_fraction": _fraction(hu, windows.normal),
    }


def _fraction(hu: Histogram, window: tuple[float, float]) -> float:
    """Share of a window; neighbouring windows share no value and leave none out, whole or not."""
    low, high = window
    return hu.within(low - 0.5, np.nextafter(high + 0.5, low)).n / hu.n


def _area(profile: LabelProfile, level: str, values: Sequence[int], plane_mm2: float) -> float | None:
    """Muscle in the middle slice of the vertebral body; null rather than zero where that slice has none."""
    extent = profile.slices((body_label(level),) if profile.has_bodies else vertebra_labels(level))
    if not len(extent):
        return None
    middle = int(extent[0] + extent[-1]) // 2
    voxels = int(profile.counts[profile.rows(middle, middle + 1), list(values)].sum())
    return voxels * plane_mm2 if voxels else None


def _union(
    slabs: dict[str, Slab],
    levels: Sequence[str],
    sides: dict[int, _SideValues],
    profile: LabelProfile,
    voxel_mm3: float,
    windows: HuWindows,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    inside = union_rows(slabs.values())
    for side, values in SIDES.items():
        row: dict[str, Any] = {"level": UNION, "side": side}
        rows.append(row)
        if not slabs or len(slabs) < len(set(levels)):
            row["reason"] = "missing_level" if slabs else "no_vertebrae"
            continue
        row |= _statistics([sides[value].inside(inside) for value in values], voxel_mm3, windows)
        row["touches_border"] = any(
            profile.reaches_edge(vertebra_labels(name))
            or profile.reaches_edge(values, found.start, found.stop)
            for name, found in slabs.items()
        )
        if not row["voxels"]:
            row["voxels"], row["reason"] = None, "no_muscle" if side == "both" else "no_muscle_side"
    return rows
