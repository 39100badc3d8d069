"""The nightly rebuild of what is stale."""

from __future__ import annotations

import dagster as dg

from paraspinal_assets.defs.automation.jobs import rebuild_stale
from paraspinal_assets.study.automation_settings import AutomationSettings


def rebuild_stale_nightly(settings: AutomationSettings) -> dg.ScheduleDefinition:
    """The schedule of the study file. After a time without daemon only the latest tick is made up for."""
    return dg.ScheduleDefinition(
        name="rebuild_stale_nightly",
        description="Rebuilds what is stale, as backfills. Ticks that were missed are made up for by one.",
        job=rebuild_stale,
        cron_schedule=settings.schedule,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING
        if settings.enabled
        else dg.DefaultScheduleStatus.STOPPED,
    )
