"""Putting masks of several classes into one label volume."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, SPINE, body_label, rest_label


def class_value(name: str) -> int:
    """Label value of a class; a vertebra starts as one piece (its ``rest`` value), bodies are set later."""
    if name == "autochthon_left":
        return AUTOCHTHON_LEFT
    if name == "autochthon_right":
        return AUTOCHTHON_RIGHT
    return rest_label(name.removeprefix("vertebrae_"))


_TO_BODY: Final[NDArray[np.uint8]] = np.arange(256, dtype=np.uint8)
for _level in SPINE:
    _TO_BODY[rest_label(_level)] = body_label(_level)


class LabelComposer:
    """Collects masks; where two overlap, the one that came first keeps the voxel.

    A vertebra that lies wholly inside others in a slice gets one of their voxels there: the slab of a level
    is made of the slices of its mask, and would else be cut short.

    Parameters
    ----------
    shape
        Shape ``(x, y, z)`` of the label volume.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        # Fortran order, as NIfTI files are: axial slices are contiguous
        self.labels: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8, order="F")
        self.overlapping_voxels = 0
        self.has_bodies = False

    def add(self, name: str, mask: NDArray[np.bool_]) -> None:
        """Add the mask, shape of the volume, of one class."""
        slices = np.flatnonzero(mask.any(axis=(0, 1)))
        if not slices.size:
            return
        part = (slice(None), slice(None), slice(int(slices[0]), int(slices[-1]) + 1))
        wanted = mask[part]
        free = wanted & (self.labels[part] == 0)
        overlapping = np.count_nonzero(wanted) - np.count_nonzero(free)
        self.labels[part][free] = class_value(name)
        if overlapping:
            self.overlapping_voxels += int(overlapping)
            for z in np.flatnonzero(wanted.any(axis=(0, 1)) & ~free.any(axis=(0, 1))):
                self._take_a_voxel(self.labels[part][:, :, z], wanted[:, :, z], class_value(name))

    @staticmethod
    def _take_a_voxel(plane: NDArray[np.uint8], mask: NDArray[np.bool_], value: int) -> None:
        """Give the mask one voxel of a vertebra that keeps others in this slice, if there is such a one."""
        spare = np.bincount(plane.ravel(), minlength=256) > 1
        spare[[0, AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT]] = False
        found = np.argwhere(mask & spare[plane])
        if len(found):
            plane[tuple(found[0])] = value

    def add_values(self, data: NDArray[np.uint8 | np.uint16], values: dict[str, int]) -> None:
        """Add the classes of a multi-label volume, given the value of each class in it."""
        table = np.zeros(max(int(data.max(initial=0)), *values.values()) + 1, dtype=np.uint8)
        for name, value in values.items():
            table[value] = class_value(name)
        self.labels[...] = table[data]

    def add_bodies(self, mask: NDArray[np.bool_]) -> None:
        """Mark the vertebral bodies: a vertebra's voxels inside the mask become its ``body`` value.

        Voxels of the mask outside every vertebra, such as bodies of levels that are not wanted, are left out:
        only the vertebra tells which level a body belongs to.
        """
        self.has_bodies = True
        np.copyto(self.labels, _TO_BODY[self.labels], where=mask)
