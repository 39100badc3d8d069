"""The assets with their resources: all that a worker needs."""

from __future__ import annotations

import dagster as dg

from paraspinal_assets.defs.assets import ASSETS
from paraspinal_assets.defs.automation.batches import chosen_sizes, with_batches
from paraspinal_assets.defs.workspace import StudyResource, study_place
from paraspinal_assets.study.settings import Study


def present_study() -> Study | None:
    """The study that this process works on; None where there is no study file yet."""
    place = study_place()
    return place.load() if place.exists() else None


def asset_definitions() -> dg.Definitions:
    """The assets of the study that this process works on."""
    study = present_study()
    return dg.Definitions(
        assets=with_batches(ASSETS, chosen_sizes(study) if study else {}),
        resources={"study": StudyResource(study_file=str(study_place()))},
        executor=dg.in_process_executor,
    )
