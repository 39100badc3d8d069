"""Orientation: from the axes of a file to RAS+, and whether two images share one grid.

Source: NIfTI-1.1, section "orientation and location in space" (methods 2 and 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import VolumeError
from paraspinal_assets.imaging.volume import Volume

SHEAR_TOLERANCE: Final = 1e-4
"""Largest cosine between two axes that still counts as a right angle: float32 headers reach about 1e-7."""

FORM_TOLERANCE: Final = 0.5
"""Largest distance between sform and qform at any image corner, in voxel edges."""

SPACING_TOLERANCE: Final = 1e-3
"""Largest relative difference between `pixdim` and the length of the affine's columns."""

GRID_TOLERANCE_MM: Final = 0.05
"""Largest distance between two grids at any image corner, in mm, for them to count as one."""


def disk_affine(
    pixdim: Sequence[float],
    codes: Sequence[int],
    quaternion: Sequence[float],
    srows: Sequence[float],
    shape: Sequence[int],
    path: Path,
) -> NDArray[np.float64]:
    """Stored index to millimetres, from the header's sform, or its qform where there is no sform.

    Raises
    ------
    VolumeError
        E-VOL-06 if neither is given (left and right would be a guess), if both are given and contradict each
        other, if the axes are not at right angles, or if the spacing contradicts the affine.
    """
    qform_code, sform_code = codes
    forms = []
    if sform_code > 0:
        forms.append(np.vstack([np.reshape(np.asarray(srows, np.float64), (3, 4)), [0, 0, 0, 1]]))
    if qform_code > 0:
        forms.append(_qform(pixdim, quaternion))
    if not forms:
        raise VolumeError(
            "E-VOL-06",
            f"{path}: has neither sform nor qform, so left and right are not known",
            "convert it again with a converter that writes the orientation",
        )
    for affine in forms:
        _check_affine(affine, pixdim, path)
    gap = _corner_distance(forms[0], forms[-1], shape)
    if gap > FORM_TOLERANCE * min(pixdim[1:4]):
        raise VolumeError(
            "E-VOL-06",
            f"{path}: sform and qform differ by {gap:.2f} mm:\n{forms[0]}\n{forms[1]}",
            "remove the wrong one of the two, or convert again",
        )
    return forms[0]


def _qform(pixdim: Sequence[float], quaternion: Sequence[float]) -> NDArray[np.float64]:
    b, c, d, *origin = (float(v) for v in quaternion)
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (np.asarray(pixdim[1:4], np.float64) * (1, 1, handedness))
    affine[:3, 3] = origin
    return affine


def quaternion_of(
    affine: NDArray[np.float64],
) -> tuple[tuple[float, ...], float, tuple[float, float, float]]:
    """Voxel edges, handedness (+1 or -1) and the parts b, c, d of the qform's unit quaternion, a >= 0."""
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    rotation = affine[:3, :3] / edges
    handedness = 1.0 if np.linalg.det(rotation) > 0 else -1.0
    rotation[:, 2] *= handedness
    # the quaternion is the eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric matrix
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    matrix = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    a, b, c, d = np.linalg.eigh(matrix)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return tuple(edges.tolist()), handedness, (float(sign * b), float(sign * c), float(sign * d))


def _check_affine(affine: NDArray[np.float64], pixdim: Sequence[float], path: Path) -> None:
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    spacing = np.asarray(pixdim[1:4], np.float64)
    problem = None
    if (
        not np.isfinite(affine).all()
        or not np.isfinite(spacing).all()
        or edges.min() <= 0
        or spacing.min() <= 0
    ):
        problem = "is not finite or has an axis without length"
    elif (np.abs(edges - spacing) > SPACING_TOLERANCE * spacing).any():
        problem = (
            f"has voxel edges {edges.round(5).tolist()} where the spacing says {spacing.round(5).tolist()}"
        )
    elif (worst := _worst_cosine(affine)) > SHEAR_TOLERANCE:
        problem = f"is sheared: two axes meet at a cosine of {worst:.2g}"
    if problem:
        raise VolumeError(
            "E-VOL-06",
            f"{path}: the affine {problem}:\n{affine}",
            "resample to a right-angled grid, or convert again",
        )


def _worst_cosine(affine: NDArray[np.float64]) -> float:
    axes = affine[:3, :3] / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _corner_distance(a: NDArray[np.float64], b: NDArray[np.float64], shape: Sequence[int]) -> float:
    corners = np.array(
        [[(i >> axis & 1) * (int(shape[axis]) - 1) for axis in range(3)] + [1] for i in range(8)]
    )
    return float(np.sqrt((((a - b) @ corners.T)[:3] ** 2).sum(axis=0)).max())


@dataclass(frozen=True)
class Orientation:
    """How the axes of a file become RAS+: canonical axis *a* is file axis ``source[a]``, reversed or not."""

    source: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]

    @classmethod
    def closest(cls, affine: NDArray[np.float64]) -> Orientation:
        """The right-angled turn that brings the file's axes closest to right, anterior, superior."""
        axes = affine[:3, :3] / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        x, y, z = max(
            permutations(range(3)), key=lambda p: abs(axes[0, p[0]]) + abs(axes[1, p[1]]) + abs(axes[2, p[2]])
        )
        return cls((x, y, z), (bool(axes[0, x] < 0), bool(axes[1, y] < 0), bool(axes[2, z] < 0)))

    def shape(self, stored: Sequence[int]) -> tuple[int, int, int]:
        """Shape in RAS+ order of a stored shape."""
        return (stored[self.source[0]], stored[self.source[1]], stored[self.source[2]])

    def affine(self, stored_affine: NDArray[np.float64], stored: Sequence[int]) -> NDArray[np.float64]:
        """RAS+ index to millimetres."""
        turn = np.zeros((4, 4))
        turn[3, 3] = 1
        for axis, (source, back) in enumerate(zip(self.source, self.reversed, strict=True)):
            turn[source, axis] = -1 if back else 1
            turn[source, 3] = stored[source] - 1 if back else 0
        return np.asarray(stored_affine @ turn, np.float64)

    def array(self, stored: NDArray[Any]) -> NDArray[Any]:
        """View in RAS+ order of an array indexed by the file's axes."""
        steps = tuple(slice(None, None, -1) if back else slice(None) for back in self.reversed)
        return stored.transpose(self.source)[steps]

    def stored_box(self, box: Box, stored: Sequence[int]) -> Box:
        """The same box, in the file's own index."""
        out = [(0, 0)] * 3
        for (start, stop), source, back in zip(box, self.source, self.reversed, strict=True):
            out[source] = (stored[source] - stop, stored[source] - start) if back else (start, stop)
        return (out[0], out[1], out[2])


Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Start and stop (exclusive) along each of three axes."""


def same_grid(
    a: NDArray[np.float64], a_shape: Sequence[int], b: NDArray[np.float64], b_shape: Sequence[int]
) -> bool:
    """Whether two RAS+ grids have one shape and corners within `GRID_TOLERANCE_MM` of each other."""
    return tuple(a_shape) == tuple(b_shape) and _corner_distance(a, b, a_shape) <= GRID_TOLERANCE_MM


def voxel_volume_mm3(affine: NDArray[np.float64]) -> float:
    """Volume of one voxel in mm3, as the triple product of its edges: exact on upright grids."""
    edges = affine[:3, :3].T
    return float(abs(np.cross(edges[0], edges[1]) @ edges[2]))


def crop(volume: Volume, box: Box) -> Volume:
    """The part of a volume within a box of its own index, with its affine and place (a view)."""
    (x0, x1), (y0, y1), (z0, z1) = box
    ox, oy, oz = volume.offset
    return Volume(
        volume.data[x0:x1, y0:y1, z0:z1],
        shifted(volume.affine, (x0, y0, z0)),
        (ox + x0, oy + y0, oz + z0),
        volume.image_shape,
    )


def shifted(affine: NDArray[np.float64], start: Sequence[int]) -> NDArray[np.float64]:
    """Affine of an array that starts at index `start` of the one that `affine` belongs to."""
    moved = np.array(affine, np.float64)
    moved[:3, 3] += affine[:3, :3] @ np.asarray(start, np.float64)
    return moved
