"""The assets with their resources: all that a worker needs."""

from __future__ import annotations

import dagster as dg

from paraspinal_assets.defs.assets import ASSETS
from paraspinal_assets.defs.automation.batches import with_batches
from paraspinal_assets.defs.workspace import StudyResource, study_place
from paraspinal_assets.study.automation_settings import AutomationSettings


def automation_settings() -> AutomationSettings:
    """Those of the study that this process works on; the defaults where there is no study file yet."""
    place = study_place()
    return place.load().automation if place.exists() else AutomationSettings()


def asset_definitions() -> dg.Definitions:
    """The assets of the study that this process works on."""
    return dg.Definitions(
        assets=with_batches(ASSETS, automation_settings().batch),
        resources={"study": StudyResource(study_file=str(study_place()))},
        executor=dg.in_process_executor,
    )
