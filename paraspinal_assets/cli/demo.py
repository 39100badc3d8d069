"""The demo: make the synthetic study, run the whole asset graph on it, and compare with the truth."""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import click

from paraspinal_assets.cli.study import describe, run_with_bars
from paraspinal_assets.defs.automation.run_report import Report
from paraspinal_assets.defs.automation.runner import Selection
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.phantom.demo import make_demo_study
from paraspinal_assets.report.headline import headline

PHANTOM_NETWORK: Final = Path(__file__).resolve().parents[2] / "data" / "phantom_network"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("data/demo"))
@click.option(
    "--participants",
    type=click.IntRange(8),
    default=160,
    show_default=True,
    help="With two sound scans each.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=os.cpu_count(), help="Processes; default: all cores."
)
def demo(folder: Path, participants: int, workers: int) -> None:
    """Make the synthetic study in FOLDER and run everything on it."""
    started = time.monotonic()
    study_file = folder / "study.yaml"
    if not study_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        study_file.write_text(study_text(folder), encoding="utf-8")
    with click.progressbar(length=100, label="Making the synthetic study", file=sys.stderr) as bar:
        make_demo_study(
            folder,
            participants=participants,
            workers=workers,
            progress=lambda done, total: bar.update(100 * done // total - bar.pos),
        )
    made = time.monotonic()
    workspace = Workspace.open(study_file)
    report = run_with_bars(workspace, Selection(), workers)
    describe(report, workspace)
    click.echo(f"\nMaking the study took {made - started:.0f} s, running it {time.monotonic() - made:.0f} s.")
    summarize(workspace)
    unexpected = unexpected_failures(report, workspace.root)
    for line in unexpected:
        click.echo(f"Unexpected: {line}", err=True)
    sys.exit(1 if unexpected else 0)


def study_text(folder: Path) -> str:
    """The demo's study file for a folder anywhere: its path to the phantom network leads to that of the project."""
    template = (files("paraspinal_assets.study") / "templates" / "demo.yaml").read_text(encoding="utf-8")
    network = Path(os.path.relpath(PHANTOM_NETWORK, folder.resolve())).as_posix()
    return template.replace("../phantom_network", network)


def summarize(workspace: Workspace) -> None:
    """Print the flow, the headline numbers beside their truth, and where everything is."""
    database, store = workspace.database, workspace.store
    click.echo("\nFlow")
    for row in database.read("disposition").to_dict("records"):
        if isinstance(row["reason"], str) and row["reason"]:
            click.echo(
                f"    - {row['participants']:>4} {REASONS.get(row['reason'], row['reason'])} ({row['reason']})"
            )
        else:
            click.echo(f"  {row['participants']:>6} {row['label']}")
    truth = json.loads((workspace.root / "truth.json").read_text(encoding="utf-8"))["effects"]["achieved"]
    tables = {name: database.read(name) for name in ("cohort", "quartile_cohort", "linear_fit", "auc")}
    click.echo(f"\n{'Headline':<42}{'measured':>10}{'truth':>10}")
    for item in headline(tables, truth):
        known = "" if item["truth"] is None else f"{item['truth']:.3g}"
        click.echo(f"{item['label']:<42}{item['value']:>10.3g}{known:>10} {item['unit']}")
    click.echo(f"\nDatabase  {store.database_path}")
    click.echo(f"Report    {store.report_folder / 'report.html'}")
    click.echo(f"Figures   {store.figures_folder}")
    click.echo(f"Exports   {store.exports_folder}")
    click.echo("Dagster   make dev   (or: paraspinal ui STUDY)")


def unexpected_failures(report: Report, root: Path) -> list[str]:
    """Scans that failed although the study was not made with them broken, and the other way round."""
    broken: list[dict[str, Any]] = json.loads((root / "truth.json").read_text(encoding="utf-8"))["broken"]
    expected = {
        f"{entry['exam']}-{entry['participant']}" for entry in broken if entry["reason"] == "read_error"
    }
    failed = {key for codes in report.failed.values() for key in codes}
    lines = [f"{key or 'a table'} failed" for key in sorted(failed - expected)]
    return lines + [f"{key} is broken and did not fail" for key in sorted(expected - failed)]


commands = (demo,)
