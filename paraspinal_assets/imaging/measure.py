"""One scan, every table, one pass over its CT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from paraspinal_assets.imaging.bone import measure_bone
from paraspinal_assets.imaging.levels import LabelProfile, SlabRule, level_slabs, slabs_table
from paraspinal_assets.imaging.muscle import measure_muscle
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_region


@dataclass(frozen=True)
class MeasuredScan:
    """The tables of one scan; `radiomics` and `deformity` are None where they were not asked for."""

    slabs: pd.DataFrame
    muscle: pd.DataFrame
    bone: pd.DataFrame
    radiomics: pd.DataFrame | None
    deformity: pd.DataFrame | None


def measure_scan(
    ct_path: Path | str,
    labels: Volume | Path | str,
    levels: Sequence[str],
    *,
    slab: SlabRule = "vertebra",
    radiomics: bool = False,
    deformity: bool = True,
) -> MeasuredScan:
    """Measure one scan: slabs, muscle, bone, and if wanted radiomics and vertebral deformity.

    Parameters
    ----------
    ct_path
        NIfTI file of the CT; it is streamed once, to its checksum.
    labels
        Label volume on the CT's grid, as a file or in memory.
    levels
        Levels to measure.
    slab
        As for `measure_muscle`.
    radiomics, deformity
        Whether to compute these two tables as well.

    Raises
    ------
    VolumeError
        If either file cannot be trusted, or their grids differ.
    """
    ct, region = read_region(ct_path, labels, margin_mm=0)
    profile = LabelProfile.of(region)
    textures = heights = None
    if radiomics:
        from paraspinal_assets.imaging.radiomics import measure_radiomics  # scipy only where it is needed

        textures = measure_radiomics(ct, region, levels, slab=slab, profile=profile)
    if deformity:
        from paraspinal_assets.imaging.deformity import measure_deformity

        heights = measure_deformity(region, levels)
    return MeasuredScan(
        slabs=slabs_table(level_slabs(region, levels, rule=slab, profile=profile)),
        muscle=measure_muscle(ct, region, levels, slab=slab, profile=profile),
        bone=measure_bone(ct, region, levels, profile=profile),
        radiomics=textures,
        deformity=heights,
    )
