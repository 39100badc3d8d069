"""The definitions of the code location."""

from __future__ import annotations

import dagster as dg

from paraspinal_assets.defs.asset_definitions import asset_definitions, present_study
from paraspinal_assets.defs.automation.jobs import rebuild_stale
from paraspinal_assets.defs.automation.schedules import rebuild_stale_nightly
from paraspinal_assets.defs.automation.sensors import new_scans, rebuild_next
from paraspinal_assets.launchers.lost_jobs import lost_slurm_jobs
from paraspinal_assets.study.automation_settings import AutomationSettings


def build_definitions() -> dg.Definitions:
    """Assets, job, schedule and sensors of the study that this process works on."""
    study = present_study()
    settings = study.automation if study else AutomationSettings()
    automation = dg.Definitions(
        jobs=[rebuild_stale],
        schedules=[rebuild_stale_nightly(settings)],
        sensors=[new_scans(settings), rebuild_next(), lost_slurm_jobs],
    )
    return dg.Definitions.merge(asset_definitions(), automation)
