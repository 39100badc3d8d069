"""Commands on one participant: forget."""

from __future__ import annotations

import sys

import click

from paraspinal_assets.cli.provenance import STUDY_LAST
from paraspinal_assets.defs.automation.run_lock import exclusive
from paraspinal_assets.defs.forget import Found, find
from paraspinal_assets.defs.forget import forget as forget_participant
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.study.place import StudyPlace


@click.command()
@click.argument("participant")
@STUDY_LAST
@click.option("--dry-run", is_flag=True, help="Only list where the participant occurs.")
def forget(participant: str, study: StudyPlace, dry_run: bool) -> None:
    """Remove everything that was made of PARTICIPANT's data, who withdrew consent, from STUDY.

    Artifacts, pictures, table rows, partitions, runs and events of the participant are deleted; report, exports
    and caches are deleted whole and made again by the next `paraspinal run`, as are the analyses. Then all of it
    is searched: exit code 0 means that nothing was found.

    Your own files (incoming scans, segmentations, masks, clinical tables, reviews, the study file) are never
    changed. Where the participant is still in them is listed; until you have removed that, the study leaves
    the participant out by a salted digest of the id in withdrawn.json.
    """
    workspace = Workspace.open(study)
    with study_instance(workspace) as instance, exclusive(workspace.store):
        if dry_run:
            _show(find(workspace, instance, participant), "Would be removed from")
            return
        found = forget_participant(workspace, instance, participant)
    _show(found, "STILL in")
    click.echo(f"{len(found.ours)} places name the participant in what this study has written.")
    click.echo("Run `paraspinal run` to make tables, report and exports without the participant.")
    sys.exit(1 if found.ours else 0)


def _show(found: Found, title: str) -> None:
    for line in found.ours:
        click.echo(f"{title}: {line}")
    for line in found.inputs:
        click.echo(f"In your own files: {line}")


commands = (forget,)
