"""The five texture matrices, counted on a discretised region of interest.

Every function takes `grey`, shape ``(z, y, x)``, unsigned integers: the grey level of each voxel from 1, and 0
outside the region. Distances are one voxel; directions are the 13 of a 26-neighbourhood.

Source: Zwanenburg et al., Image Biomarker Standardisation Initiative (arXiv:1612.07003), with the choices of
PyRadiomics 3.1.0 where they differ, each named where it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Grey = NDArray[np.unsignedinteger[Any]]
Counts = NDArray[np.float64]

DIRECTIONS: Final = tuple(
    (z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)
)
"""The 13 directions; their opposites add nothing."""

_NEIGHBOURS: Final = np.ones((3, 3, 3), bool)


def present_levels(grey: Grey) -> NDArray[np.intp]:
    """Grey levels that occur, ascending."""
    occurring = np.flatnonzero(np.bincount(grey.ravel()))
    return occurring[occurring > 0]


def cooccurrence(grey: Grey, levels: NDArray[np.intp]) -> Iterator[Counts]:
    """One symmetric matrix per direction, shape ``(levels, levels)``, each summing to 1.

    Directions in which no two voxels of the region are neighbours are left out.
    """
    width = int(grey.max()) + 1
    wide = grey.astype(np.min_scalar_type(width * width))
    for direction in DIRECTIONS:
        here, there = _pairs(wide, direction)
        pairs = np.bincount((here * wide.dtype.type(width) + there).ravel(), minlength=width * width)
        counts = pairs.reshape(width, width)[np.ix_(levels, levels)].astype(np.float64)
        counts += counts.T
        if total := counts.sum():
            yield counts / total


def run_lengths(grey: Grey, levels: NDArray[np.intp]) -> Iterator[tuple[Counts, NDArray[np.float64]]]:
    """Per direction the runs of equal grey level, shape ``(levels, lengths)``, and the lengths that occur.

    As in PyRadiomics, a direction in which no line holds two voxels of the region is left out.
    """
    padded = np.pad(grey, 1)
    flat = padded.ravel()
    inside = flat > 0
    steps = np.array(padded.strides) // padded.itemsize
    width = int(grey.max()) + 1
    singles = np.bincount(flat, minlength=width)
    for direction in DIRECTIONS:
        step = int(np.dot(direction, steps))
        after, before = slice(step, None), slice(None, -step)
        if not (inside[after] & inside[before]).any() and not _line_holds_two(padded > 0, direction):
            continue
        # reaching[k - 1] counts, per grey level, the voxels that end a streak of at least k equal voxels
        reaching = [singles]
        ends = np.flatnonzero((flat[after] == flat[before]) & inside[after]) + step
        tone = flat[ends]
        while ends.size:
            reaching.append(np.bincount(tone, minlength=width))
            same = flat[ends - len(reaching) * step] == tone
            ends, tone = ends[same], tone[same]
        streaks = np.array([*reaching, np.zeros(width), np.zeros(width)])
        runs = (streaks[:-2] - 2 * streaks[1:-1] + streaks[2:])[:, levels].T
        occurring = runs.any(axis=0)
        yield runs[:, occurring], _sizes(occurring, 1)


def _line_holds_two(inside: NDArray[np.bool_], direction: tuple[int, int, int]) -> bool:
    """Whether any line in this direction passes through two or more voxels, neighbours or not."""
    index = np.array(np.nonzero(inside))
    step = np.array(direction)
    leading = int(np.flatnonzero(step)[0])
    steps_from_start = index[leading] * step[leading]
    lines = np.unique(index - step[:, None] * steps_from_start, axis=1)
    return bool(lines.shape[1] < index.shape[1])


def size_zones(grey: Grey, levels: NDArray[np.intp]) -> tuple[Counts, NDArray[np.float64]]:
    """Connected zones of equal grey level (26 neighbours), shape ``(levels, sizes)``, and the sizes that occur."""
    boxes = ndimage.find_objects(grey)
    zones = []
    for level in levels:
        own = grey[boxes[level - 1]] == level
        labelled, _ = ndimage.label(own, _NEIGHBOURS)
        zones.append(np.bincount(np.bincount(labelled[own])[1:]))
    width = max(len(sizes) for sizes in zones)
    counts = np.array([np.pad(sizes, (0, width - len(sizes))) for sizes in zones], np.float64)
    occurring = counts.any(axis=0)
    return counts[:, occurring], _sizes(occurring, 0)


def dependences(grey: Grey, levels: NDArray[np.intp]) -> tuple[Counts, NDArray[np.float64]]:
    """Voxels by how many of themselves and their neighbours share their grey level, shape ``(levels, sizes)``."""
    equal = np.zeros(grey.shape, np.uint8)
    for direction in DIRECTIONS:
        here, there = _pairs(grey, direction)
        same = here == there
        equal_here, equal_there = _pairs(equal, direction)
        equal_here += same
        equal_there += same
    inside = grey > 0
    index = grey[inside].astype(np.int64) * 27 + equal[inside]
    counts = (
        np.bincount(index, minlength=(int(levels[-1]) + 1) * 27).reshape(-1, 27)[levels].astype(np.float64)
    )
    occurring = counts.any(axis=0)
    return counts[:, occurring], _sizes(occurring, 1)


def tone_differences(grey: Grey, levels: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per grey level the number of voxels, and the sum of their distances to the mean of their neighbours.

    As in PyRadiomics, a voxel without any neighbour in the region counts, with distance 0.
    """
    inside = grey > 0
    sums = _box_sum(grey.astype(np.min_scalar_type(27 * int(levels[-1]))))[inside].astype(np.int64)
    neighbours = _box_sum(inside.view(np.uint8))[inside].astype(np.int64) - 1
    own = grey[inside].astype(np.int64)
    distance = np.where(neighbours > 0, np.abs(own - (sums - own) / np.maximum(neighbours, 1)), 0.0)
    voxels = np.bincount(own)[levels].astype(np.float64)
    return voxels, np.bincount(own, weights=distance)[levels].astype(np.float64)


def _sizes(occurring: Any, first: int) -> NDArray[np.float64]:
    """Sizes that occur, where the first column stands for size `first`."""
    return (np.flatnonzero(occurring) + first).astype(np.float64)


def _box_sum(values: NDArray[Any]) -> NDArray[Any]:
    """Sum over the 3x3x3 box around every voxel; beyond the edge lies 0."""
    for axis in range(3):
        total = values.copy()
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        total[tuple(low)] += values[tuple(high)]
        total[tuple(high)] += values[tuple(low)]
        values = total
    return values


def _pairs(values: NDArray[Any], direction: tuple[int, int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Views of every voxel and of its neighbour in a direction, where both lie in the array."""
    here = tuple(slice(max(-d, 0), n - max(d, 0)) for d, n in zip(direction, values.shape, strict=True))
    there = tuple(slice(max(d, 0), n - max(-d, 0)) for d, n in zip(direction, values.shape, strict=True))
    return values[here], values[there]
