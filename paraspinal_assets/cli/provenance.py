"""Commands on where numbers come from: explain, diff."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from paraspinal_assets.cli.study_argument import STUDY_TYPE
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.provenance_diff import Change
from paraspinal_assets.defs.provenance_diff import diff as changes_between
from paraspinal_assets.defs.provenance_row import Step
from paraspinal_assets.defs.provenance_row import explain as explain_row
from paraspinal_assets.defs.workspace import Workspace, study_place
from paraspinal_assets.study.place import StudyPlace

STUDY_LAST = click.argument("study", type=STUDY_TYPE, default=study_place)
"""The study as the last argument; PARASPINAL_STUDY or the demo when absent."""
SHORT = 12
"""Characters of a digest or run id that are printed; all of them are in the JSON."""


@click.command()
@click.argument("table")
@click.argument("row")
@STUDY_LAST
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, with digests in full.")
def explain(table: str, row: str, study: StudyPlace, as_json: bool) -> None:
    """List what a ROW of TABLE was built from: scan fingerprint, code, weights, study file, runs, times.

    ROW is a scan key (exam5-1001), a participant, or the values of the table's key joined by `/`.
    """
    workspace = Workspace.open(study)
    with study_instance(workspace) as instance:
        found = explain_row(workspace, instance, table, row)
    if as_json:
        click.echo(json.dumps(found.as_json()))
        return
    click.echo(f"{table} {row}: {found.rows} rows, written by {found.asset}; study file {found.study_file}")
    for scan, model in found.models.items():
        click.echo(f"{scan} model: " + ", ".join(f"{name} {value}" for name, value in model.items()))
    for asset, scans in found.summarized.items():
        click.echo(f"{asset} of {scans} scans")
    for step in found.steps:
        click.echo(_line(step))


def _line(step: Step) -> str:
    parts = [f"{step.asset} {step.scan or ''}".strip(), step.built_at]
    parts.append(f"content {(step.data_version or step.failure or '-')[:SHORT]}")
    parts += [f"code {step.code_version}"] if step.code_version else []
    parts += [f"run {step.run_id[:SHORT]}"] if step.run_id else []
    parts += [f"study file: {name} {value[:SHORT]}" for name, value in step.settings.items()]
    parts += [f"SINCE THEN {change}" for change in step.changed_since]
    return " | ".join(parts)


@click.command()
@click.argument("run_a")
@click.argument("run_b")
@STUDY_LAST
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def diff(run_a: str, run_b: str, study: StudyPlace, as_json: bool) -> None:
    """Show which rows are different after RUN_B from what they were after RUN_A, and why.

    Runs are Dagster's run ids or their beginnings; `now` is the present. A scan's rows in the measurement
    tables changed when its artifact did; a table of the whole study is compared as one.
    """
    workspace = Workspace.open(study)
    with study_instance(workspace) as instance:
        changes = changes_between(instance, run_a, run_b)
    if as_json:
        click.echo(json.dumps({"changes": [asdict(change) for change in changes]}))
        return
    for change in changes:
        click.echo(_sentence(change))
    if not changes:
        click.echo("No difference.")


def _sentence(change: Change) -> str:
    versions = f"{(change.before or '-')[:SHORT]} -> {(change.after or '-')[:SHORT]}"
    return f"{change.asset} {change.scan or '(table)'}: {'; '.join(change.why)} ({versions})"


commands = (explain, diff)
