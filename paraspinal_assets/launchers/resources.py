"""What a run needs, from what its assets need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import is_reserved_asset_job_name

from paraspinal_assets.study.compute_settings import Resources

R = TypeVar("R", bound=Resources)


def asset_names(run: dg.DagsterRun, by_asset: Mapping[str, Resources]) -> list[str] | None:
    """Names of the assets that a run builds; None if it does not say.

    A run of another job than that of the assets, which is a rebuild's step, builds tables by itself and leaves scans
    to other runs: it may need what any asset needs, but no GPU.
    """
    if run.asset_selection is not None:
        return sorted(key.path[-1] for key in run.asset_selection)
    if is_reserved_asset_job_name(run.job_name):
        return None
    return [run.job_name, *(name for name, item in by_asset.items() if not item.gpus)]


def needs(default: R, by_asset: Mapping[str, R], assets: Collection[str] | None) -> list[R]:
    """What each asset of a run asks for; a run that does not say what it builds may build anything."""
    names = by_asset if assets is None else sorted(assets)
    return [by_asset.get(name, default) for name in names] or [default]


def most_demanding(wanted: Sequence[R]) -> R:
    """The request that decides where a run goes: most GPUs, then most cores; then the first."""
    return max(wanted, key=lambda item: (item.gpus, item.cpus))


def most_cpus(wanted: Sequence[Resources]) -> int:
    """Cores for the steps of a run, which come one after the other."""
    return max(item.cpus for item in wanted)


def most_memory_gb(wanted: Sequence[Resources]) -> float | None:
    """Memory for the steps of a run; None if none asks for some."""
    return max((item.memory_gb for item in wanted if item.memory_gb is not None), default=None)
