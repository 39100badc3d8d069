"""Volume inside the triangulated surface of a mask, as PyRadiomics' `MeshVolume`.

The surface passes halfway between voxel centres (marching cubes). What a cube of eight centres adds to the
volume depends only on which of its corners lie inside, so the volume is a sum over cubes of two numbers looked
up in a table; no triangle is ever built.

Sources: Lorensen and Cline, SIGGRAPH 1987; PyRadiomics 3.1.0, feature class `shape`. PyRadiomics looks up only
the cubes whose last corner is outside and mirrors the others. Where inside corners meet diagonally on a face the
surface is then not closed, and its volume depends on the image's axes: those of the files most converters
write (left, anterior, superior) are used here, whatever the axes of the file at hand.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

_CORNERS: Final = np.array(
    [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)]
)
"""Corners of a cube as (z, y, x), in the order of the bits of a cube's code."""

_INSIDE_VOLUME_96THS: Final = {
    (0, 0, 0): 0, (1, 0, 0): 2, (2, 0, 0): 4, (2, 0, 1): 4, (2, 1, 0): 12, (3, 0, 3): 6, (3, 1, 1): 14,
    (3, 2, 1): 34, (4, 0, 6): 8, (4, 2, 2): 24, (4, 2, 3): 36, (4, 3, 2): 48, (4, 3, 3): 48, (4, 4, 2): 48,
    (5, 3, 6): 50, (5, 4, 4): 66, (5, 5, 4): 62, (6, 6, 6): 92, (6, 6, 7): 76, (6, 7, 6): 84, (7, 9, 9): 94,
    (8, 12, 12): 96,
}  # fmt: skip
"""Volume of the inside within one cube, by (corners inside, edges and face diagonals that join two of them).

Corners that meet only diagonally are kept apart. Two rare classes have a surface polygon that does not lie in a
plane and can be triangulated in ways that differ by up to 1/8 voxel: (4, 3, 2) and (5, 4, 4).
"""

_INSIDE_AREA_8THS: Final = {(0, 0): 0, (1, 0): 1, (2, 1): 4, (2, 0): 2, (3, 2): 7, (4, 4): 8}
"""Area of the inside on one face, by (corners inside, edges that join two of them)."""


def mesh_volume_mm3(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """Volume in mm3 of the surface around a mask.

    Parameters
    ----------
    mask
        Shape ``(z, y, x)``, RAS+ order, cropped to its own extent.
    spacing
        Voxel edges in mm, in the same order.
    """
    padded = np.pad(mask[:, :, ::-1], 1).view(np.uint8)  # right to left: see the module's docstring
    codes = np.zeros([n - 1 for n in padded.shape], np.uint8)
    for bit, corner in enumerate(_CORNERS):
        window = tuple(slice(start, start + n) for start, n in zip(corner, codes.shape, strict=True))
        codes |= padded[window] << np.uint8(bit)
    constant, slope = _lookup()
    volume = float(np.bincount(codes.ravel(), minlength=256) @ constant)
    # a closed surface adds up to the same wherever the origin is; an open one is measured from the first voxel
    for axis in range(3):
        planes = np.moveaxis(codes, axis, 0)
        pull = [np.bincount(plane.ravel(), minlength=256) @ slope[:, axis] for plane in planes]
        volume += float(np.arange(len(pull)) @ np.array(pull))
    return volume * float(np.prod(spacing))


@cache
def _lookup() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a cube adds: a constant, shape ``(256,)``, plus its place times a slope, shape ``(256, 3)``.

    Both follow from the divergence theorem, volume = sum(place . area vector) / 3 over the surface: with the
    inside on the cube's own faces added the surface would be closed, which gives its area vector and, with the
    inside volume, its first moment.
    """
    constant, slope = np.zeros(256), np.zeros((256, 3))
    for code in range(128):  # the last corner is outside
        inside = [n for n in range(8) if code >> n & 1]
        faces = np.zeros(3)
        far_area = 0.0
        for axis in range(3):
            near, far = (_face_area([n for n in inside if _CORNERS[n][axis] == side]) for side in (0, 1))
            faces[axis] = far - near
            far_area += far
        edges, diagonals = _joined(inside, 1), _joined(inside, 2)
        volume = _INSIDE_VOLUME_96THS[len(inside), edges, diagonals] / 96
        constant[code], slope[code] = volume - far_area / 3, -faces / 3
        constant[255 - code], slope[255 - code] = -constant[code], -slope[code]
    return constant, slope


def _face_area(inside: list[int]) -> float:
    return _INSIDE_AREA_8THS[len(inside), _joined(inside, 1)] / 8


def _joined(inside: list[int], distance: int) -> int:
    """Pairs of corners that differ in so many coordinates."""
    return sum(int(np.abs(_CORNERS[a] - _CORNERS[b]).sum()) == distance for a, b in combinations(inside, 2))
