"""Reference cases: the published scripts' own numbers, and label volumes that hold the same masks."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from paraspinal_assets.imaging.geometry import Orientation
from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_volume

DATA = Path(__file__).parents[1] / "data" / "imaging"
REAL = Path(__file__).parents[3] / "shared" / "real" / "totalsegmentator"
CASES = ("synth_small_full", "synth_small_trab", "edge_gaps_full", "real_sm_15_full", "real_dicom_full")


def golden(name: str) -> dict:
    return json.loads((DATA / f"{name}.json").read_text())


@cache
def load_case(name: str) -> tuple[Volume, Volume, dict]:
    """CT, labels and reference numbers; skips when a case's public images are not there."""
    numbers = golden(name)
    case = name.rsplit("_", 1)[0]
    if case.startswith("real"):
        if not REAL.is_dir():
            pytest.skip(f"the public images are not in {REAL}")
        ct, masks, bodies = _real_masks(case)
    else:
        folder = DATA / case
        ct = read_volume(folder / "ct.nii.gz")
        masks = {p.name[:-7]: read_volume(p).data != 0 for p in (folder / "seg").glob("*.nii.gz")}
        bodies = masks.pop("vertebrae_body", None)
    if name.endswith("trab"):  # here the "body" is what the published step 4 left of it
        bodies = bodies & (ct.data >= 1) & (ct.data <= 700)
    labels = np.zeros(ct.data.shape, np.uint8)
    for level in numbers["levels"]:
        labels[masks[level]] = rest_label(level)
        if bodies is not None:
            labels[masks[level] & bodies] = body_label(level)
    labels[masks["autochthon_right"]] = AUTOCHTHON_RIGHT
    labels[masks["autochthon_left"]] = AUTOCHTHON_LEFT
    return ct, Volume(labels, ct.affine), numbers


def _real_masks(case: str) -> tuple[Volume, dict, None]:
    if case == "real_sm_15":
        ct = read_volume(REAL / "example_ct_sm.nii.gz")
        ids, name = {"T1": 33, "T2": 32, "T3": 31, "T4": 30}, "example_seg.nii.gz"
    else:
        from paraspinal_assets.imaging.dicom import read_series

        ct = read_series(REAL / "example_ct_dicom").volume
        ids, name = {"T1": 33, "T2": 32}, "example_seg_dicom.nii.gz"
    segmentation = nib.load(REAL / name)
    stored = np.asarray(segmentation.dataobj).astype(np.uint8)
    seg = Orientation.closest(segmentation.affine).array(stored)
    ids |= {"autochthon_left": 86, "autochthon_right": 87}
    return ct, {level: seg == value for level, value in ids.items()}, None
