"""Reading the grid of a CT and the voxels of a mask or label file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.imaging.geometry import Orientation
from paraspinal_assets.imaging.nifti import PlaneStream
from paraspinal_assets.segmenters.grids import Grid


def grid_of_file(path: Path) -> Grid:
    """Grid of the image in a NIfTI file once it is in RAS+ orientation; reads and checks the header only.

    Raises
    ------
    VolumeError
        As `imaging.volume_io.read_volume` for a header that does not hold together.
    """
    with PlaneStream(path) as stream:
        shape, affine = stream.header.shape, stream.header.affine
    turn = Orientation.closest(affine)
    return Grid(turn.shape(shape), turn.affine(affine, shape))


def read_labels(path: Path) -> tuple[NDArray[Any], Grid]:
    """Voxels in RAS+ order and their grid; an empty mask is a mask, unlike an empty CT.

    Integers where the file holds whole numbers, of the stored type if it is not scaled. The file is checked
    to its end.

    Raises
    ------
    VolumeError
        As `imaging.volume_io.read_volume`.
    """
    with PlaneStream(path) as stream:
        header = stream.header
        stored = np.empty(header.shape[::-1], dtype=header.dtype.newbyteorder("="))
        for k, plane in stream.planes():
            stored[k] = plane
    data: NDArray[Any] = stored * header.slope + header.intercept if header.scaled else stored
    if data.dtype.kind == "f" and np.array_equal(data, np.rint(data)):
        data = data.astype(np.int32)
    turn = Orientation.closest(header.affine)
    grid = Grid(turn.shape(header.shape), turn.affine(header.affine, header.shape))
    return turn.array(data.transpose(2, 1, 0)), grid


def header_extensions(path: Path) -> list[str]:
    """Texts of the extensions of a NIfTI header."""
    import nibabel

    texts = []
    load: Any = nibabel.load  # its own annotations lack what its images have
    for extension in load(path).header.extensions:
        content = extension.get_content()
        texts.append(content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content))
    return texts
