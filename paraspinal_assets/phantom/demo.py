"""The demo study: DICOM series, segmentations, clinical tables and their truth, in one folder."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.phantom.demo_plan import EXAMS, ScanPlan, StudyPlan, plan_study
from paraspinal_assets.phantom.demo_scan import write_scan
from paraspinal_assets.phantom.demo_tables import cohort_truth, write_tables

GENERATOR_VERSION: Final = "1"
"""Raised when the same arguments would give other bytes than before."""

_WORK: Final = ".making"


def make_demo_study(
    root: Path,
    *,
    participants: int = 160,
    seed: int = 2024,
    workers: int = 2,
    broken: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the synthetic study to `root`, or finish one that was interrupted; the same bytes every time.

    Writes ``dicom/<exam>/<participant>/*.dcm``, ``segmentations/<exam>/<participant>/<class>.nii.gz``,
    ``reader/<exam>/<participant>/<class>.nii.gz`` (a reader's own masks of a few scans), ``clinical/*.csv``,
    ``review.csv`` and, last of all, ``truth.json``. A study whose ``truth.json`` is there is complete: the
    call returns at once.

    Parameters
    ----------
    root
        Folder of the study; what else lies in it is left alone.
    participants
        Number of participants with two sound scans.
    seed
        Seed of everything.
    workers
        Processes; the result does not depend on it. With more than one, the calling script needs an
        ``if __name__ == "__main__"`` guard.
    broken
        Add participants with a scan that is broken on purpose (see `broken.BREAKAGES`).
    progress
        Called after each scan with the number of scans done and of all scans.

    Raises
    ------
    ParaspinalError
        E-PHANTOM-10 if the folder holds a study made with other arguments, scans that this function did not
        make, or a study from which a scan was removed. E-PHANTOM-12 if the folder cannot be written.
        E-PHANTOM-13 if another process is writing it.
    """
    arguments = {"participants": participants, "seed": seed, "broken": broken, "generator": GENERATOR_VERSION}
    if participants < 1 or workers < 1:
        raise ParaspinalError(
            "E-PHANTOM-11", f"{participants} participants with {workers} workers", "use at least one of each"
        )
    root = Path(root)
    if _finished(root, arguments):
        return
    try:
        with _begin(root, arguments) as work:
            _make(root, work, arguments, workers, progress or (lambda done, total: None))
    except OSError as error:
        raise ParaspinalError(
            "E-PHANTOM-12",
            f"cannot write the synthetic study: {error}",
            "make room (160 participants take 0.9 GB) and call again: what is written is kept",
        ) from error


def _make(
    root: Path, work: Path, arguments: dict[str, Any], workers: int, progress: Callable[[int, int], None]
) -> None:
    plan = plan_study(arguments["participants"], arguments["seed"], broken=arguments["broken"])
    todo = [scan for scan in plan.scans if not _record(work, scan).is_file()]
    done = len(plan.scans) - len(todo)
    for count, _ in enumerate(_write_scans(root, work, todo, workers), done + 1):
        progress(count, len(plan.scans))
    write_tables(root, plan)
    records = [json.loads(_record(work, scan).read_text(encoding="utf-8")) for scan in plan.scans]
    _write_truth(root, arguments, plan, records)
    shutil.rmtree(work)


def _write_scans(root: Path, work: Path, todo: list[ScanPlan], workers: int) -> Iterator[str]:
    """Write scans, in any order; yields their keys as they are done."""
    if workers == 1 or len(todo) < 2:
        for scan in todo:
            yield _write_one(root, work, scan)
        return
    # Spawned, not forked: a fork of a process with threads can hang.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for done in as_completed([pool.submit(_write_one, root, work, scan) for scan in todo]):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_one(root: Path, work: Path, scan: ScanPlan) -> str:
    """Write a scan beside its place, move it there, and note its truth: the note says it is complete."""
    draft = work / f"{scan.key}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    truth = write_scan(draft, scan)
    for kind in sorted(entry.name for entry in draft.iterdir()):
        place = root / kind / scan.exam / scan.participant
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        (draft / kind).rename(place)
    draft.rmdir()
    _write_text(_record(work, scan), json.dumps(truth))
    return scan.key


def _record(work: Path, scan: ScanPlan) -> Path:
    return work / f"{scan.key}.json"


def _finished(root: Path, arguments: dict[str, Any]) -> bool:
    path = root / "truth.json"
    if not path.is_file():
        return False
    truth = json.loads(path.read_text(encoding="utf-8"))
    if truth.get("arguments") != arguments:
        raise _other_study(root, f"it was made with {truth.get('arguments')}, not with {arguments}")
    for scan in truth["scans"]:
        place = root / "dicom" / scan["exam"] / scan["participant"]
        if not place.is_dir():
            raise _other_study(root, f"{place} is missing from a study that was complete")
    shutil.rmtree(root / _WORK, ignore_errors=True)
    return True


@contextmanager
def _begin(root: Path, arguments: dict[str, Any]) -> Iterator[Path]:
    """The folder for work in progress, new or left by an interrupted call, held against other processes."""
    work = root / _WORK
    marker = work / "arguments.json"
    if not marker.is_file():
        for folder in ("dicom", "segmentations", "reader"):
            if (root / folder).exists():
                raise _other_study(root, f"{root / folder} was not made by an earlier call")
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ParaspinalError(
                "E-PHANTOM-13", f"another process is writing {root}", "wait until it is done, and call again"
            ) from error
        if not marker.is_file():
            _write_text(marker, json.dumps(arguments))
        begun = json.loads(marker.read_text(encoding="utf-8"))
        if begun != arguments:
            raise _other_study(root, f"an unfinished study in it was begun with {begun}, not {arguments}")
        yield work


def _other_study(root: Path, why: str) -> ParaspinalError:
    return ParaspinalError(
        "E-PHANTOM-10",
        f"{root} cannot take the synthetic study: {why}",
        "choose another folder, or remove dicom/, segmentations/, reader/, .making/ and truth.json from it",
    )


def _write_truth(
    root: Path, arguments: dict[str, Any], plan: StudyPlan, records: list[dict[str, Any]]
) -> None:
    truth = {
        "about": "Synthetic study: nobody in it exists. What a perfect measurement would find.",
        "arguments": arguments,
        "exams": list(EXAMS),
        **cohort_truth(plan, records),
        "scans": records,
    }
    _write_text(root / "truth.json", json.dumps(truth, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
