"""Finding and reading the files of a segmentation that exists already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.segmenters.grids import Grid
from paraspinal_assets.segmenters.nifti import header_extensions, read_labels

MUSCLES: Final = ("autochthon_left", "autochthon_right")
"""Class names of the two muscles, as TotalSegmentator calls them."""

TOTAL_IDS: Final[dict[str, int]] = {
    "autochthon_left": 86,
    "autochthon_right": 87,
    **{f"vertebrae_{level}": 50 - index for index, level in enumerate(SPINE)},
}
"""TotalSegmentator's label numbers of the task ``total`` (version 2), for the classes that we use.

Source: ``totalsegmentator.map_to_binary.class_map["total"]``; a test compares.
"""

_ENDINGS: Final = (".nii.gz", ".nii")
_LABEL: Final = re.compile(r'<Label\s[^>]*Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([^\]<]*)')


@dataclass(frozen=True)
class SourceFiles:
    """What a segmentation path holds.

    Attributes
    ----------
    files
        Class name -> file with its mask.
    multi_label
        File with several classes; None for one file per class.
    """

    files: dict[str, Path]
    multi_label: Path | None

    @property
    def kind(self) -> str:
        """``class files`` or ``multi-label file``."""
        return "class files" if self.multi_label is None else "multi-label file"


def _class_name(path: Path) -> str:
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return ""


def find_files(
    path: Path, wanted: Sequence[str], names: Mapping[str, str], bodies: str | None
) -> SourceFiles:
    """Sort out what lies at a segmentation path: a multi-label file, or a folder.

    A folder holds one file per class (``vertebrae_T1.nii.gz``, or ``T1.nii.gz``), or one multi-label file of
    any name, in both cases with or without a file of the vertebral bodies.

    Raises
    ------
    SegmentationError
        E-SEG-21 when no muscle is found, or a folder holds several files that are no class.
    """
    if path.is_file():
        return SourceFiles({}, path)
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        name = _class_name(file)
        if name in found:
            raise SegmentationError(
                "E-SEG-21", f"{path} holds {name} twice, as .nii and .nii.gz", "keep one of the two files"
            )
        if name and file.is_file():
            found[name] = file
    classes: dict[str, Path] = {}
    for name in wanted:
        spellings = [s for s in (names.get(name, name), name.removeprefix("vertebrae_")) if s in found]
        if spellings:
            classes[name] = found[spellings[0]]
    body_file = (
        {bodies: found[names.get(bodies, bodies)]} if bodies and names.get(bodies, bodies) in found else {}
    )
    if any(muscle in classes for muscle in MUSCLES):
        return SourceFiles(classes | body_file, None)
    others = [file for file in found.values() if file not in body_file.values()]
    if len(others) == 1:
        return SourceFiles(body_file, others[0])
    raise SegmentationError(
        "E-SEG-21",
        # The message is stored; names of files can be people's.
        f"{path}: no autochthon_left or autochthon_right among {len(found)} NIfTI files",
        "name the files after TotalSegmentator's classes (autochthon_left.nii.gz, vertebrae_T1.nii.gz, ...),"
        " or give one file with all labels",
    )


def read_mask(path: Path) -> tuple[NDArray[np.bool_], Grid]:
    """One class of one file, shape ``(x, y, z)`` in RAS+; every non-zero voxel belongs to it.

    Raises
    ------
    SegmentationError
        E-SEG-24 when the file holds more than one non-zero value: a probability map or several classes.
    """
    data, grid = read_labels(path)
    mask = data != 0
    if mask.any():
        inside = data[mask]
        low, high = inside.min(), inside.max()
        if low != high:
            raise SegmentationError(
                "E-SEG-24",
                f"{path} holds values from {low} to {high}, expected 0 and one other value",
                "give one class per file, or the multi-label file itself",
            )
    return mask, grid


def label_names(path: Path) -> dict[int, str]:
    """Value -> name from the label table in a NIfTI header extension; empty where the file has none.

    The table is the XML that TotalSegmentator and Connectome Workbench write; it is read by pattern, because
    a general XML reader would follow entities of an untrusted file.
    """
    names: dict[int, str] = {}
    for text in header_extensions(path):
        names |= {int(value): name.strip() for value, name in _LABEL.findall(text)}
    return names


def values_of(
    path: Path, label_map: Mapping[str, int] | None, wanted: Iterable[str]
) -> tuple[dict[str, int], str]:
    """Class name -> value in a multi-label file, and where this knowledge is from.

    The study file's mapping comes first, then the file's own label table, then TotalSegmentator's numbers.

    Raises
    ------
    SegmentationError
        E-SEG-23 when the table names neither muscle.
    """
    if label_map is not None:
        values, origin = dict(label_map), "study file"
    elif names := label_names(path):
        values, origin = {name: value for value, name in names.items()}, "label table of the file"
    else:
        values, origin = TOTAL_IDS, "TotalSegmentator's numbers of task total"
    known = {name: values[name] for name in wanted if name in values}
    if not any(muscle in known for muscle in MUSCLES):
        raise SegmentationError(
            "E-SEG-23",
            f"{path}: the {origin} names neither autochthon_left nor autochthon_right among {len(values)} names",
            "give `segmentation.label_map` in the study file: class name to value",
        )
    return known, origin


def read_multi_label(path: Path) -> tuple[NDArray[Any], Grid]:
    """A multi-label volume as unsigned integers, shape ``(x, y, z)`` in RAS+, and its grid.

    Raises
    ------
    SegmentationError
        E-SEG-24 for negative values, fractions, or numbers above 65535.
    """
    data, grid = read_labels(path)
    if data.dtype.kind not in "iu" or (
        data.size and (data.min() < 0 or data.max() > np.iinfo(np.uint16).max)
    ):
        raise SegmentationError(
            "E-SEG-24",
            f"{path} holds {data.dtype} values from {data.min()} to {data.max()}, expected label numbers",
            "give the label volume, not the CT or a probability map",
        )
    return data, grid
