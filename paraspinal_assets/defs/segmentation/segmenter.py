"""Which segmenter a scan gets, and the version that decides whether it must be segmented again."""

from __future__ import annotations

import os
from pathlib import Path

from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.segmenters import factory
from paraspinal_assets.segmenters.base import Segmenter
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.settings import Study


def uses_network(study: Study, scan: Scan) -> bool:
    """Whether TotalSegmentator segments this scan, rather than taking a segmentation that exists."""
    settings = study.segmentation
    return settings.segmenter == "totalsegmentator" or scan.key in settings.totalsegmentator_for


def names_are_off_by(workspace: Workspace, scan: Scan) -> int:
    """By how many levels a reader found the vertebrae's names too far towards the head."""
    review = workspace.reviews.get(scan)
    return review.shift if review else 0


def make_segmenter(workspace: Workspace, *, network: bool, off_by: int = 0) -> Segmenter:
    """The segmenter of the study file: TotalSegmentator, or the import of what exists.

    With names that are off by some levels it looks for the wrong names, so that the caller can put them right
    with `shift_levels` and has all levels of the study.
    """
    first, last = (SPINE.index(workspace.study.levels[end]) - off_by for end in (0, -1))
    if first < 0 or last >= len(SPINE):
        raise SegmentationError(
            "E-SEG-30", f"relabelling by {off_by} leaves the spine", "correct the review file"
        )
    levels = tuple(SPINE[SPINE.index(level) - off_by] for level in workspace.study.levels)
    return _segmenter(workspace.study, workspace.root, network, levels)


def segmenter_version(workspace: Workspace, scan: Scan) -> dict[str, str]:
    """Everything about the segmenter that can change a voxel of this scan."""
    study, network = workspace.study, uses_network(workspace.study, scan)
    return workspace.once(
        ("segmenter version", network),
        lambda: _segmenter(study, workspace.root, network, study.levels).version(),
    )


def _segmenter(study: Study, root: Path, network: bool, levels: tuple[str, ...]) -> Segmenter:
    settings = study.segmentation
    return factory.make_segmenter(
        "totalsegmentator" if network else "imported",
        levels,
        home_dir=root / ".cache" / f"totalsegmentator-{os.getpid()}",
        weights_dir=weights_folder(study, root),
        device=settings.device,
        fast=settings.fast,
        bodies=settings.bodies,
        body_task=settings.body_task,
        body_crop_mm=settings.body_crop_mm,
        time_limit_s=settings.time_limit_s,
        synthetic=study.synthetic,
        label_map=settings.label_map,
        resample=settings.resample,
    )


def weights_folder(study: Study, root: Path) -> Path | None:
    """Folder of the networks as the study file names it; None for TotalSegmentator's own."""
    return None if study.segmentation.weights is None else (root / study.segmentation.weights).resolve()
