"""A volume in memory: voxels in RAS+ order with their affine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Volume:
    """Voxels with their place in the world, possibly cut out of a larger image.

    Attributes
    ----------
    data
        Shape ``(x, y, z)``, axes in RAS+ order (right, anterior, superior are increasing).
        Hounsfield units (int16, or float32 if the file is not integral), or uint8 labels.
    affine
        Shape ``(4, 4)``, float64: voxel index of *this* array to millimetres (RAS+).
    offset
        Index of ``data[0, 0, 0]`` in the whole image.
    full_shape
        Shape of the whole image; that of `data` when nothing was cut.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    offset: tuple[int, int, int] = (0, 0, 0)
    full_shape: tuple[int, int, int] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of the whole image this volume was cut from."""
        shape = self.data.shape if self.full_shape is None else self.full_shape
        return (int(shape[0]), int(shape[1]), int(shape[2]))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edge lengths in mm along x, y, z."""
        edges = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return (float(edges[0]), float(edges[1]), float(edges[2]))

    @classmethod
    def empty(cls, dtype: str) -> Volume:
        """One background voxel: measuring it finds every structure absent."""
        return cls(np.zeros((1, 1, 1), dtype), np.eye(4))

    def placed(self, offset: tuple[int, int, int], full_shape: tuple[int, int, int]) -> Volume:
        """The same voxels, known to be a cut of a larger image."""
        return replace(self, offset=offset, full_shape=full_shape)
