"""Scans that are broken on purpose, each as it happens in practice, and how each is to be reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.phantom.parameters import PhantomParameters


@dataclass(frozen=True)
class Breakage:
    """One way to break a scan.

    Attributes
    ----------
    kind
        Name of the defect.
    exam
        The exam it befalls; the participant's other exam is sound.
    stage
        Where the platform is to notice it.
    reason
        Reason code of `imaging.reasons` that it is to report.
    what
        What was done to the scan.
    """

    kind: str
    exam: str
    stage: str
    reason: str
    what: str


BREAKAGES: Final[tuple[Breakage, ...]] = (
    Breakage(
        "missing_slice", "exam5", "ct_nifti", "read_error", "one slice in the middle of the series is missing"
    ),
    Breakage(
        "no_thorax",
        "exam5",
        "quality",
        "no_vertebrae",
        "the series shows the thighs; no vertebra in any mask",
    ),
    Breakage("t1_cut", "exam5", "quality", "touches_fov_border", "the field of view begins within T1"),
    Breakage("no_follow_up", "exam6", "cohort", "no_follow_up_scan", "the participant has no Exam 6"),
    Breakage(
        "empty_segmentation", "exam6", "quality", "empty_segmentation", "all masks are empty, the CT is sound"
    ),
    Breakage(
        "swapped_sides", "exam5", "quality", "sides_swapped", "the left and right muscle masks are swapped"
    ),
    Breakage("empty_folder", "exam6", "ct_nifti", "read_error", "the scan's folder holds no file"),
    Breakage(
        "shifted_levels",
        "exam5",
        "quality",
        "level_shift",
        "vertebrae are named one level too high; review.csv says relabel+1",
    ),
    Breakage(
        "reader_rejected", "exam6", "quality", "reader_rejected", "the scan is sound; review.csv rejects it"
    ),
)


def make_thighs(parameters: PhantomParameters, rng: np.random.Generator) -> Volume:
    """A CT of two thighs with their femurs, on the grid of a chest phantom: int16 HU, RAS+."""
    nx, ny, nz = parameters.shape
    x = ((np.arange(nx) - (nx - 1) / 2) * parameters.spacing[0])[:, None]
    y = ((np.arange(ny) - (ny - 1) / 2) * parameters.spacing[1])[None, :]
    plane = np.full((nx, ny), -1000.0)
    for side in (-1, 1):
        distance = np.hypot(x - side * 85, y)
        plane[distance < 75] = -100
        plane[distance < 64] = 45
        plane[distance < 14] = 900
        plane[distance < 7] = -50
    noise = rng.standard_normal((nx, ny, nz), dtype=np.float32) * parameters.noise_hu
    affine = np.diag([*parameters.spacing, 1.0])
    affine[:3, 3] = (x[0, 0], y[0, 0], -600.0)
    return Volume(np.rint(plane[:, :, None] + noise).clip(-1024, 3000).astype(np.int16), affine)
