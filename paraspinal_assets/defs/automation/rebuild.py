"""One step of an unattended rebuild: look, assess, and launch one backfill, or build the tables.

A rebuild is a chain of such steps: when its backfill is done the sensor `rebuild_next` starts the next one. No
step remembers anything but which scans it has tried, and that is read from the backfills themselves; so a daemon
that was down in between goes on where it was, and a rebuild that was cut off is taken up by the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from paraspinal_assets.defs.automation import backfill
from paraspinal_assets.defs.automation.plan import Plan, make_plan, table_names
from paraspinal_assets.defs.automation.run_lock import exclusive
from paraspinal_assets.defs.automation.run_report import Report
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.automation.staleness import Staleness
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import MachineError

MAX_LINES: Final = 20
"""Reasons in a backfill's description; the run that launched it has all."""

BUSY: Final = "E-STUDY-50"
"""Another command is running the study."""


@dataclass(frozen=True)
class Step:
    """What a step did.

    Attributes
    ----------
    plan
        What was to be built, with reasons.
    words
        What was done about it.
    backfill_id
        The backfill that was launched, if one was.
    report
        What became of the tables, if they were built.
    """

    plan: Plan = field(default_factory=Plan)
    words: str = ""
    backfill_id: str | None = None
    report: Report | None = None


def rebuild_step(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph[Any],
    selection: Selection,
    *,
    rebuild: str,
    options: dict[str, Any],
    dry_run: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> Step:
    """Do the next step of a rebuild.

    Parameters
    ----------
    workspace, instance, graph, selection
        The study, its assets, and what of them may be built.
    rebuild
        Id of the rebuild: that of the run that began it.
    options
        The selection as plain data, for the steps that follow.
    dry_run
        Say what would be done and why; launch nothing.
    log
        Told the plan, line by line.
    """
    try:
        with exclusive(workspace.store):
            plan = _plan(workspace, instance, graph, selection, rebuild)
            for line in plan.lines():
                log(line)
            if dry_run:
                return Step(plan, f"dry run; would build {plan.summary()}")
            running = backfill.in_progress(instance)
            if running:
                names = ", ".join(found.backfill_id for found in running)
                return Step(plan, f"backfill {names} is in progress: nothing launched")
            if plan.partitions:
                launched = backfill.launch(
                    instance,
                    {asset: list(whys) for asset, whys in plan.partitions.items()},
                    rebuild=rebuild,
                    options=options,
                    title=plan.title(),
                    description="; ".join(plan.lines()[:MAX_LINES]),
                )
                return Step(plan, f"launched backfill {launched}: {plan.summary()}", launched)
        if not plan.tables:
            return Step(plan, "nothing to build")
        tables = (
            table_names(list(asset_rules())) if selection.assets is None else table_names([*selection.assets])
        )
        report = run_study(
            workspace,
            instance,
            Selection(assets=tables),
            workers=1,
            progress=Progress(),
            unattended=True,
        )
        return Step(plan, f"built {', '.join(report.materialized) or 'nothing'}", report=report)
    except MachineError as error:
        if error.code != BUSY:
            raise
        return Step(words=f"nothing launched: {error.message}")


def _plan(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph[Any],
    selection: Selection,
    rebuild: str,
) -> Plan:
    index = EventIndex(instance)
    incoming = look(workspace, instance, index, unattended=True)
    take_in(incoming, instance)
    scans = instance.get_dynamic_partitions(SCANS.name or "")
    staleness = Staleness(workspace, index, scans, incoming.held)
    tried: dict[str, set[str]] = {}
    for earlier in backfill.rebuilds(instance):
        if earlier.tags[backfill.REBUILD] == rebuild:
            for asset, keys in backfill.targets(earlier, graph).items():
                tried.setdefault(asset, set()).update(keys)
    return make_plan(staleness, staleness.assess(), selection, tried=tried)
