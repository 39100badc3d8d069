"""Rebuild what is stale, wave by wave, on all cores: each batch is one Dagster run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Final

import dagster as dg

from paraspinal_assets.defs.abandoned import close_abandoned
from paraspinal_assets.defs.automation.batches import batch_sizes, chosen_sizes
from paraspinal_assets.defs.automation.run_lock import exclusive
from paraspinal_assets.defs.automation.run_report import Report
from paraspinal_assets.defs.automation.staleness import Assessment, Staleness
from paraspinal_assets.defs.automation.worker_pool import WorkerPool
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.defs.rules import AssetRule, asset_rules, waves
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.launchers.command_runs import COMMAND_TAG
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.settings import Study

BATCHES_PER_WORKER: Final = 3
"""Enough batches that no worker waits long for the last one, few enough that a run's start-up does not count."""


@dataclass(frozen=True)
class Selection:
    """What a run may build: all assets and scans unless it says otherwise.

    `retry_failed` builds what failed for its input too, though nothing of it has changed.
    """

    assets: frozenset[str] | None = None
    exams: frozenset[str] | None = None
    participants: frozenset[str] | None = None
    retry_failed: bool = False

    def has(self, rule: AssetRule) -> bool:
        """Whether the asset may be built."""
        return not rule.external and (self.assets is None or rule.name in self.assets)

    def has_key(self, key: str | None) -> bool:
        """Whether the scan may be built; tables always may."""
        if key is None:
            return True
        scan = Scan.from_key(key)
        return (self.exams is None or scan.exam in self.exams) and (
            self.participants is None or scan.participant in self.participants
        )


class Progress:
    """Told what a run is doing; the command line draws it, tests ignore it."""

    def looking(self, done: int, total: int) -> None:
        """`done` of `total` inputs have been compared with what was seen last."""

    def begins(self, asset: str, scans: int) -> None:
        """An asset will be built for so many scans (1 for a table)."""

    def advances(self, asset: str) -> None:
        """One more is done, well or not; called from another thread too."""


def run_study(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    selection: Selection,
    *,
    workers: int,
    progress: Progress,
    unattended: bool = False,
) -> Report:
    """Look at the inputs, then build every selected stale or missing partition and table.

    A wave is assessed only when the waves before it are done, so that what was rebuilt to the same data
    version ends there. Nothing raises for a bad scan: it is in the report.
    """
    with exclusive(workspace.store):
        workspace.store.check_artifacts()
        workspace.store.remove_leftovers()
        index = EventIndex(instance)
        close_abandoned(index, workspace.store.dagster_home, own=COMMAND_TAG)
        incoming = look(workspace, instance, index, progress.looking, unattended=unattended)
        report = Report(problems=take_in(incoming, instance), held=incoming.held)
        scans = instance.get_dynamic_partitions(SCANS.name or "")
        _refuse_unknown(selection, [*map(Scan.from_key, scans), *incoming.manifest.scans])
        sizes = batch_sizes(chosen_sizes(workspace.study))
        assessment = Assessment()
        with WorkerPool(workers, workspace, index, progress.advances) as pool:
            for wave in waves():
                staleness = Staleness(workspace, index, scans, incoming.held)
                staleness.assess_more(assessment, wave)
                wanted = todo = _todo(wave, assessment, selection)
                before = {rule.name: index.records(rule.name) for rule in wanted}
                for attempt in _ATTEMPTS:
                    sharing = _sharing(todo, workers, workspace.study)
                    lost = attempt(list(_tasks(todo, scans, sharing, sizes)), pool, progress)
                    if any(todo.values()):
                        staleness.assess_more(assessment, wave)
                    if not lost:
                        break
                    # A worker died. What it had finished is kept, what it had not is stale.
                    todo = _todo(wave, assessment, replace(selection, retry_failed=False))
                report.add_built(wanted, before, index)
                for rule in wave:
                    if not rule.external:
                        report.add_standing(rule, assessment.standings[rule.name], index)
    return report


def _refuse_unknown(selection: Selection, scans: Sequence[Scan]) -> None:
    """Nothing to build for a participant of whom there is no scan would look as if everything were fresh."""
    unknown = (selection.participants or frozenset()) - {scan.participant for scan in scans}
    if unknown:
        raise StudyError(
            "E-STUDY-63", f"no scan of {', '.join(sorted(unknown))} in this study", "check the id"
        )


def _todo(
    wave: Sequence[AssetRule], assessment: Assessment, selection: Selection
) -> dict[AssetRule, list[str | None]]:
    """What of a wave is selected and should be built now."""
    return {
        rule: [
            key
            for key in assessment.buildable(rule.name, failed=selection.retry_failed)
            if selection.has_key(key)
        ]
        for rule in wave
        if selection.has(rule)
    }


@dataclass(frozen=True)
class _Task:
    """One Dagster run: one asset, with contiguous scans or as a table."""

    asset: str
    keys: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Scans, or 1 for a table."""
        return max(1, len(self.keys))


def _sharing(todo: Mapping[AssetRule, list[str | None]], workers: int, study: Study) -> dict[str, int]:
    """Asset with scans to do -> batches that they are to be split into, for all workers or GPUs to have work."""
    batches = {rule.name: workers * BATCHES_PER_WORKER for rule, keys in todo.items() if keys}
    if "segmentation" in batches and study.segmentation.on_gpu:
        from paraspinal_assets.segmenters.devices import gpu_count

        gpus = min(workers, gpu_count(study.segmentation.device))
        batches["segmentation"] = gpus * BATCHES_PER_WORKER if gpus > 1 else 1
    return batches


def _tasks(
    todo: Mapping[AssetRule, list[str | None]],
    scans: Sequence[str],
    batches: Mapping[str, int],
    sizes: Mapping[str, int],
) -> Iterator[_Task]:
    position = {key: number for number, key in enumerate(scans)}
    for rule, keys in todo.items():
        if rule.partitioned and keys:
            wanted = sorted((key for key in keys if key is not None), key=position.__getitem__)
            size = min(sizes[rule.name], math.ceil(len(wanted) / batches[rule.name]))
            yield from (_Task(rule.name, batch) for batch in contiguous(wanted, position, size))
        elif keys:
            yield _Task(rule.name)


def contiguous(keys: Sequence[str], position: dict[str, int], size: int) -> Iterator[tuple[str, ...]]:
    """Split ordered keys into ranges without a gap, at most `size` long: a run takes one range of partitions."""
    batch: list[str] = []
    for key in keys:
        if batch and (len(batch) == size or position[key] != position[batch[-1]] + 1):
            yield tuple(batch)
            batch = []
        batch.append(key)
    if batch:
        yield tuple(batch)


def _build(tasks: list[_Task], pool: WorkerPool, progress: Progress) -> bool:
    """Run all tasks on all workers; says whether a worker died, which ends the others too."""
    totals: dict[str, int] = {}
    for task in tasks:
        totals[task.asset] = totals.get(task.asset, 0) + task.size
    for asset, total in totals.items():
        progress.begins(asset, total)
    return _attempt(tasks, pool, progress)


def _attempt(tasks: list[_Task], pool: WorkerPool, progress: Progress) -> bool:
    running: dict[Future[None], _Task] = {}
    try:
        for task in tasks:
            running[pool.submit(task.asset, task.keys)] = task
        for future in as_completed(running):
            future.result()
            if not running[future].keys:
                progress.advances(running[future].asset)
    except BrokenProcessPool:
        pool.restart()
        return True
    return False


def _build_one_by_one(tasks: list[_Task], pool: WorkerPool, progress: Progress) -> bool:
    """Run task after task, so that one that kills its worker is known by name (E-STUDY-51)."""
    for task in tasks:
        if _attempt([task], pool, progress):
            raise StudyError(
                "E-STUDY-51",
                f"a worker died again while building {task.asset} for {', '.join(task.keys) or 'all'}",
                "the machine may be out of memory: run with fewer --workers",
            )
    return False


_ATTEMPTS: Final = (_build, _build, _build_one_by_one)
"""A worker that was killed once may have been unlucky; after the second time each batch runs alone."""


def select_assets(words: Sequence[str], groups: dict[str, set[str]]) -> frozenset[str] | None:
    """Asset names from names and ``group:`` words; none means all (E-STUDY-52 for an unknown word)."""
    chosen: set[str] = set()
    for word in words:
        if word.startswith("group:") and word.removeprefix("group:") in groups:
            chosen |= groups[word.removeprefix("group:")]
        elif word in asset_rules():
            chosen.add(word)
        else:
            raise StudyError(
                "E-STUDY-52",
                f"no asset or group {word!r}",
                f"use names among {', '.join(asset_rules())}, or group:NAME with {', '.join(groups)}",
            )
    return frozenset(chosen) or None
