"""Reading and writing volumes: the right voxels in RAS+ order, or an error that says what is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from paraspinal_assets.errors import VolumeError
from paraspinal_assets.imaging.geometry import Box, Orientation, crop, same_grid, shifted
from paraspinal_assets.imaging.nifti import DEFAULT_MAX_BYTES, PlaneStream
from paraspinal_assets.imaging.nifti_header import Header, header_block
from paraspinal_assets.imaging.volume import Volume

_INT16: Final = np.iinfo(np.int16)
_GZIP_LEVEL: Final = 2


def read_volume(path: Path | str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Volume:
    """Read a CT or label volume whole, checked to its last byte.

    Parameters
    ----------
    path
        A single-file NIfTI-1 or -2, plain or gzipped (told from its content).
    max_bytes
        Largest voxel block that the header may claim.

    Returns
    -------
    Volume
        RAS+. uint8 if stored as unscaled uint8, int16 if every value is a whole number in its range,
        otherwise float32.

    Raises
    ------
    VolumeError
        E-VOL-01 to -10 and -13: header, size, checksum, dimensions, orientation, voxel type, NaN or infinity,
        a constant image, a twin file.
    """
    with PlaneStream(Path(path), max_bytes) as stream:
        header = stream.header
        whole: Box = ((0, header.shape[0]), (0, header.shape[1]), (0, header.shape[2]))
        stored = _read_box(stream, whole)
    turn = Orientation.closest(header.affine)
    return Volume(turn.array(stored), turn.affine(header.affine, header.shape))


def read_region(
    ct_path: Path | str,
    labels: Path | str | Volume,
    *,
    margin_mm: float = 10.0,
) -> tuple[Volume, Volume]:
    """Read the part of a CT that its labels occupy, plus a margin, without ever holding the whole CT.

    Parameters
    ----------
    ct_path
        The CT, as for `read_volume`; it is read and verified to its end.
    labels
        Label volume on the same grid (values 0 to 255): a file or a volume in memory.
    margin_mm
        Margin around the labels on every side, cut off at the edge of the image.

    Returns
    -------
    ct, labels
        Same shape, offset and affine; labels uint8. Labels without any voxel set give the single voxel at the
        origin, so that what follows finds every level absent.

    Raises
    ------
    VolumeError
        As `read_volume`; E-VOL-11 if the grids differ, E-VOL-12 if a label is no whole number from 0 to 255.
    """
    if isinstance(labels, Volume):
        occupied = occupied_box(labels.data)
        if labels.data[_slices(occupied)].any():
            occupied = _margin_box(labels, occupied, margin_mm)
        label_region = crop(labels, occupied)
    else:
        label_region = _read_label_region(Path(labels), margin_mm)
    with PlaneStream(Path(ct_path)) as stream:
        header = stream.header
        turn = Orientation.closest(header.affine)
        shape, affine = turn.shape(header.shape), turn.affine(header.affine, header.shape)
        label_affine = shifted(label_region.affine, [-o for o in label_region.offset])
        if not same_grid(affine, shape, label_affine, label_region.image_shape):
            raise VolumeError(
                "E-VOL-11",
                f"{ct_path} and its labels are on different grids: "
                f"shape {shape} and {label_region.image_shape}, affines\n{affine}\n{label_affine}",
                "segment this CT again, or allow resampling of the labels in the study file",
            )
        starts, sizes = label_region.offset, label_region.data.shape
        (x, y, z), (nx, ny, nz) = starts, sizes
        box: Box = ((x, x + nx), (y, y + ny), (z, z + nz))
        stored = _read_box(stream, turn.stored_box(box, header.shape))
    return Volume(turn.array(stored), shifted(affine, starts), starts, shape), label_region


def occupied_box(labels: NDArray[Any]) -> Box:
    """Smallest box around the non-zero voxels of a 3-D array; the origin voxel where there are none."""
    flat = np.zeros(labels.shape[:2], bool)
    planes = np.zeros(labels.shape[2], bool)
    for z in range(labels.shape[2]):
        plane = labels[:, :, z] != 0
        planes[z] = plane.any()
        if planes[z]:
            flat |= plane
    if not planes.any():
        return ((0, 1), (0, 1), (0, 1))
    return (_span(flat.any(axis=1)), _span(flat.any(axis=0)), _span(planes))


def _slices(box: Box) -> tuple[slice, slice, slice]:
    return slice(*box[0]), slice(*box[1]), slice(*box[2])


def _span(line: Any) -> tuple[int, int]:
    hits = np.flatnonzero(line)
    return int(hits[0]), int(hits[-1]) + 1


def _margin_box(volume: Volume, box: Box, margin_mm: float) -> Box:
    pads = [int(np.ceil(margin_mm / edge)) for edge in volume.spacing]
    out = [
        (max(0, start - pad), min(size, stop + pad))
        for (start, stop), pad, size in zip(box, pads, volume.data.shape, strict=True)
    ]
    return (out[0], out[1], out[2])


def _read_box(stream: PlaneStream, box: Box) -> NDArray[Any]:
    """Values of a box of the stored index, indexed by the file's axes; the whole stream is checked."""
    header = stream.header
    (i0, i1), (j0, j1), (k0, k1) = box
    stored_as = "" if header.scaled else header.dtype.str[1:]
    out: NDArray[Any] = np.empty((k1 - k0, j1 - j0, i1 - i0), np.uint8 if stored_as == "u1" else np.int16)
    constant = stored_as != "u1"  # a uint8 volume holds labels, and those may all be zero
    first = None
    for k, plane in stream.planes():
        _check_finite(plane, k, stream.path)
        if constant:
            first = plane[0, 0] if first is None else first
            constant = bool((plane == first).all())
        if not k0 <= k < k1:
            continue
        part = plane[j0:j1, i0:i1]
        if stored_as not in ("u1", "i1", "i2"):
            part = part * header.slope + header.intercept if header.scaled else part
            if out.dtype == np.int16 and not _fits_int16(part):
                out = out.astype(np.float32)  # what was read so far is whole numbers: nothing is lost
        out[k - k0] = part
    if constant and header.shape != (1, 1, 1):  # one voxel is what `read_region` cuts for empty labels
        raise VolumeError("E-VOL-09", f"{stream.path}: every voxel is {first}", "convert the scan again")
    return out.transpose(2, 1, 0)


def _check_finite(plane: NDArray[Any], k: int, path: Path) -> None:
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        raise VolumeError("E-VOL-08", f"{path}: NaN or infinity in plane {k}", "convert the scan again")


def _fits_int16(values: NDArray[Any]) -> bool:
    if values.min() < _INT16.min or values.max() > _INT16.max:
        return False
    return values.dtype.kind != "f" or bool((values == np.rint(values)).all())


def _read_label_region(path: Path, margin_mm: float) -> Volume:
    """The occupied box of a label file with its margin; empty planes cost nothing but their inflation."""
    with PlaneStream(path) as stream:
        header = stream.header
        pieces: dict[int, tuple[int, int, NDArray[np.uint8]]] = {}
        for k, plane in stream.planes():
            _check_finite(plane, k, path)
            labels = _as_labels(plane, header, path)
            columns = np.bitwise_or.reduce(labels, axis=0)  # several times faster than any()
            if columns.any():
                i0, i1 = _span(columns)
                j0, j1 = _span(np.bitwise_or.reduce(labels[:, i0:i1], axis=1))
                pieces[k] = (j0, i0, labels[j0:j1, i0:i1].copy())
    turn = Orientation.closest(header.affine)
    shape, affine = turn.shape(header.shape), turn.affine(header.affine, header.shape)
    frame = Volume(np.broadcast_to(np.uint8(0), shape), affine)
    box = _canonical_box(pieces, turn, header.shape)
    if pieces:
        box = _margin_box(frame, box, margin_mm)
    (i0, i1), (j0, j1), (k0, k1) = turn.stored_box(box, header.shape)
    out = np.zeros((k1 - k0, j1 - j0, i1 - i0), np.uint8)
    for k, (j, i, piece) in pieces.items():
        out[k - k0, j - j0 : j - j0 + piece.shape[0], i - i0 : i - i0 + piece.shape[1]] = piece
    start = (box[0][0], box[1][0], box[2][0])
    return Volume(turn.array(out.transpose(2, 1, 0)), shifted(affine, start), start, shape)


def _canonical_box(
    pieces: dict[int, tuple[int, int, NDArray[np.uint8]]], turn: Orientation, stored: tuple[int, int, int]
) -> Box:
    if not pieces:
        return ((0, 1), (0, 1), (0, 1))
    first_axis = [(i, i + piece.shape[1]) for _, i, piece in pieces.values()]
    second_axis = [(j, j + piece.shape[0]) for j, _, piece in pieces.values()]
    spans = [
        (min(start for start, _ in first_axis), max(stop for _, stop in first_axis)),
        (min(start for start, _ in second_axis), max(stop for _, stop in second_axis)),
        (min(pieces), max(pieces) + 1),
    ]
    out = []
    for source, back in zip(turn.source, turn.reversed, strict=True):
        start, stop = spans[source]
        out.append((stored[source] - stop, stored[source] - start) if back else (start, stop))
    return (out[0], out[1], out[2])


def _as_labels(plane: NDArray[Any], header: Header, path: Path) -> NDArray[np.uint8]:
    values = plane * header.slope + header.intercept if header.scaled else plane
    labels = values.astype(np.uint8, copy=False)
    if header.scaled or header.dtype != np.uint8:
        wrong = values[(values < 0) | (values > 255) | (labels != values)]
        if wrong.size:
            raise VolumeError(
                "E-VOL-12", f"{path}: {wrong[0]} is no label", "labels are whole numbers from 0 to 255"
            )
    return labels


def write_volume(path: Path | str, volume: Volume) -> None:
    """Write a volume as NIfTI-1, gzipped if its name ends in ``.gz``; same content, same bytes.

    Neither time nor file name enters the file. The target is written in place; writing under a temporary
    name and renaming is up to the caller.

    Raises
    ------
    VolumeError
        E-VOL-07 if the voxels are not uint8, int16 or float32.
    """
    data = volume.data
    if data.dtype not in (np.uint8, np.int16, np.float32):
        raise VolumeError(
            "E-VOL-07", f"{path}: cannot write {data.dtype} voxels", "use uint8, int16 or float32"
        )
    target = Path(path)
    packer = isal_zlib.compressobj(_GZIP_LEVEL, wbits=31) if target.name.endswith(".gz") else None
    with target.open("wb") as file:
        file.write(_packed(packer, header_block(data.shape, data.dtype, volume.affine)))
        for z in range(data.shape[2]):
            file.write(_packed(packer, np.ascontiguousarray(data[:, :, z].T)))
        if packer is not None:
            file.write(packer.flush())


def _packed(packer: Any, block: Any) -> Any:
    return block if packer is None else packer.compress(block)


def content_digest(volume: Volume) -> str:
    """Sixteen hexadecimal digits over what matters: shape, affine (to 1e-5 mm), voxel type and voxels.

    The same voxels give the same digest whatever file, compression or memory layout they came from.
    """
    data = volume.data
    digest = hashlib.sha256()
    affine = np.round(np.asarray(volume.affine, "<f8"), 5) + 0.0  # + 0.0 makes one zero of -0 and 0
    kind = data.dtype.newbyteorder("<")
    digest.update(f"{data.shape} {kind.str} ".encode() + affine.tobytes())
    for z in range(data.shape[2]):
        digest.update(np.ascontiguousarray(data[:, :, z].T, kind).data)
    return digest.hexdigest()[:16]
