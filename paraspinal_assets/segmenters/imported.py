"""Segmentations that exist already: one file per class in a folder, or one multi-label file."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import MachineError, ParaspinalError, SegmentationError
from paraspinal_assets.imaging.labels import check_level, label_table
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.segmenters.base import ScanInput, Segmentation, SegmentationFailure
from paraspinal_assets.segmenters.compose import LabelComposer
from paraspinal_assets.segmenters.gates import output_verdict
from paraspinal_assets.segmenters.grids import Grid, fit_to_grid
from paraspinal_assets.segmenters.label_files import (
    MUSCLES,
    find_files,
    read_mask,
    read_multi_label,
    values_of,
)
from paraspinal_assets.segmenters.nifti import grid_of_file

_OF_THE_DISK: Final = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN})
"""What a disk or share that fails answers; a damaged file has no such number."""


@dataclass(frozen=True)
class ImportedSegmenter:
    """Brings segmentations that exist already into the study's label values.

    Parameters
    ----------
    levels
        Levels to take over, such as ``T1`` .. ``T10``.
    label_map
        Class name -> value in a multi-label file. None: the file's own label table (NIfTI extension), and
        without one TotalSegmentator's numbers of the task ``total``.
    names
        Class name -> file name without ending, for folders whose files are called otherwise.
    bodies
        Class whose file holds the vertebral bodies of all levels; None to ignore bodies. Where it is absent
        the whole vertebra carries its ``rest`` value.
    resample
        Bring masks of another grid to the CT's by nearest neighbour instead of refusing them.

    Class names are TotalSegmentator's: ``autochthon_left``, ``autochthon_right``, ``vertebrae_T1`` ...
    """

    levels: Sequence[str]
    label_map: Mapping[str, int] | None = None
    names: Mapping[str, str] | None = None
    bodies: str | None = "vertebrae_body"
    resample: bool = False

    def __post_init__(self) -> None:
        for level in self.levels:
            check_level(level)

    def version(self) -> dict[str, str]:
        """Options that change voxels; the files themselves are inputs with a digest of their own."""
        return {
            "segmenter": "imported",
            "rules": "3",
            "levels": ",".join(self.levels),
            "label_map": ",".join(f"{k}={v}" for k, v in sorted((self.label_map or {}).items())),
            "names": ",".join(f"{k}={v}" for k, v in sorted((self.names or {}).items())),
            "bodies": self.bodies or "",
            "resample": str(self.resample).lower(),
        }

    def segment(self, scans: Iterable[ScanInput]) -> Iterator[Segmentation | SegmentationFailure]:
        """Read, check and relabel the segmentation of every scan; one item per scan, in order."""
        for scan in scans:
            try:
                yield self._import(scan)
            except ParaspinalError as error:
                yield SegmentationFailure(scan.key, error)
            except Exception as error:  # noqa: BLE001 - whatever a file makes a library do, the others go on
                yield SegmentationFailure(scan.key, _unreadable(scan.key, error))

    def _import(self, scan: ScanInput) -> Segmentation:
        path = scan.segmentation_path
        if path is None or not path.exists():
            raise SegmentationError(
                "E-SEG-20",
                f"{scan.key}: no segmentation" + (f" at {path}" if path else ""),
                "check this exam's segmentation folder in the study file, or choose another segmenter",
            )
        grid = grid_of_file(scan.ct_path)
        wanted = [*MUSCLES, *(f"vertebrae_{level}" for level in self.levels)]
        source = find_files(path, wanted, self.names or {}, self.bodies)
        composer = LabelComposer(grid.shape)
        model: dict[str, object] = {"segmenter": "imported", "source": source.kind}
        if source.multi_label is None:
            present = [name for name in wanted if name in source.files]
            for name in present:
                composer.add(name, self._mask(source.files[name], scan, grid))
        else:
            data, found = read_multi_label(source.multi_label)
            values, model["labels_from"] = values_of(
                source.multi_label, self.label_map, [*wanted, self.bodies or ""]
            )
            body_value = values.pop(self.bodies or "", 0)
            if body_value and (data == body_value).any():
                raise SegmentationError(
                    "E-SEG-23",
                    f"{source.multi_label}: {self.bodies} is one label for all levels, so that a body has no level",
                    f"give whole vertebrae in this file, and the bodies beside it as {self.bodies}.nii.gz",
                )
            data = self._fit(data, found, source.multi_label, scan, grid)
            composer.add_values(data, values)
            present = list(values)
        if self.bodies and self.bodies in source.files:
            composer.add_bodies(self._mask(source.files[self.bodies], scan, grid))
        model |= {
            "bodies": composer.has_bodies,
            "overlapping_voxels": composer.overlapping_voxels,
            "classes_without_file": [name for name in wanted if name not in present],
        }
        reason, findings = output_verdict(composer.labels, self.levels)
        volume = Volume(composer.labels, grid.affine)
        return Segmentation(scan.key, volume, label_table(self.levels), model, reason, findings)

    def _mask(self, path: Path, scan: ScanInput, grid: Grid) -> NDArray[np.bool_]:
        mask, found = read_mask(path)
        return self._fit(mask.view(np.uint8), found, path, scan, grid).view(np.bool_)

    def _fit(self, data: NDArray[Any], found: Grid, path: Path, scan: ScanInput, grid: Grid) -> NDArray[Any]:
        return fit_to_grid(data, found, grid, names=(path, scan.ct_path), resample=self.resample)


def _unreadable(key: str, error: Exception) -> ParaspinalError:
    """A file that cannot be read; one that a disk or share would not give is tried again by the next run."""
    kind = MachineError if isinstance(error, OSError) and error.errno in _OF_THE_DISK else SegmentationError
    return kind("E-SEG-25", f"{key}: cannot read: {type(error).__name__}: {error}", "restore the file named")
