"""TotalSegmentator's way from a CT to labels, with the CT read once and the networks already in memory.

The same steps as the package's ``totalsegmentator(roi_subset=...)`` call, in memory instead of through files:
rough segmentation at 6 mm, crop with a margin, linear resampling, networks, nearest-neighbour resampling back.
Each step names the function it follows; a test compares the voxels with those of the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from totalsegmentator.map_to_binary import class_map, class_map_5_parts
from totalsegmentator.postprocessing import postprocess_vertebrae_pp

from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.segmenters.package import Network
from paraspinal_assets.segmenters.resampling import (
    Edges,
    Resampled,
    Slices,
    nearest_indices,
    resample_linear,
    resample_nearest,
    voxel_edges,
)
from paraspinal_assets.segmenters.weights import NetworkSpec

CROP_MARGIN_MM: Final = 20.0
"""Margin around the rough segmentation (``crop_addon`` of the call with ``roi_subset``)."""

TOTAL_NUMBERS: Final[dict[str, int]] = {name: number for number, name in class_map["total"].items()}
"""Class name -> number in the task ``total``."""

_PARTS: Final = {"vertebrae": "class_map_part_vertebrae", "muscles": "class_map_part_muscles"}
_BODY: Final = 1
"""Number of the vertebral bodies in the task ``vertebrae_body``; 2 is the discs."""
_NOWHERE: Final = (slice(0, 0), slice(0, 0), slice(0, 0))


@dataclass(frozen=True)
class Prediction:
    """Labels of one scan on the grid of its CT.

    Attributes
    ----------
    total
        Numbers of the task ``total``, wanted classes only, shape of the box.
    bodies
        Mask of the vertebral bodies, shape of the box; None where they were not asked for.
    box
        The part of the CT outside which nothing was looked for; None for all of it. Bodies beyond it are left
        out: only a vertebra tells which level a body belongs to.
    """

    total: NDArray[np.uint8]
    bodies: NDArray[np.bool_] | None
    box: Slices | None = None


def predict(
    volume: Volume,
    networks: Mapping[str, Network],
    classes: Sequence[str],
    *,
    prepared: Mapping[str, Resampled] | None = None,
    body_crop_mm: float | None = None,
    device: str = "cpu",
) -> Prediction:
    """Run the networks over one CT.

    Parameters
    ----------
    volume
        The CT, RAS+.
    networks
        By role: ``rough``; ``total``, or ``vertebrae`` and ``muscles``; ``bodies`` if wanted.
    classes
        Wanted classes of the task ``total``.
    prepared
        By role: the whole CT as `prepare` resampled it beforehand.
    body_crop_mm
        Look for bodies only around the vertebrae found, with this margin; None looks everywhere, as the
        task ``vertebrae_body`` does.
    device
        Where the CT is resampled.
    """
    shape = volume.data.shape
    wanted = np.zeros(256, dtype=bool)
    wanted[[TOTAL_NUMBERS[name] for name in classes]] = True
    edges = voxel_edges(volume.affine)

    network = networks["rough"]
    ready = prepared or {}
    spacing = network.spec.spacing_mm
    image = ready.get("rough") or resample_linear(volume.data, volume.affine, spacing, device=device)
    box = box_around(wanted[network(image.data, image.edges)], shape, CROP_MARGIN_MM, edges) or _NOWHERE
    total = np.zeros(tuple(part.stop - part.start for part in box), dtype=np.uint8, order="F")
    bodies = np.zeros(total.shape, dtype=np.bool_, order="F") if "bodies" in networks else None
    if total.size:
        total[...] = _total(volume.data[box], volume.affine, networks, wanted, device)
    if bodies is None or not total.size:
        return Prediction(total, bodies, box)

    network = networks["bodies"]
    where: Slices | None = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    if body_crop_mm is not None:
        vertebrae = np.zeros(shape, dtype=np.bool_, order="F")
        numbers = [n for name, n in TOTAL_NUMBERS.items() if name.startswith("vertebrae")]
        vertebrae[box] = np.isin(total, numbers)
        where = box_around(vertebrae, shape, body_crop_mm, edges)
    if where is not None:
        part, spacing = volume.data[where], network.spec.spacing_mm
        image = ready.get("bodies") or resample_linear(part, volume.affine, spacing, device=device)
        both = _overlap(where, box)
        bodies[_within(both, box)] = resample_nearest(
            bodies_of(image, network), part.shape, _within(both, where)
        )
    return Prediction(total, bodies, box)


def prepare(
    volume: Volume, specs: Iterable[NetworkSpec], *, body_crop_mm: float | None, device: str = "cpu"
) -> dict[str, Resampled]:
    """What can be resampled before any network has run: the whole CT, for those that look at it whole."""
    roles = ("rough",) if body_crop_mm is not None else ("rough", "bodies")
    return {
        spec.role: resample_linear(volume.data, volume.affine, spec.spacing_mm, device=device)
        for spec in specs
        if spec.role in roles
    }


def _total(
    part: NDArray[Any],
    affine: NDArray[np.float64],
    networks: Mapping[str, Network],
    wanted: NDArray[np.bool_],
    device: str,
) -> NDArray[np.uint8]:
    """Numbers of the task ``total`` in a cropped CT (``nnUNet_predict_image``)."""
    if part.dtype.kind == "f":
        part = part.astype(np.int32)  # crop_to_mask truncates before it resamples
    if "total" in networks:
        image = resample_linear(part, affine, networks["total"].spec.spacing_mm, device=device)
        combined = networks["total"](image.data, image.edges)
    else:
        image = resample_linear(part, affine, networks["muscles"].spec.spacing_mm, device=device)
        combined = np.zeros(image.data.shape, dtype=np.uint8)
        for role, name in _PARTS.items():
            mapped = _part_table(name)[networks[role](image.data, image.edges)]
            np.copyto(combined, mapped, where=mapped != 0)
    return resample_nearest(np.where(wanted[combined], combined, 0).astype(np.uint8), part.shape)


def bodies_of(image: Resampled, network: Network) -> NDArray[np.bool_]:
    """Mask of the vertebral bodies in an image at the network's spacing.

    The task ``vertebrae_pp`` shrinks bodies before it tells them apart; its own postprocessing makes them whole.
    """
    labels = network(image.data, image.edges)
    if network.spec.task == "vertebrae_body":
        return np.equal(labels, _BODY)
    edges = tuple(float(edge) for edge in image.edges)
    whole: NDArray[np.uint8] = postprocess_vertebrae_pp(
        labels, class_map[network.spec.task], voxel_volume=float(np.prod(edges)), voxel_spacing=edges
    )
    return np.greater(whole, 0)


def _part_table(name: str) -> NDArray[np.uint8]:
    """Number in one network of the task ``total`` -> number in the task; 0 for what it does not know.

    All classes take part, wanted or not: where a later network finds one that is not wanted, such as the
    spinal cord, it takes the voxel from the earlier network before unwanted classes are dropped.
    """
    table = np.zeros(256, dtype=np.uint8)
    for number, class_name in class_map_5_parts[name].items():
        table[number] = TOTAL_NUMBERS[class_name]
    return table


def box_around(
    mask: NDArray[np.bool_], shape: Sequence[int], margin_mm: float, edges: Edges
) -> Slices | None:
    """Box of a mask with a margin, in a grid of another size (``crop_to_mask``); None for an empty mask.

    Parameters
    ----------
    mask
        At any resolution over the same field of view, corner voxels aligned.
    shape, edges
        Size of the grid in which the box is wanted, and its voxel edges in mm.
    margin_mm
        Added on every side, rounded down to voxels.
    """
    margins = (margin_mm / edges.astype(np.float64)).astype(int)
    box = []
    for axis, index in enumerate(nearest_indices(mask.shape, shape)):
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(np.any(mask, axis=others)[index])
        if not hits.size:
            return None
        low, high = int(hits[0]) - int(margins[axis]), int(hits[-1]) + 1 + int(margins[axis])
        box.append(slice(max(0, low), min(int(shape[axis]), high)))
    return (box[0], box[1], box[2])


def _overlap(a: Slices, b: Slices) -> Slices:
    x, y, z = (
        slice(max(p.start, q.start), max(p.start, q.start, min(p.stop, q.stop)))
        for p, q in zip(a, b, strict=True)
    )
    return x, y, z


def _within(part: Slices, box: Slices) -> Slices:
    """A part of a volume in the coordinates of a box of the same volume."""
    x, y, z = (slice(p.start - q.start, p.stop - q.start) for p, q in zip(part, box, strict=True))
    return x, y, z
