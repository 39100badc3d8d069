"""Slabs: which axial slices belong to a vertebral level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.imaging.geometry import crop
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, vertebra_labels
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import occupied_box

SlabRule = Literal["vertebra", "body", "original"]
"""``vertebra``: from its lowest to its highest slice. ``body``: the same of the vertebral body, so that slabs
do not overlap and leave out the discs. ``original``: as the published scripts did, which shorten a slab
whose vertebra mask has empty slices; for comparison only."""

MUSCLES: Final = (AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT)


@dataclass(frozen=True)
class Slab:
    """The axial slices of one level, counted in the whole image; every stop is exclusive.

    Attributes
    ----------
    level
        Name, such as ``T4``.
    start, stop
        Slices that are measured, by the rule asked for.
    vertebra_start, vertebra_stop
        Slices between the lowest and the highest voxel of the vertebra.
    gap
        Whether slices between these two have no voxel of the vertebra.
    touches_border
        Whether the vertebra, or muscle within the slab, reaches the edge of the whole image.
    """

    level: str
    start: int
    stop: int
    vertebra_start: int
    vertebra_stop: int
    gap: bool
    touches_border: bool


@dataclass(frozen=True)
class LabelProfile:
    """How many voxels of each label lie in each axial slice, and how many of those at the image's edge.

    Attributes
    ----------
    counts, at_edge
        Shape ``(z, 256)``: voxels per slice and label; row 0 is slice `first_slice` of the whole image.
    first_slice
        See above.
    """

    counts: NDArray[np.int64]
    at_edge: NDArray[np.int64]
    first_slice: int

    @classmethod
    def of(cls, labels: Volume) -> LabelProfile:
        """Count a uint8 label volume, shape ``(x, y, z)``, in one pass."""
        part = crop(labels, occupied_box(labels.data))
        size = labels.image_shape
        (ox, oy, oz), (nx, ny, nz) = part.offset, part.data.shape
        counts = np.zeros((nz, 256), np.int64)
        at_edge = np.zeros_like(counts)
        inner = (
            slice(int(ox == 0), nx - int(ox + nx == size[0])),
            slice(int(oy == 0), ny - int(oy + ny == size[1])),
        )
        clear = inner == (slice(0, nx), slice(0, ny))
        for z in range(nz):
            plane = part.data[:, :, z]
            counts[z] = np.bincount(plane.T.ravel(), minlength=256)
            if oz + z in (0, size[2] - 1):
                at_edge[z] = counts[z]
            elif not clear:
                at_edge[z] = counts[z] - np.bincount(plane[inner].ravel(), minlength=256)
        return cls(counts, at_edge, oz)

    @property
    def has_bodies(self) -> bool:
        """Whether this segmentation tells vertebral bodies from the rest of the vertebra at all."""
        return bool(self.counts[:, body_label("C1") :: 2].any())

    def slices(self, values: Sequence[int]) -> NDArray[np.intp]:
        """Slices of the whole image that hold any of these labels, ascending."""
        return np.flatnonzero(self.counts[:, list(values)].any(axis=1)) + self.first_slice

    def reaches_edge(self, values: Sequence[int], start: int | None = None, stop: int | None = None) -> bool:
        """Whether any of these labels lies at the image's edge within the slices from `start` to `stop`."""
        return bool(self.at_edge[self.rows(start, stop), list(values)].any()) if values else False

    def rows(self, start: int | None, stop: int | None) -> slice:
        """Rows of the tables for slices of the whole image."""
        low = 0 if start is None else max(0, start - self.first_slice)
        high = len(self.counts) if stop is None else max(0, stop - self.first_slice)
        return slice(low, high)


def level_slabs(
    labels: Volume, levels: Sequence[str], *, rule: SlabRule = "vertebra", profile: LabelProfile | None = None
) -> dict[str, Slab]:
    """The slab of every level that is there.

    Neighbouring slabs overlap under the rule ``vertebra``, where a spinous process hangs below its body.

    Parameters
    ----------
    labels
        uint8 label volume, shape ``(x, y, z)``, RAS+; whole or cut out of a larger image.
    levels
        Levels wanted, any order.
    rule
        See `SlabRule`.
    profile
        `LabelProfile.of(labels)`, if it was counted already.

    Returns
    -------
    dict
        In the order of `levels`. A level without a voxel is absent; under the rule ``body``, one without a
        body is absent too.
    """
    profile = LabelProfile.of(labels) if profile is None else profile
    slabs = {}
    for level in levels:
        whole = vertebra_labels(level)
        vertebra = profile.slices(whole)
        used = profile.slices((body_label(level),)) if rule == "body" else vertebra
        if not len(used):
            continue
        start, stop = int(used[0]), int(used[-1]) + 1
        if rule == "original":
            stop = _original_stop(used)
        low, high = int(vertebra[0]), int(vertebra[-1]) + 1
        cut = profile.reaches_edge(whole) or profile.reaches_edge(MUSCLES, start, stop)
        slabs[level] = Slab(level, start, stop, low, high, len(vertebra) < high - low, cut)
    return slabs


def _original_stop(occupied: NDArray[np.intp]) -> int:
    """End of a slab as the published step 5 cut it: 2g - 1 slices short where g slices are empty."""
    start = int(occupied[0])
    return start + int((occupied <= start + np.count_nonzero(occupied)).sum())


def union_rows(slabs: Iterable[Slab]) -> NDArray[np.bool_]:
    """Slices of the whole image, up to the last one used, that lie in at least one slab."""
    chosen = list(slabs)
    inside = np.zeros(max((s.stop for s in chosen), default=0), bool)
    for slab in chosen:
        inside[slab.start : slab.stop] = True
    return inside


def slabs_table(slabs: Mapping[str, Slab]) -> pd.DataFrame:
    """The slabs as a table, one row each.

    Columns: level, first_slice, last_slice, vertebra_first_slice, vertebra_last_slice, gap, touches_border.
    First and last slices are both included, and counted from 0 at the foot end of the whole image.
    """
    rows: list[dict[str, Any]] = [
        {
            "level": slab.level,
            "first_slice": slab.start,
            "last_slice": slab.stop - 1,
            "vertebra_first_slice": slab.vertebra_start,
            "vertebra_last_slice": slab.vertebra_stop - 1,
            "gap": slab.gap,
            "touches_border": slab.touches_border,
        }
        for slab in slabs.values()
    ]
    numbers = dict.fromkeys(_SLAB_COLUMNS[1:5], "int64")
    return pd.DataFrame(rows, columns=list(_SLAB_COLUMNS)).astype(
        {"level": "string", **numbers, "gap": "bool", "touches_border": "bool"}
    )


_SLAB_COLUMNS: Final = (
    "level",
    "first_slice",
    "last_slice",
    "vertebra_first_slice",
    "vertebra_last_slice",
    "gap",
    "touches_border",
)
