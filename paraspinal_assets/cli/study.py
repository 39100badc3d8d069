"""Commands on a study: init, check, run, status, export."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from paraspinal_assets.cli.study_argument import STUDY
from paraspinal_assets.defs.assets import ASSETS
from paraspinal_assets.defs.automation.run_lock import looking
from paraspinal_assets.defs.automation.run_report import Report
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study, select_assets
from paraspinal_assets.defs.automation.staleness import Assessment, Staleness, State
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.defs.rules import asset_rules, compute_problems
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.study.place import StudyPlace

if TYPE_CHECKING:
    from paraspinal_assets.study.export import Format

MAX_SHOWN = 12


def groups() -> dict[str, set[str]]:
    """Asset group -> its assets."""
    found: dict[str, set[str]] = {}
    for asset in ASSETS:
        for key, group in getattr(asset, "group_names_by_key", {}).items():
            found.setdefault(group, set()).add(key.to_user_string())
    return found


@click.command()
@click.argument("folder")
def init(folder: str) -> None:
    """Make FOLDER, which may be an address s3://bucket/prefix, with a commented study.yaml to start from."""
    place = StudyPlace.of(folder)
    if place.address is None:
        place = StudyPlace(Path(folder) / "study.yaml")
    if place.exists():
        raise StudyError("E-STUDY-03", f"{place} is there already", "edit it, or choose another folder")
    place.write((files("paraspinal_assets.study") / "templates" / "study.yaml").read_bytes())
    click.echo(f"Wrote {place}. Edit it, then: paraspinal check {place}")


@click.command()
@STUDY
def check(study: StudyPlace) -> None:
    """Check the study file, clinical tables and scan folders, without computing; all problems at once."""
    from paraspinal_assets.study.problems import check_study

    workspace = Workspace.open(study)
    found = check_study(workspace.study, workspace.store.inputs)
    for exam, count in found.scans.items():
        click.echo(f"{exam}: {count} scans")
    problems = [*found.problems, *compute_problems(workspace.study)]
    for problem in problems:
        click.echo(f"- {problem}")
    if problems:
        raise StudyError(
            "E-STUDY-04",
            f"{len(problems)} problems",
            "correct them and check again",
        )
    click.echo("No problems found.")


@click.command()
@STUDY
@click.option("--exam", "exams", multiple=True, help="Only scans of this exam; may be given more than once.")
@click.option("--participant", "participants", multiple=True, help="Only scans of this participant.")
@click.option("--select", default="", help="Only these assets: names or group:NAME, separated by commas.")
@click.option(
    "--workers", type=click.IntRange(1), default=os.cpu_count(), help="Processes; default: all cores."
)
@click.option("--retry-failed", is_flag=True, help="Also what failed for its input, which has not changed.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON; no progress bar.")
def run(
    study: StudyPlace,
    exams: tuple[str, ...],
    participants: tuple[str, ...],
    select: str,
    workers: int,
    retry_failed: bool,
    as_json: bool,
) -> None:
    """Build whatever is stale or missing, through Dagster."""
    workspace = Workspace.open(study)
    for exam in exams:
        if exam not in workspace.study.exams:
            raise StudyError("E-STUDY-11", f"no exam {exam!r}", f"use {', '.join(workspace.study.exams)}")
    selection = Selection(
        select_assets([word for word in select.split(",") if word], groups()),
        frozenset(exams) or None,
        frozenset(participants) or None,
        retry_failed,
    )
    report = run_with_bars(workspace, selection, workers, quiet=as_json)
    if as_json:
        click.echo(json.dumps({"materialized": report.materialized, "failed": report.failed}))
    else:
        describe(report, workspace)
    if report.failed or report.problems:
        sys.exit(1)


def run_with_bars(workspace: Workspace, selection: Selection, workers: int, *, quiet: bool = False) -> Report:
    """Run a study with a progress bar per asset."""
    with study_instance(workspace) as instance:
        if quiet:
            return run_study(workspace, instance, selection, workers=workers, progress=Progress())
        columns = (
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=Console(stderr=True)) as bars:
            return run_study(workspace, instance, selection, workers=workers, progress=_Drawn(bars))


class _Drawn(Progress):
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def looking(self, done: int, total: int) -> None:
        if "inputs" not in self._tasks:
            self._tasks["inputs"] = self._bars.add_task("inputs", total=total)
        self._bars.update(self._tasks["inputs"], completed=done)

    def begins(self, asset: str, scans: int) -> None:
        self._tasks[asset] = self._bars.add_task(asset, total=scans)

    def advances(self, asset: str) -> None:
        self._bars.advance(self._tasks[asset])


def describe(report: Report, workspace: Workspace) -> None:
    """Print what a run did, what failed and what cannot be measured, by name."""
    tell_problems(report.problems)
    tell_held(report.held)
    built = {asset: len(keys) for asset, keys in report.materialized.items()}
    click.echo(
        "Built: " + ", ".join(f"{asset} ({count})" if count else asset for asset, count in built.items())
        if built
        else "Nothing to build: everything is fresh."
    )
    for scan, reason in list(report.not_measurable.items())[:MAX_SHOWN]:
        click.echo(f"Not analysed: {scan}: {REASONS.get(reason, reason)} ({reason})")
    if len(report.not_measurable) > MAX_SHOWN:
        click.echo(f"... and {len(report.not_measurable) - MAX_SHOWN} more; see the table scans")
    for asset, codes in report.failed.items():
        for key in codes:
            click.echo(f"Failed: {asset} {key}: {report.messages[(asset, key)]}")


def tell_problems(problems: Sequence[StudyError]) -> None:
    """Print which files and folders are no scans, and which exams are away."""
    for problem in problems[:MAX_SHOWN]:
        click.echo(f"Problem: {problem}")
    if len(problems) > MAX_SHOWN:
        click.echo(f"... and {len(problems) - MAX_SHOWN} more; `paraspinal check` names all of them")


def tell_held(held: Mapping[tuple[str, str | None], str]) -> None:
    """Print which inputs are left alone for now, and why."""
    for (asset, key), reason in list(held.items())[:MAX_SHOWN]:
        click.echo(f"Waiting: {asset} {key or ''}: {reason}")
    if len(held) > MAX_SHOWN:
        click.echo(f"... and {len(held) - MAX_SHOWN} more")


@click.command()
@STUDY
@click.option(
    "--json", "as_json", is_flag=True, help="As JSON, with a reason for everything that is not fresh."
)
def status(study: StudyPlace, as_json: bool) -> None:
    """Say what is fresh, stale, missing, blocked or failed, and why; builds nothing."""
    workspace = Workspace.open(study)
    with study_instance(workspace) as instance:
        index = EventIndex(instance)
        with looking(workspace.store):
            incoming = look(workspace, instance, index)
            take_in(incoming, instance)
        scans = instance.get_dynamic_partitions(SCANS.name or "")
        assessment = Staleness(workspace, index, scans, incoming.held).assess()
    content = status_content(assessment)
    if as_json:
        problems = [str(problem) for problem in incoming.problems]
        click.echo(json.dumps({"assets": content, "problems": problems}))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("asset", *State):
        table.add_column(title, justify="left" if title == "asset" else "right")
    for name, counts in content.items():
        table.add_row(name, *(str(counts[state] or "") for state in State))
    Console().print(table)
    tell_problems(incoming.problems)
    tell_held(incoming.held)
    for name, counts in content.items():
        for reason in counts["reasons"][:3]:
            click.echo(f"{name} {reason['scan'] or ''}: {reason['reason'].splitlines()[0]}")


def status_content(assessment: Assessment) -> dict[str, dict[str, Any]]:
    """Counts by state and the reasons, for every asset that is built here."""
    content: dict[str, dict[str, Any]] = {}
    for name, standings in assessment.standings.items():
        if asset_rules()[name].external:
            continue
        counts: dict[str, Any] = {state.value: 0 for state in State}
        for standing in standings.values():
            counts[standing.state.value] += 1
        counts["reasons"] = [
            {"scan": key, "reason": standing.reason} for key, standing in standings.items() if standing.reason
        ]
        content[name] = counts
    return content


@click.command(name="export")
@STUDY
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option(
    "--format", "kind", type=click.Choice(["parquet", "csv", "stata"]), default="csv", show_default=True
)
def export_command(study: StudyPlace, folder: Path, kind: Format) -> None:
    """Write every table, with its data dictionary."""
    from paraspinal_assets.study.export import export

    workspace = Workspace.open(study)
    written = export(workspace.database, folder, kind)
    click.echo(f"Wrote {len(written)} files to {folder}")


commands = (init, check, run, status, export_command)
