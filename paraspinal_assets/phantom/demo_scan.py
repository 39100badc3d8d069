"""One scan of the demo study, written to a folder: series, segmentation, a reader's masks; and its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from paraspinal_assets.phantom.anatomy import Phantom, make_phantom
from paraspinal_assets.phantom.broken import make_thighs
from paraspinal_assets.phantom.clinical import CALIBRATION_INTERCEPT, CALIBRATION_SLOPE
from paraspinal_assets.phantom.demo_plan import ScanPlan
from paraspinal_assets.phantom.dicom_writer import write_series
from paraspinal_assets.phantom.masks import BOUNDARY_ERROR, class_masks, perturb, write_masks
from paraspinal_assets.phantom.parameters import MEASURED_LEVELS

_ONE_TOO_HIGH: Final = {f"T{i}": f"T{i - 1}" if i > 1 else "C7" for i in range(1, 12)}


def write_scan(folder: Path, scan: ScanPlan) -> dict[str, Any]:
    """Write ``dicom/``, ``segmentations/`` and, if asked for, ``reader/`` into `folder`; return the truth."""
    rng = np.random.default_rng(scan.seed)
    kind = scan.breakage.kind if scan.breakage else None
    if kind == "no_thorax":
        _write_thighs(folder, scan, rng)
        return _truth(scan, None, 0)
    if kind == "empty_folder":
        (folder / "dicom").mkdir()
        return _truth(scan, None, 0)
    phantom = make_phantom(scan.parameters, rng)
    gap = phantom.ct.data.shape[2] // 2 if kind == "missing_slice" else -1
    files = write_series(folder / "dicom", phantom.ct, scan.acquisition, keep=lambda index: index != gap)
    _write_segmentation(folder, scan, phantom, rng, kind)
    if scan.reader:
        masks = class_masks(perturb(phantom.labels.data, rng, BOUNDARY_ERROR / 3))
        write_masks(folder / "reader", masks, phantom.labels.affine)
    return _truth(scan, phantom, files)


def _write_segmentation(
    folder: Path, scan: ScanPlan, phantom: Phantom, rng: np.random.Generator, kind: str | None
) -> None:
    labels = perturb(phantom.labels.data, rng)
    if kind == "empty_segmentation":
        labels[:] = 0
    if kind == "shifted_levels":
        masks = class_masks(labels, (*MEASURED_LEVELS, "T11"), _ONE_TOO_HIGH)
    else:
        masks = class_masks(labels)
    if kind == "swapped_sides":
        left, right = masks["autochthon_left"], masks["autochthon_right"]
        masks |= {"autochthon_left": right, "autochthon_right": left}
    write_masks(folder / "segmentations", masks, phantom.labels.affine)


def _write_thighs(folder: Path, scan: ScanPlan, rng: np.random.Generator) -> None:
    ct = make_thighs(scan.parameters, rng)
    write_series(folder / "dicom", ct, scan.acquisition)
    masks = class_masks(np.zeros(ct.data.shape, np.uint8))
    # A network finds a little muscle anywhere.
    middle = tuple(n // 2 for n in ct.data.shape)
    blob = np.s_[middle[0] - 30 : middle[0] - 24, middle[1] - 3 : middle[1] + 3, middle[2] : middle[2] + 4]
    masks["autochthon_left"][blob] = 1
    write_masks(folder / "segmentations", masks, ct.affine)


def _truth(scan: ScanPlan, phantom: Phantom | None, files: int) -> dict[str, Any]:
    record: dict[str, Any] = {
        "participant": scan.participant,
        "exam": scan.exam,
        "files": files,
        "broken": scan.breakage.kind if scan.breakage else None,
        "reader": scan.reader,
    }
    if phantom is None:
        return record
    hu = phantom.truth.trabecular_hu
    vbmd = None if hu is None else round(CALIBRATION_SLOPE * hu + CALIBRATION_INTERCEPT, 4)
    return {**record, **phantom.truth.as_dict(), "vbmd_mg_cm3": vbmd}
