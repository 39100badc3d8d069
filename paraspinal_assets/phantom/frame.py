"""Where things lie in a phantom: coordinates in mm, the course of the spine, the extent of each level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.phantom.parameters import PHANTOM_LEVELS, PhantomParameters

Floats = NDArray[np.float32]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """Coordinates in mm as arrays that broadcast to the phantom's shape.

    Attributes
    ----------
    x, y, z
        Shapes ``(x, 1, 1)``, ``(1, y, 1)``, ``(1, 1, z)``; z counts from the first slice.
    extents
        Level -> height of its lower and upper end plate.
    along
        Place along the thoracic spine: 1 at the top of T1, -1 at the bottom of T12; shape ``(1, 1, z)``.
    dx, dy
        Distance from the spine to the right and to the front; shapes ``(x, 1, z)`` and ``(1, y, z)``.
    radius
        Half depth of a vertebral body; shape ``(1, 1, z)``.
    """

    x: Floats
    y: Floats
    z: Floats
    extents: dict[str, tuple[float, float]]
    along: Floats
    dx: Floats
    dy: Floats
    radius: Floats

    def slices(self, lower: float, upper: float) -> slice:
        """Axial slices between two heights; an empty slice where none lies between them."""
        inside = np.flatnonzero((self.z[0, 0] >= lower) & (self.z[0, 0] <= upper))
        return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)

    def at(self, height: float) -> tuple[Floats, Floats, float]:
        """`dx`, `dy` (each one slice thick) and `radius` at one height."""
        k = int(np.clip(np.searchsorted(self.z[0, 0], height), 0, self.z.shape[2] - 1))
        return self.dx[:, :, k : k + 1], self.dy[:, :, k : k + 1], float(self.radius[0, 0, k])


def make_frame(p: PhantomParameters) -> Frame:
    """Coordinates and spine of a phantom."""
    nx, ny, nz = p.shape
    x: Any = ((np.arange(nx) - (nx - 1) / 2) * p.spacing[0]).astype(np.float32)[:, None, None]
    y: Any = ((np.arange(ny) - (ny - 1) / 2) * p.spacing[1]).astype(np.float32)[None, :, None]
    z: Any = (np.arange(nz) * p.spacing[2]).astype(np.float32)[None, None, :]
    extents = _extents(p)
    upper, lower = extents["T1"][1], extents["T12"][0]
    along = (z - (upper + lower) / 2) / ((upper - lower) / 2)
    spine_y = p.centre[1] - p.half_depth * p.spine_depth + p.kyphosis * (along**2 - 0.5)
    spine_x = p.centre[0] + p.scoliosis * np.sin(along * 2.2 + p.scoliosis_phase)
    radius = (11.5 + 5.0 * (1 - (along + 1) / 2)) * p.scale
    return Frame(x, y, z, extents, along, x - spine_x, y - spine_y, radius)


def _extents(p: PhantomParameters) -> dict[str, tuple[float, float]]:
    """Lower and upper end plate of each level; bodies grow from T1 to L2."""
    first, last = 17.0 * p.scale, 22.5 * p.scale
    heights = {level: first + (last - first) * (i - 2) / 11 for i, level in enumerate(PHANTOM_LEVELS)}
    extents: dict[str, tuple[float, float]] = {}
    upper = (p.shape[2] - 1) * p.spacing[2] - p.top
    for level in PHANTOM_LEVELS[2:]:
        extents[level] = (upper - heights[level], upper)
        upper -= heights[level] + p.disc
    lower = extents["T1"][1] + p.disc
    for level in ("C7", "C6"):
        extents[level] = (lower, lower + heights[level])
        lower += heights[level] + p.disc
    return extents
