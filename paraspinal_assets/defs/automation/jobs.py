"""The job that rebuilds what is stale, for the schedule and for people in the UI."""

from typing import Any

import dagster as dg
from pydantic import Field

from paraspinal_assets.defs.automation.backfill import REBUILD
from paraspinal_assets.defs.automation.rebuild import rebuild_step
from paraspinal_assets.defs.automation.runner import Selection, select_assets
from paraspinal_assets.defs.workspace import StudyResource
from paraspinal_assets.errors import StudyError

MAX_SHOWN = 200


class RebuildOptions(dg.Config):
    """What to rebuild; everything unless it says otherwise."""

    exams: list[str] = Field(default=[], description="Only scans of these exams.")
    participants: list[str] = Field(default=[], description="Only scans of these participants.")
    assets: list[str] = Field(default=[], description="Only these assets: names or group:NAME.")
    dry_run: bool = Field(default=False, description="Only say what would be built, and why.")


@dg.op(pool="rebuild", description="Launch a backfill of what is stale; build the tables once no scan is.")
def rebuild(context: dg.OpExecutionContext, config: RebuildOptions, study: StudyResource) -> None:
    """See the job."""
    workspace = study.open()
    for exam in config.exams:
        if exam not in workspace.study.exams:
            raise StudyError("E-STUDY-11", f"no exam {exam!r}", f"use {', '.join(workspace.study.exams)}")
    step = rebuild_step(
        workspace,
        context.instance,
        context.repository_def.asset_graph,
        Selection(
            select_assets(config.assets, asset_groups(context.repository_def)),
            frozenset(config.exams) or None,
            frozenset(config.participants) or None,
        ),
        rebuild=context.run.tags.get(REBUILD, context.run_id),
        options=config.model_dump(),
        dry_run=config.dry_run,
        log=context.log.info,
    )
    context.log.info(step.words)
    lines = step.plan.lines()
    shown = [f"- {line}" for line in lines[:MAX_SHOWN]]
    if len(lines) > MAX_SHOWN:
        shown.append(f"- ... and {len(lines) - MAX_SHOWN} more in the log")
    metadata: dict[str, Any] = {
        "done": step.words,
        "plan": dg.MetadataValue.md("\n".join(shown) or "nothing"),
    }
    if step.backfill_id:
        metadata["backfill"] = step.backfill_id
    context.add_output_metadata(metadata)
    if step.report is not None and step.report.failed:
        failed = {asset: codes for asset, codes in step.report.failed.items() if set(codes) == {""}}
        if failed:
            names = ", ".join(f"{asset} ({codes['']})" for asset, codes in failed.items())
            raise dg.Failure(f"tables failed: {names}", allow_retries=False)


def asset_groups(repository: dg.RepositoryDefinition) -> dict[str, set[str]]:
    """Asset group -> its assets."""
    found: dict[str, set[str]] = {}
    for node in repository.asset_graph.asset_nodes:
        found.setdefault(node.group_name or "", set()).add(node.key.to_user_string())
    return found


@dg.job(
    name="rebuild_stale",
    description="Rebuild what is stale, and nothing else: a backfill of the stale scans, step by step until"
    " none is left, then the tables. Choose exams, participants or assets in the launchpad; `dry_run` only"
    " says what would be built, and why.",
)
def rebuild_stale() -> None:
    """See the description."""
    rebuild()
