"""Sensors: what came in, and going on with a rebuild."""

from __future__ import annotations

import json
import time
from typing import Final

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus

from paraspinal_assets.defs.abandoned import close_abandoned
from paraspinal_assets.defs.automation import backfill
from paraspinal_assets.defs.automation.jobs import rebuild_stale
from paraspinal_assets.defs.automation.run_lock import is_at_work, looking
from paraspinal_assets.defs.observe import Incoming, look
from paraspinal_assets.defs.scan_asset import SCANS, shared_index
from paraspinal_assets.defs.workspace import StudyResource
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.automation_settings import AutomationSettings

TICK_S: Final = 25.0
"""A tick looks at scans this long and goes on behind them in the next one; Dagster ends a tick after 60 s."""
TICK_NEWS: Final = 500
"""At most so many new or changed scans in a tick: each is an event that is written after it."""
NEXT_EVERY_S: Final = 15


def new_scans(settings: AutomationSettings) -> dg.SensorDefinition:
    """The sensor that takes in new, changed and withdrawn scans and tables."""

    @dg.sensor(
        name="new_scans",
        description="Looks for new, changed and withdrawn scans and clinical tables. A scan that may still be"
        " copied is left until it has been quiet for a while.",
        minimum_interval_seconds=settings.look_every_seconds,
        default_status=_status(settings),
    )
    def sensor(context: dg.SensorEvaluationContext, study: StudyResource) -> dg.SensorResult:
        deadline = time.monotonic() + TICK_S

        def enough(incoming: Incoming) -> bool:
            return time.monotonic() > deadline or len(incoming.observations) >= TICK_NEWS

        instance, workspace = context.instance, study.open()
        with looking(workspace.store):
            incoming = look(
                workspace,
                instance,
                shared_index(instance),
                unattended=True,
                after=context.cursor or None,
                enough=enough,
            )
        words = describe(incoming)
        context.log.info(words)
        requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
        if incoming.added:
            requests.append(SCANS.build_add_request(incoming.added))
        if incoming.gone:
            requests.append(SCANS.build_delete_request(incoming.gone))
        return dg.SensorResult(
            dynamic_partitions_requests=requests,
            asset_events=incoming.observations,
            cursor=incoming.looked_at or "",
            skip_reason=words,  # a tick that starts no run counts as skipped; this is what it did
        )

    return sensor


def describe(incoming: Incoming) -> str:
    """What a look found, in words."""
    new = set(incoming.added)
    changed = [event.partition or event.asset_key.to_user_string() for event in incoming.observations]
    groups = {
        "new": incoming.added,
        "changed": sorted({name for name in changed if name not in new}),
        "gone": incoming.gone,
        "waiting": [f"{key or asset}: {why}" for (asset, key), why in incoming.held.items()],
        "not scans": [_told(problem) for problem in incoming.problems],
    }
    parts = [
        f"{len(names)} {name} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        for name, names in groups.items()
        if names
    ]
    if incoming.looked_at:
        parts.append(f"looked as far as {incoming.looked_at}; the next tick goes on there")
    return "; ".join(parts) or "no change"


def _told(problem: StudyError) -> str:
    """A problem in a line; the name of a folder that is no participant may be a person's, and ticks are stored."""
    return problem.code if problem.code == "E-STUDY-10" else str(problem).splitlines()[0]


def rebuild_next() -> dg.SensorDefinition:
    """The sensor that starts a rebuild's next step when its backfill is done."""

    @dg.sensor(
        name="rebuild_next",
        description="Goes on with a rebuild when its backfill is done, and ends runs whose process was killed.",
        job=rebuild_stale,
        minimum_interval_seconds=NEXT_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext, study: StudyResource) -> dg.SensorResult:
        for run_id in close_abandoned(shared_index(context.instance), study.open().store.dagster_home):
            context.log.info(f"ended run {run_id}: its process was killed")
        done = backfill.rebuilds(context.instance)
        if not done or done[0].backfill_id == context.cursor:
            return dg.SensorResult(skip_reason="no rebuild to go on with", cursor=context.cursor)
        latest = done[0]
        if latest.status == BulkActionStatus.CANCELED:
            return dg.SensorResult(
                skip_reason=f"backfill {latest.backfill_id} was cancelled, and its rebuild with it",
                cursor=latest.backfill_id,
            )
        running = backfill.in_progress(context.instance)
        if running:
            return dg.SensorResult(
                skip_reason=f"backfill {running[0].backfill_id} is in progress", cursor=context.cursor
            )
        if is_at_work(study.open().store):
            return dg.SensorResult(skip_reason="a command is running the study", cursor=context.cursor)
        options = json.loads(latest.tags[backfill.OPTIONS])
        request = dg.RunRequest(
            run_key=f"after-{latest.backfill_id}",
            run_config={"ops": {"rebuild": {"config": options}}},
            tags={backfill.REBUILD: latest.tags[backfill.REBUILD]},
        )
        return dg.SensorResult(run_requests=[request], cursor=latest.backfill_id)

    return sensor


def _status(settings: AutomationSettings) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if settings.enabled else dg.DefaultSensorStatus.STOPPED
