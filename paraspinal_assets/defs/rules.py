"""What each asset depends on: other assets, its code version, and parts of the study file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.settings import Study

StudyParts = Callable[[Study], Mapping[str, Any]]
ScanParts = Callable[[Workspace, Scan], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class AssetRule:
    """What decides whether an asset is stale.

    Attributes
    ----------
    name
        Asset key.
    partitioned
        One partition per scan, or a single table.
    inputs
        Upstream assets, in order.
    optional
        Inputs that a scan may lack.
    code_version
        Bumped by hand whenever the pure code behind the asset gives other values.
    settings
        Names and values of the study-file parts that every partition uses.
    scan_settings
        The same for parts that differ between scans (exclusion, calibration, reader decisions).
    failure_settings
        Names and values of further study-file parts: a failed partition is tried again when one of them changes.
    external
        Observed, not built here.
    batch
        Scans per run.
    function
        What makes it; nothing for an external asset.
    """

    name: str
    partitioned: bool
    inputs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    code_version: str = ""
    settings: StudyParts | None = None
    scan_settings: ScanParts | None = None
    failure_settings: StudyParts | None = None
    external: bool = False
    batch: int = 1
    function: Callable[..., Any] | None = None


_DECLARED: Final[dict[str, AssetRule]] = {}


def register(rule: AssetRule) -> AssetRule:
    """Add an asset's rule; each name once."""
    if rule.name in _DECLARED:
        raise ValueError(f"asset {rule.name} is declared twice")
    _DECLARED[rule.name] = rule
    return rule


def asset_rules() -> dict[str, AssetRule]:
    """The rules of all assets, by name."""
    # Here, not above: the modules that declare assets import this one.
    import paraspinal_assets.defs.assets  # noqa: F401

    return _DECLARED


def waves() -> list[list[AssetRule]]:
    """All assets in the order in which they can be built: those of a wave need only earlier waves."""
    sorter = TopologicalSorter({rule.name: rule.inputs for rule in asset_rules().values()})
    sorter.prepare()
    found: list[list[AssetRule]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        found.append([asset_rules()[name] for name in ready])
        sorter.done(*ready)
    return found


def compute_problems(study: Study) -> list[str]:
    """A message for each name under the study file's `compute` that is no asset built here."""
    built = {rule.name for rule in asset_rules().values() if not rule.external}
    sections = {"slurm": set(study.compute.slurm.assets), "kubernetes": set(study.compute.kubernetes.assets)}
    return [
        f"compute.{section}.assets: {name!r} is no asset that is built; it has no effect"
        for section, names in sections.items()
        for name in sorted(names - built)
    ]
