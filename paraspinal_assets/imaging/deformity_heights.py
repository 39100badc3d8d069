"""Heights of one vertebral body on its own mid-sagittal plane, below voxel resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.imaging.volume import Volume

MIN_VOXELS: Final = 60
"""A body of fewer voxels is a stray piece of segmentation."""
MIN_HEIGHT_MM: Final = 2.0
SLAB_MM: Final = 5.0
"""Width of the mid-sagittal slab over which walls and middle height are averaged."""
CENTRAL: Final = 0.5
"""Fraction of the width over which endplates are sampled."""
NEXT_TO_WALL: Final = 0.35
"""Fraction of the depth from which the height at a wall is told."""
STEP_MM: Final = 0.5
"""Sampling step along a column."""
SPACING_MM: Final = 1.0
"""Distance between columns whose heights are measured."""
AXIS_ROUNDS: Final = 4
"""Rounds of turning the axes onto the endplates; three are enough for 20 degrees."""
WALL: Final = 0.06
"""Fraction of the depth at either wall left out: corners are rounded and carry osteophytes."""

_Vector = NDArray[np.float64]
Box = tuple[slice, ...]
Boxes = list[Box | None]


@dataclass(frozen=True)
class Heights:
    """Anterior, middle and posterior height of a vertebral body, mm."""

    anterior: float
    middle: float
    posterior: float

    @property
    def tallest(self) -> float:
        """The largest of the three."""
        return max(self.anterior, self.middle, self.posterior)


def label_boxes(labels: Volume) -> Boxes:
    """Bounding box of every label value from 1 on; None where a value does not occur."""
    return list(ndimage.find_objects(labels.data))


def body_heights(labels: Volume, level: str, boxes: Boxes) -> Heights | str:
    """Heights of a level's body, or the reason code why there are none.

    The outline is that of the largest piece of the body, interpolated between voxels. Endplate distances
    are taken along the body's own up axis. Anterior and posterior height are those at the two walls, on the
    mid-sagittal plane, of surfaces fitted to the columns; middle height is the mean of such a surface's and of
    the columns' own over the middle fifth of a slab `SLAB_MM` wide.
    """
    body = body_label(level)
    box, rest_box = _box(boxes, body), _box(boxes, rest_label(level))
    if box is None:
        return "level_absent" if rest_box is None else "no_body"
    if _touches_border(labels, box):
        return "touches_fov_border"
    mask = _largest_piece(labels.data[box] == body)
    if mask.sum() < MIN_VOXELS or min(mask.shape) < 3:
        return "too_few_voxels"
    outline = _Outline(np.pad(mask, 1), [axis.start - 1 for axis in box], labels.affine)
    axes = _first_axes(outline, _rest_centre(labels, level, rest_box))
    for _ in range(AXIS_ROUNDS):
        axes = _turn_to_endplates(outline, axes)
    return _heights(outline, axes)


class _Outline:
    """A body mask that can be asked for its lower and upper edge along lines through it."""

    def __init__(self, mask: NDArray[np.bool_], start: list[int], affine: NDArray[np.float64]) -> None:
        self.mask = mask.astype(np.float32)
        self.rotation = affine[:3, :3]
        index = np.argwhere(mask)
        points = (index + start) @ self.rotation.T + affine[:3, 3]
        self.centre: _Vector = points.mean(axis=0)
        self._points = points - self.centre
        self._to_index = np.linalg.inv(self.rotation)
        self._origin = index.mean(axis=0)
        self._corners = _corners_inside(mask)

    def edges(self, origins: NDArray[np.float64], direction: _Vector) -> NDArray[np.float64]:
        """Lowest and highest crossing of lines with the outline.

        Parameters
        ----------
        origins
            Points on the lines, mm relative to the centre and at its height along `direction`; shape
            ``(n, 3)``.
        direction
            Unit vector of all the lines.

        Returns
        -------
        Distances from the origin along the line, mm, shape ``(n, 2)``; NaN where a line misses the body.
        """
        reach = self._points @ direction
        beyond = float(np.abs(self.rotation.T @ direction).sum())  # the outline ends within one voxel
        first, last = (int(end / STEP_MM) for end in (reach.min() - beyond, reach.max() + beyond))
        along: NDArray[np.float64] = STEP_MM * np.arange(first - 1, last + 2, dtype=np.float64)
        points = origins[:, None, :] + along[:, None] * direction
        index = points.reshape(-1, 3) @ self._to_index.T + self._origin
        inside = self._inside(index.T).reshape(points.shape[:2])
        hit = inside >= np.float32(0.5)
        low = np.argmax(hit, axis=1)
        high = hit.shape[1] - 1 - np.argmax(hit[:, ::-1], axis=1)
        edges = np.stack([_crossing(inside, along, low, -1), _crossing(inside, along, high, 1)], axis=1)
        edges[~hit.any(axis=1)] = np.nan
        return edges

    def _inside(self, index: NDArray[np.float64]) -> NDArray[np.float32]:
        """The mask at voxel indices of shape ``(3, n)``, interpolated next to its surface and known elsewhere."""
        _, ny, nz = self._corners.shape
        x, y, z = (
            np.clip(line + 1, 0, size - 1).astype(np.intp)
            for line, size in zip(index, self._corners.shape, strict=True)
        )
        corners = self._corners.ravel()[(x * ny + y) * nz + z]
        inside: NDArray[np.float32] = (corners == 8).astype(np.float32)
        surface = np.flatnonzero((corners > 0) & (corners < 8))
        inside[surface] = ndimage.map_coordinates(self.mask, index[:, surface], order=1, mode="constant")
        return inside


def _corners_inside(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How many corners of each cell between eight voxel centres lie in the mask.

    Cell ``(i + 1, j + 1, k + 1)`` starts at voxel ``(i, j, k)``; around the mask lies a layer of empty cells.
    """
    cells = np.pad(mask, 1).view(np.uint8)
    for axis in range(3):
        cells = np.moveaxis(cells, axis, 0)
        cells = np.moveaxis(cells[:-1] + cells[1:], 0, axis)
    return np.ascontiguousarray(cells)


def _crossing(
    inside: NDArray[np.float32], along: NDArray[np.float64], at: NDArray[np.intp], side: int
) -> NDArray[np.float64]:
    """Where the value falls through one half between a sample inside and its neighbour outside."""
    line = np.arange(len(at))
    beyond = np.clip(at + side, 0, len(along) - 1)
    here, there = inside[line, at], inside[line, beyond]
    fraction = (here - 0.5) / np.maximum(here - there, 1e-6)
    return np.asarray(along[at] + side * STEP_MM * np.clip(fraction, 0, 1))


def _box(boxes: Boxes, label: int) -> Box | None:
    return boxes[label - 1] if label <= len(boxes) else None


def _touches_border(labels: Volume, box: Box) -> bool:
    return any(
        axis.start + first == 0 or axis.stop + first == size
        for axis, first, size in zip(box, labels.offset, labels.image_shape, strict=True)
    )


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    return np.asarray(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))


def _rest_centre(labels: Volume, level: str, box: Box | None) -> _Vector | None:
    """Centre of the posterior elements, mm; None where there are hardly any."""
    if box is None:
        return None
    index = np.argwhere(labels.data[box] == rest_label(level))
    if len(index) < MIN_VOXELS:
        return None
    centre = index.mean(axis=0) + [axis.start for axis in box]
    return np.asarray(centre @ labels.affine[:3, :3].T + labels.affine[:3, 3])


def _first_axes(outline: _Outline, posterior: _Vector | None) -> NDArray[np.float64]:
    """Right, forward, up as rows: up is the world's, forward points away from the posterior elements."""
    up = np.array([0.0, 0.0, 1.0])
    forward = np.array([0.0, 1.0, 0.0])
    if posterior is not None:
        away = outline.centre - posterior
        away[2] = 0.0
        if np.linalg.norm(away) > 1.0 and away[1] > 0:
            forward = away
    return _square(forward, up)


def _square(forward: _Vector, up: _Vector) -> NDArray[np.float64]:
    """Orthonormal right, forward, up; up is kept, forward made square to it."""
    up = up / np.linalg.norm(up)
    forward = forward - up * float(forward @ up)
    forward = forward / np.linalg.norm(forward)
    return np.stack([np.cross(forward, up), forward, up])


def _turn_to_endplates(outline: _Outline, axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn up onto the bisector of the two endplates, in the sagittal and in the coronal plane."""
    columns = _columns(outline, axes)
    if columns is None:
        return axes
    design = np.stack([np.ones_like(columns.right), columns.right, columns.depth * columns.length], axis=1)
    _, tilt, flexion = np.linalg.lstsq(design, columns.middle, rcond=None)[0]
    right, forward, up = axes
    return _square(forward, up - tilt * right - flexion * forward)


@dataclass(frozen=True)
class _Columns:
    """Lines from endplate to endplate: place, height and middle, each of shape ``(n,)``; mm."""

    right: NDArray[np.float64]
    depth: NDArray[np.float64]
    """From 0 at the posterior wall to 1 at the anterior wall, both on the mid-sagittal plane."""
    height: NDArray[np.float64]
    middle: NDArray[np.float64]
    length: float
    """Distance between the walls."""


def _columns(outline: _Outline, axes: NDArray[np.float64]) -> _Columns | None:
    """Columns over the central half of the body's width; None where the body has no clear walls."""
    right, forward, up = axes
    sides = outline.edges(np.zeros((1, 3)), right)[0]
    if not np.isfinite(sides).all():
        return None
    # The walls are taken at mid-height over a narrow slab, so that one stray voxel does not move them.
    lateral = sides.mean() + np.linspace(-SLAB_MM / 2, SLAB_MM / 2, 5)
    walls = outline.edges(lateral[:, None] * right, forward)
    if not np.isfinite(walls).all():
        return None
    back, front = np.median(walls, axis=0)
    length = float(front - back)
    half_width = CENTRAL * float(sides[1] - sides[0]) / 2
    x = np.arange(-half_width, half_width + SPACING_MM / 2, SPACING_MM)
    depth = np.arange(WALL, 1 - WALL, SPACING_MM / length)
    if len(x) < 3 or len(depth) < 6:
        return None
    x, depth = (grid.ravel() for grid in np.meshgrid(x, depth, indexing="ij"))
    origins = (x + sides.mean())[:, None] * right + (back + depth * length)[:, None] * forward
    edges = outline.edges(origins, up)
    hit = np.isfinite(edges).all(axis=1)
    if hit.mean() < 0.5:
        return None
    low, high = edges[hit].T
    return _Columns(x[hit], depth[hit], high - low, (low + high) / 2, length)


def _heights(outline: _Outline, axes: NDArray[np.float64]) -> Heights | str:
    """Heights at the walls and in the middle, from columns over the central part of the body."""
    columns = _columns(outline, axes)
    if columns is None:
        return "bad_geometry"
    x, depth = columns.right, columns.depth
    central = (np.abs(depth - 0.5) <= 0.1) & (np.abs(x) <= SLAB_MM / 2)
    if not central.any():
        return "bad_geometry"
    surface = np.linalg.lstsq(_parabola(depth, x), columns.height, rcond=None)[0]
    found = Heights(
        anterior=_at_wall(1 - depth, x, columns.height),
        # The mean alone follows the stairs of the voxels, where an endplate lies along the slices.
        middle=float(columns.height[central].mean() + surface @ (1, 0.5, 0.25, 0, 0, 0)) / 2,
        posterior=_at_wall(depth, x, columns.height),
    )
    low = min(found.anterior, found.middle, found.posterior)
    return found if low >= MIN_HEIGHT_MM else "bad_geometry"


def _at_wall(from_wall: NDArray[np.float64], x: NDArray[np.float64], heights: NDArray[np.float64]) -> float:
    """Height at a wall: mean of a parabola over the whole depth and a line over the part next to the wall.

    Both average the stairs of the voxels away. The parabola is right for evenly curved endplates and
    overshoots where they are flat next to the wall; the line errs less there, and falls short of a curve.
    """
    near = from_wall <= NEXT_TO_WALL
    if near.sum() < 6:
        return float("-inf")
    ones = np.ones_like(x)
    line = np.stack([ones, from_wall, x, x**2], axis=1)[near]
    whole = np.linalg.lstsq(_parabola(from_wall, x), heights, rcond=None)[0][0]
    part = np.linalg.lstsq(line, heights[near], rcond=None)[0][0]
    return float(whole + part) / 2


def _parabola(depth: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Terms of a surface of second degree over depth (a fraction) and width (mm), shape ``(n, 6)``."""
    return np.stack([np.ones_like(x), depth, depth**2, x, x**2, x * depth], axis=1)
