"""The segmenter that a study asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from paraspinal_assets.segmenters.base import Segmenter

if TYPE_CHECKING:
    from paraspinal_assets.segmenters.weights import BodyTask


def make_segmenter(
    kind: Literal["totalsegmentator", "imported"],
    levels: Sequence[str],
    *,
    home_dir: Path,
    weights_dir: Path | None = None,
    device: str = "cpu",
    fast: bool = False,
    bodies: bool = True,
    body_task: BodyTask = "vertebrae_body",
    body_crop_mm: float | None = None,
    time_limit_s: float | None = None,
    synthetic: bool = False,
    label_map: Mapping[str, int] | None = None,
    names: Mapping[str, str] | None = None,
    resample: bool = False,
) -> Segmenter:
    """Make a segmenter; options that the chosen kind does not have are ignored.

    Parameters are those of `totalsegmentator.TotalSegmentatorSegmenter` and `imported.ImportedSegmenter`;
    `synthetic` says whether the study is, so that the phantom network may be used.
    """
    if kind == "imported":
        from paraspinal_assets.segmenters.imported import ImportedSegmenter

        return ImportedSegmenter(levels, label_map=label_map, names=names, resample=resample)
    from paraspinal_assets.segmenters.totalsegmentator import TotalSegmentatorSegmenter

    return TotalSegmentatorSegmenter(
        levels,
        weights_dir,
        home_dir,
        device=device,
        fast=fast,
        bodies=bodies,
        body_task=body_task,
        body_crop_mm=body_crop_mm,
        time_limit_s=time_limit_s,
        synthetic_allowed=synthetic,
    )
