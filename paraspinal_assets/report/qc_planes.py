"""The planes a quality picture shows: slices along the curved spine and across it, ready to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.imaging.anatomy import LabelShape, label_box, label_shapes, level_centroids
from paraspinal_assets.imaging.labels import SPINE, body_label
from paraspinal_assets.imaging.volume import Volume

LONG_MARGIN_MM: Final = 25.0
"""Tissue shown above and below the labelled spine."""
SAGITTAL_DEPTH_MM: Final = 120.0
"""Front-to-back extent of the sagittal view: spine, muscle and skin behind it, great vessels before it."""
CORONAL_WIDTH_MM: Final = 120.0
"""Left-to-right extent of the coronal view."""
AXIAL_SIZE_MM: Final = (190.0, 130.0)
"""Left-right and front-back extent of an axial cut."""
AXIAL_BACKWARD_SHARE: Final = 0.66
"""Share of an axial cut that lies behind the vertebral centroid, where the muscle is."""
BODY_AHEAD_MM: Final = 14.0
"""How far the body lies before the centroid of a whole vertebra, where bodies are not labelled."""
REACH_MM: Final = 100.0
"""How far around the labels the views can reach: a crop of the scan with this margin gives the same picture."""
PREFERRED_AXIAL: Final = ("T2", "T6", "T10")


@dataclass(frozen=True)
class Plane:
    """One slice as it is looked at: row 0 is at the top, column 0 at the left.

    Attributes
    ----------
    grey, labels
        Hounsfield units and label values, same shape ``(rows, columns)``.
    size_mm
        Height and width in mm.
    marks
        Level name and its row, as a fraction of the height; only along-spine views carry them.
    """

    name: str
    grey: NDArray[Any]
    labels: NDArray[Any]
    size_mm: tuple[float, float]
    marks: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class PictureViews:
    """The five planes of a picture, and which levels were found."""

    sagittal: Plane
    coronal: Plane
    axial: tuple[Plane, ...]
    levels_found: tuple[str, ...]


def cut_views(ct: Volume, labels: Volume, levels: Sequence[str]) -> PictureViews:
    """Cut the planes of a quality picture.

    The sagittal and coronal views follow the spine: in each axial slice they take the row or column through
    the vertebral centroids (linear between them, constant beyond), so that a scoliotic or kyphotic spine
    stays in view. Without any vertebra they are straight, through the middle of what is labelled or of the
    image, and the axial cuts lie at a quarter, half and three quarters of the height.

    Parameters
    ----------
    ct, labels
        Same grid, shape ``(x, y, z)``, RAS+.
    levels
        The study's levels, head to foot.
    """
    shapes = label_shapes(labels.data)
    centroids = level_centroids(shapes, levels)
    path_x, path_y = _spine_path(labels, centroids)
    if centroids and not any(body_label(level) in shapes for level in centroids):
        ahead = round(BODY_AHEAD_MM / labels.spacing[1])
        path_y = np.minimum(path_y + ahead, labels.data.shape[1] - 1)
    rows = _long_range(labels, shapes)
    marks = _level_marks(centroids, rows)
    return PictureViews(
        sagittal=_sagittal(ct, labels, path_x, path_y, rows, marks),
        coronal=_coronal(ct, labels, path_x, path_y, rows, marks),
        axial=tuple(
            _axial(ct, labels, name, index, path_x, path_y)
            for name, index in _axial_cuts(centroids, levels, labels.data.shape[2])
        ),
        levels_found=tuple(centroids),
    )


def _spine_path(
    labels: Volume, centroids: Mapping[str, NDArray[np.float64]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Column and row of the spine in every axial slice, two arrays of shape ``(z,)``."""
    shape = labels.data.shape
    if centroids:
        points = np.array(sorted(centroids.values(), key=lambda point: float(point[2])))
        slices = np.arange(shape[2])
        x = np.interp(slices, points[:, 2], points[:, 0])
        y = np.interp(slices, points[:, 2], points[:, 1])
    else:
        box = label_box(labels.data)
        middle = [(part.start + part.stop - 1) / 2 for part in box] if box else [(n - 1) / 2 for n in shape]
        x, y = np.full(shape[2], middle[0]), np.full(shape[2], middle[1])
    return _as_index(x, shape[0]), _as_index(y, shape[1])


def _as_index(values: NDArray[np.float64], size: int) -> NDArray[np.intp]:
    return np.clip(np.rint(values), 0, size - 1).astype(np.intp)


def _long_range(labels: Volume, shapes: Mapping[int, LabelShape]) -> slice:
    """Axial slices shown by the along-spine views: the vertebrae with a margin, or everything."""
    vertebrae = [shape.box[2] for value, shape in shapes.items() if value > 2] or [
        s.box[2] for s in shapes.values()
    ]
    top = labels.data.shape[2]
    if not vertebrae:
        return slice(0, top)
    margin = round(LONG_MARGIN_MM / labels.spacing[2])
    return slice(
        max(min(part.start for part in vertebrae) - margin, 0),
        min(max(part.stop for part in vertebrae) + margin, top),
    )


def _level_marks(centroids: Mapping[str, NDArray[np.float64]], rows: slice) -> tuple[tuple[str, float], ...]:
    height = rows.stop - rows.start
    return tuple(
        (level, 1 - (float(point[2]) - rows.start + 0.5) / height) for level, point in centroids.items()
    )


def _window(centre: float, before_mm: float, after_mm: float, spacing: float, size: int) -> slice:
    """Index range from `before_mm` below `centre` to `after_mm` above it, clipped to the image."""
    start = max(int(centre - before_mm / spacing), 0)
    stop = min(int(np.ceil(centre + after_mm / spacing)) + 1, size)
    return slice(start, max(stop, start + 1))


def _sagittal(
    ct: Volume,
    labels: Volume,
    path_x: NDArray[np.intp],
    path_y: NDArray[np.intp],
    rows: slice,
    marks: tuple[tuple[str, float], ...],
) -> Plane:
    spacing = labels.spacing
    centre = float(np.median(path_y[rows]))
    front = _window(
        centre, SAGITTAL_DEPTH_MM * 0.62, SAGITTAL_DEPTH_MM * 0.38, spacing[1], labels.data.shape[1]
    )
    z = np.arange(rows.start, rows.stop)
    x = path_x[rows]
    # Anterior is at the left of the picture and superior at the top, so both axes are reversed.
    grey = ct.data[x, front, z][::-1, ::-1]
    shown = labels.data[x, front, z][::-1, ::-1]
    return Plane("Sagittal", grey, shown, (z.size * spacing[2], grey.shape[1] * spacing[1]), marks)


def _coronal(
    ct: Volume,
    labels: Volume,
    path_x: NDArray[np.intp],
    path_y: NDArray[np.intp],
    rows: slice,
    marks: tuple[tuple[str, float], ...],
) -> Plane:
    spacing = labels.spacing
    half = CORONAL_WIDTH_MM / 2
    width = _window(float(np.median(path_x[rows])), half, half, spacing[0], labels.data.shape[0])
    z = np.arange(rows.start, rows.stop)
    y = path_y[rows]
    # The patient's right is at the left of the picture, superior at the top.
    grey = ct.data[width, y, z].T[::-1, ::-1]
    shown = labels.data[width, y, z].T[::-1, ::-1]
    return Plane("Coronal", grey, shown, (z.size * spacing[2], grey.shape[1] * spacing[0]), marks)


def _axial_cuts(
    centroids: Mapping[str, NDArray[np.float64]], levels: Sequence[str], slices: int
) -> list[tuple[str, int]]:
    """Three cuts: at T2, T6 and T10, each at the nearest level where it is absent."""
    if not centroids:
        return [
            (f"slice {round(slices * share)}", min(round(slices * share), slices - 1))
            for share in (0.75, 0.5, 0.25)
        ]
    left = [level for level in levels if level in centroids]
    chosen: list[str] = []
    for wanted in PREFERRED_AXIAL[: len(left)]:
        nearest = min(left, key=lambda level: abs(SPINE.index(level) - SPINE.index(wanted)))
        chosen.append(nearest)
        left.remove(nearest)
    chosen.sort(key=SPINE.index)
    return [(level, int(np.clip(round(float(centroids[level][2])), 0, slices - 1))) for level in chosen]


def _axial(
    ct: Volume, labels: Volume, name: str, index: int, path_x: NDArray[np.intp], path_y: NDArray[np.intp]
) -> Plane:
    spacing = labels.spacing
    width_mm, height_mm = AXIAL_SIZE_MM
    x = _window(float(path_x[index]), width_mm / 2, width_mm / 2, spacing[0], labels.data.shape[0])
    back, front = height_mm * AXIAL_BACKWARD_SHARE, height_mm * (1 - AXIAL_BACKWARD_SHARE)
    y = _window(float(path_y[index]), back, front, spacing[1], labels.data.shape[1])
    # Radiological convention: looking from the feet, patient's right at the left, anterior at the top.
    grey = ct.data[x, y, index].T[::-1, ::-1]
    shown = labels.data[x, y, index].T[::-1, ::-1]
    return Plane(name, grey, shown, (grey.shape[0] * spacing[1], grey.shape[1] * spacing[0]))
