"""Resampling between the grid of a CT and those of the networks, voxel for voxel as TotalSegmentator does it.

The package resamples with ``scipy.ndimage.zoom``, which takes longer for a chest CT than a GPU takes to segment it.
The same sums in the same order, plane by plane, give the same voxels in a fifth of the time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Slices = tuple[slice, slice, slice]
Edges = NDArray[np.float32]


@dataclass(frozen=True)
class Resampled:
    """An image at a network's spacing: voxels ``(x, y, z)`` and voxel edges in mm."""

    data: NDArray[Any]
    edges: Edges


@dataclass(frozen=True)
class Neighbours:
    """For every index of a new axis: the two old indices around it and what each of them weighs."""

    below: NDArray[np.intp]
    above: NDArray[np.intp]
    weight_below: NDArray[np.float64]
    weight_above: NDArray[np.float64]


def voxel_edges(affine: NDArray[np.float64]) -> Edges:
    """Voxel edges in mm as a NIfTI header holds them: float32, which decides how sizes are rounded."""
    edges: Edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0)).astype(np.float32)
    return edges


def resample_linear(
    data: NDArray[Any], affine: NDArray[np.float64], spacing_mm: float, *, device: str = "cpu"
) -> Resampled:
    """Linear resampling to cubes, corner voxels aligned, values truncated to integers (``change_spacing``).

    Parameters
    ----------
    data
        Shape ``(x, y, z)``, HU.
    affine
        Its affine, or that of the image it was cut from: only the voxel edges count.
    spacing_mm
        Edge of the cubes.
    device
        Where the sums are done, as torch names it; they are the same everywhere.
    """
    edges = voxel_edges(affine)
    zoom: NDArray[np.float64] = edges / np.full(3, spacing_mm)
    if np.array_equal(edges, np.full(3, spacing_mm)):
        return Resampled(data, edges)
    new_affine = affine.copy()
    new_affine[:3, :3] /= zoom
    shape = [round(float(n * factor)) for n, factor in zip(data.shape, zoom, strict=True)]
    return Resampled(_zoom_linear(data, shape, device), voxel_edges(new_affine))


def resample_nearest(labels: NDArray[Any], shape: Sequence[int], part: Slices | None = None) -> NDArray[Any]:
    """Nearest-neighbour resampling to a shape, corner voxels aligned (``change_spacing`` with order 0).

    Parameters
    ----------
    labels
        Three-dimensional.
    shape
        Shape of the whole result.
    part
        The part of the result that is wanted; None for all of it.
    """
    indices = nearest_indices(labels.shape, shape)
    if part is not None:
        indices = [index[wanted] for index, wanted in zip(indices, part, strict=True)]
    return labels[np.ix_(*indices)]


def nearest_indices(old: Sequence[int], new: Sequence[int]) -> list[NDArray[np.int64]]:
    """For every axis: index in the old grid of each index in the new one; halves go up, as in scipy."""
    indices = []
    for n_old, n_new in zip(old, new, strict=True):
        ratio = (n_old - 1) / (n_new - 1) if n_new > 1 else 1.0
        indices.append(np.minimum(np.floor(np.arange(n_new) * ratio + 0.5), n_old - 1).astype(np.int64))
    return indices


def _zoom_linear(data: NDArray[Any], shape: Sequence[int], device: str) -> NDArray[np.int32]:
    """``ndimage.zoom(data, order=1, mode="nearest", output=float)`` truncated to integers."""
    x, y, z = (_neighbours(n_old, n_new) for n_old, n_new in zip(data.shape, shape, strict=True))
    if device != "cpu":
        import torch

        from paraspinal_assets.segmenters.gpu import zoom_linear

        with contextlib.suppress(torch.OutOfMemoryError):  # the GPU is full of networks: here, then
            return zoom_linear(data, shape, (x, y, z), torch.device(device))
    result = np.empty(shape[::-1], dtype=np.int32)
    total, term = np.empty(result.shape[1:]), np.empty(result.shape[1:])
    planes: dict[int, list[NDArray[np.float64]]] = {}
    for k in range(shape[2]):
        pair = (int(z.below[k]), int(z.above[k]))
        planes = {i: planes[i] if i in planes else _in_plane(data[:, :, i].T, x, y) for i in pair}
        total[...] = 0.0
        for corner in range(4):
            for i, weight in zip(pair, (z.weight_below[k], z.weight_above[k]), strict=True):
                np.multiply(planes[i][corner], weight, out=term)
                np.add(total, term, out=total)
        result[k] = total
    return result.transpose(2, 1, 0)


def _in_plane(plane: NDArray[Any], x: Neighbours, y: Neighbours) -> list[NDArray[np.float64]]:
    """Weighted values of the four voxels around every new place in a plane ``(y, x)``, in the order scipy adds them."""
    corners = []
    for columns, x_weight in ((x.below, x.weight_below), (x.above, x.weight_above)):
        for rows, y_weight in ((y.below, y.weight_below), (y.above, y.weight_above)):
            corner = plane[rows][:, columns] * x_weight
            corner *= y_weight[:, None]
            corners.append(corner)
    return corners


def _neighbours(n_old: int, n_new: int) -> Neighbours:
    """As scipy takes them: rounding may put the last place a hair beyond the last voxel, which then counts twice."""
    at = np.arange(n_new) * ((n_old - 1) / (n_new - 1) if n_new > 1 else 1.0)
    below = np.floor(np.minimum(at, n_old - 1)).astype(np.intp)
    weight_below = 1.0 - (at - below)
    return Neighbours(below, np.minimum(below + 1, n_old - 1), weight_below, 1.0 - weight_below)
