"""What an unattended rebuild starts next: the partitions of one backfill, or the tables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from paraspinal_assets.defs.automation.runner import Selection
from paraspinal_assets.defs.automation.staleness import Assessment, Staleness, State, is_held
from paraspinal_assets.defs.rules import AssetRule, asset_rules, waves


@dataclass(frozen=True)
class Plan:
    """What should be built now, with the reasons.

    Attributes
    ----------
    partitions
        Asset -> scan key -> why.
    tables
        Table -> why. They are built when no partition is left to build.
    later
        Asset -> scan key -> why it is tried again only later, without being asked for.
    """

    partitions: dict[str, dict[str, str]] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    later: dict[str, dict[str, str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The plan in words, one line for each partition and table."""
        lines = [
            f"{asset} {key}: {why}" for asset, whys in self.partitions.items() for key, why in whys.items()
        ]
        lines += [f"{asset}: {why}" for asset, why in self.tables.items()]
        return lines + [
            f"later: {asset} {key}: {why}" for asset, whys in self.later.items() for key, why in whys.items()
        ]

    def title(self) -> str:
        """The partitions in at most 100 characters, which is what Dagster shows of a backfill."""
        first, *others = (f"{asset} ({len(whys)})" for asset, whys in self.partitions.items())
        return f"Stale: {first}" + (f" and {len(others)} more assets" if others else "")

    def summary(self) -> str:
        """How many partitions of which assets, and which tables."""
        parts = [f"{asset} ({len(whys)})" for asset, whys in self.partitions.items()]
        return ", ".join([*parts, *self.tables]) or "nothing"


def make_plan(
    staleness: Staleness,
    assessment: Assessment,
    selection: Selection,
    *,
    tried: Mapping[str, AbstractSet[str]] | None = None,
) -> Plan:
    """Plan the next step of a rebuild.

    A backfill takes what can be built now, and behind it what must be built whatever its inputs turn out to be
    (never built, other code, another part of the study file). What is stale only if an input gives something
    new waits for that: an input that is rebuilt to the same data version ends the chain.

    Parameters
    ----------
    staleness, assessment
        How everything stands.
    selection
        What may be built.
    tried
        Asset -> scans that this rebuild has had in a backfill already; each is tried once.
    """
    plan = Plan()
    now = time.time()  # failures of the machine wait longer each time, see `Standing.retry_at`
    for wave in waves():
        for rule in wave:
            if not selection.has(rule):
                continue
            if rule.partitioned:
                _plan_partitions(plan, rule, staleness, assessment, selection, tried or {}, now)
            else:
                standing = assessment.standings[rule.name][None]
                if standing.buildable and standing.retry_at <= now:
                    plan.tables[rule.name] = standing.reason
    return plan


def _plan_partitions(
    plan: Plan,
    rule: AssetRule,
    staleness: Staleness,
    assessment: Assessment,
    selection: Selection,
    tried: Mapping[str, AbstractSet[str]],
    now: float,
) -> None:
    for key, standing in assessment.standings[rule.name].items():
        if key is None or not selection.has_key(key) or key in tried.get(rule.name, ()):
            continue
        if standing.buildable and standing.retry_at > now:
            plan.later.setdefault(rule.name, {})[key] = standing.reason
        elif standing.buildable:
            plan.partitions.setdefault(rule.name, {})[key] = standing.reason
        elif standing.state is State.BLOCKED and _inputs_are_planned(plan, rule, key, assessment):
            why = staleness.own_change(rule.name, key)
            if why:
                plan.partitions.setdefault(rule.name, {})[key] = why


def _inputs_are_planned(plan: Plan, rule: AssetRule, key: str, assessment: Assessment) -> bool:
    """Whether every input that is not fresh is built by the same backfill."""

    def ready(name: str) -> bool:
        standing = assessment.standings[name].get(key)
        if standing is not None and is_held(asset_rules()[name], standing):
            return False
        if standing is None or standing.state is not State.FRESH:
            return key in plan.partitions.get(name, ()) or (
                name in rule.optional and (standing is None or not standing.unsettled)
            )
        return True

    return all(ready(name) for name in rule.inputs)


def table_names(names: Sequence[str]) -> frozenset[str]:
    """Those of the names that are tables."""
    return frozenset(name for name in names if not asset_rules()[name].partitioned)
