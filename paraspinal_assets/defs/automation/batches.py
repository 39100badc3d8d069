"""Scans per run of each asset: its own number, or that of the study file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import dagster as dg

from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.settings import Study

GPU_BATCH: Final = 500
"""Scans per segmentation run on a GPU: starting a run takes as long as some forty scans."""

Asset = dg.AssetsDefinition | dg.AssetSpec


def chosen_sizes(study: Study) -> dict[str, int]:
    """Asset -> scans per run, where the study file decides it: by a number, or by naming a GPU."""
    return ({"segmentation": GPU_BATCH} if study.segmentation.on_gpu else {}) | study.automation.batch


def batch_sizes(chosen: Mapping[str, int]) -> dict[str, int]:
    """Asset -> scans per run.

    Two assets of the same size would be put into one run by Dagster, which then skips the second one without a
    word, so that is an error (E-STUDY-60), as is an asset that has no scans.
    """
    sizes = {
        name: rule.batch for name, rule in asset_rules().items() if rule.partitioned and not rule.external
    }
    for asset in chosen:
        if asset not in sizes:
            raise StudyError(
                "E-STUDY-60",
                f"automation.batch: {asset!r} is no asset with a partition for each scan",
                f"use names among {', '.join(sorted(sizes))}",
            )
    sizes |= chosen
    by_size: dict[int, str] = {}
    for asset, size in sizes.items():
        if size in by_size:
            raise StudyError(
                "E-STUDY-60",
                f"automation.batch: {by_size[size]} and {asset} both take {size} scans per run",
                f"give one of them another number; taken: {', '.join(map(str, sorted(sizes.values())))}",
            )
        by_size[size] = asset
    return sizes


def with_batches(assets: Sequence[Asset], chosen: Mapping[str, int]) -> list[Asset]:
    """The assets with the study file's batch sizes as their backfill policies."""
    sizes = batch_sizes(chosen)

    def changed(asset: Asset) -> Asset:
        name = asset.key.to_user_string()
        if name not in chosen or isinstance(asset, dg.AssetSpec):
            return asset
        return asset.with_attributes(backfill_policy=dg.BackfillPolicy.multi_run(sizes[name]))

    return [changed(asset) for asset in assets]
