"""Commands about the networks: which weights a study needs, and training the phantom network."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from paraspinal_assets.cli.study_argument import STUDY
from paraspinal_assets.defs.segmentation.segmenter import weights_folder
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import draw_parameters
from paraspinal_assets.segmenters.phantom_network import COURSES, train_phantom_network
from paraspinal_assets.segmenters.weights import (
    PHANTOM_NOTE,
    Role,
    WeightsReport,
    check_weights,
    fetch_weights,
    require_weights,
)
from paraspinal_assets.study.place import StudyPlace

ROLES = tuple(course.roles[0] for course in COURSES)


@click.command()
@click.option(
    "--check", "action", flag_value="check", default="check", help="Say what is there (the default)."
)
@click.option(
    "--fetch",
    "action",
    flag_value="fetch",
    help="Download what is missing with TotalSegmentator's own loader.",
)
@STUDY
def weights(study: StudyPlace, action: str) -> None:
    """Say which network weights STUDY needs, where they are, their digests and licences."""
    workspace = Workspace.open(study)
    options = workspace.study.segmentation
    folder = weights_folder(workspace.study, workspace.root)
    report = check_weights(folder, fast=options.fast, bodies=options.bodies, body_task=options.body_task)
    if action == "fetch":
        report = fetch_weights(report)
    describe(report)
    require_weights(report)


def describe(report: WeightsReport) -> None:
    """Print a line per network, and the files to copy to a machine without internet."""
    click.echo(f"Weights folder: {report.folder}")
    for network in report.networks:
        state = f"missing {len(network.missing)} files" if network.missing else f"{network.size / 1e6:.1f} MB"
        note = f"  {PHANTOM_NOTE}" if network.phantom else ""
        spec = network.spec
        click.echo(
            f"{spec.dataset}  {spec.role:<28} {state:<18} {network.digest or '-':<18} no licence needed{note}"
        )
    for path in report.copy_list():
        click.echo(f"to copy: {path}")


@click.command("train-phantom-network")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=2024, show_default=True, help="Of the phantoms, patches and first weights.")
@click.option(
    "--phantoms", type=click.IntRange(1), default=64, show_default=True, help="Scans to learn from."
)
@click.option(
    "--effort",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Factor on the number of steps; 0.01 is a trial.",
)
@click.option(
    "--start-from",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a phantom network to train further.",
)
@click.option(
    "--only",
    type=click.Choice(ROLES),
    multiple=True,
    default=ROLES,
    help="Networks to train; `vertebrae` is also that of the muscles.",
)
def train(
    folder: Path, seed: int, phantoms: int, effort: float, start_from: Path | None, only: tuple[Role, ...]
) -> None:
    """Train the phantom network, not for patients, on synthetic CTs, and write it to FOLDER.

    The same options, packages and kind of processor give the same bytes.
    """
    train_phantom_network(
        _draw, folder, seed=seed, phantoms=phantoms, effort=effort, start_from=start_from, only=only,
        progress=click.echo,
    )  # fmt: skip
    for fast in (True, False):
        describe(check_weights(folder, fast=fast))


def _draw(rng: np.random.Generator) -> tuple[Volume, Volume]:
    phantom = make_phantom(draw_parameters(rng), rng)
    return phantom.ct, phantom.labels


commands = (weights, train)
