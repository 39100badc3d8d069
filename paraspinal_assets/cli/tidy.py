"""Deleting what Dagster keeps of old runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from paraspinal_assets.cli.study_argument import STUDY
from paraspinal_assets.defs.automation.retention import delete_run, superseded_runs
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.study.place import StudyPlace


@click.command()
@STUDY
@click.option("--older-than", "days", type=click.IntRange(0), default=90, show_default=True, help="Days.")
def tidy(study: StudyPlace, days: int) -> None:
    """Delete old runs and their events, except those that say what the present results were built from."""
    workspace = Workspace.open(study)
    with study_instance(workspace) as instance:
        before = datetime.now(UTC) - timedelta(days=days)
        runs = superseded_runs(instance, EventIndex(instance), before)
        for run in runs:
            delete_run(instance, workspace.store.dagster_home, run)
    click.echo(f"Deleted {len(runs)} runs.")


commands = (tidy,)
