"""A participant who withdrew consent: everything that was made of their data is removed, and that is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg

from paraspinal_assets.defs.automation.run_lock import nobody_looks
from paraspinal_assets.defs.forget_events import erase_events, occurrences, refuse_at_work
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.clinical import read_cells
from paraspinal_assets.study.erase import (
    compact_sqlite,
    erase_files,
    erase_fingerprints,
    erase_rows,
    past_exams,
    published_objects,
    rows_naming,
    scan_folders,
    scan_objects,
)
from paraspinal_assets.study.scan import Scan, cell_text
from paraspinal_assets.study.traces import Traces
from paraspinal_assets.study.withdrawn import Withdrawn


@dataclass(frozen=True)
class Found:
    """Where a participant occurs.

    Attributes
    ----------
    ours
        In what the product wrote, one line each; none after forgetting.
    inputs
        In the user's own files, which are never changed.
    """

    ours: tuple[str, ...]
    inputs: tuple[str, ...]


def find(workspace: Workspace, instance: dg.DagsterInstance, participant: str) -> Found:
    """Search the study folder, its tables and Dagster's storage for a participant."""
    traces = _traces(workspace, instance, participant)
    store = workspace.store
    ours = [str(path) for path in scan_folders(store, participant)]
    ours += scan_objects(store, participant, traces.exams)
    ours += [f"table {table}: {rows} rows" for table, rows in rows_naming(workspace.database, traces).items()]
    ours += [f"Dagster's {table}: {rows} rows" for table, rows in occurrences(instance, traces).items()]
    ours += [str(path) for path in _files(workspace) if _holds(path, traces)]
    return Found(tuple(ours), tuple(_inputs(workspace, traces)))


def forget(workspace: Workspace, instance: dg.DagsterInstance, participant: str) -> Found:
    """Remove a participant and search again; repeating it after a crash completes it.

    The id is remembered as a salted digest first, so that no later run takes the participant in again.

    Raises
    ------
    MachineError
        E-STUDY-62 while a run or a look is at work.
    StudyError
        E-STUDY-63 if the participant is nowhere and never was.
    """
    refuse_at_work(instance, workspace.store.dagster_home)
    with nobody_looks(workspace.store):
        return _forget(workspace, instance, participant)


def _forget(workspace: Workspace, instance: dg.DagsterInstance, participant: str) -> Found:
    withdrawn = Withdrawn.of_study(workspace.root)
    before = find(workspace, instance, participant)
    if not before.ours and not before.inputs and participant not in withdrawn:
        raise StudyError("E-STUDY-63", f"no participant {participant!r} in this study", "check the id")
    traces = _traces(workspace, instance, participant)
    if participant not in withdrawn:
        withdrawn.add(participant, workspace.store)
    erase_files(workspace.store, participant, traces.exams)
    erase_rows(workspace.database, traces)
    erase_fingerprints(workspace.store, traces)
    erase_events(instance, traces)
    for path in _files(workspace):
        _erase_lines(path, traces)
    for path in workspace.store.dagster_home.rglob("*.db"):
        compact_sqlite(path)
    found = find(workspace, instance, participant)
    return replace(found, ours=(*found.ours, *published_objects(workspace.store)))


def _traces(workspace: Workspace, instance: dg.DagsterInstance, participant: str) -> Traces:
    keys = instance.get_dynamic_partitions(SCANS.name or "")
    exams = {Scan.from_key(key).exam for key in keys}
    return Traces(participant, {*workspace.study.exams, *past_exams(workspace.store), *exams})


def _files(workspace: Workspace) -> list[Path]:
    """The files of the product, tables too, that are not scans' artifacts or copies of them."""
    store = workspace.store
    folders = (store.dagster_home, store.report_folder, store.exports_folder, store.cache_folder)
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = [path for path in found if store.copies_folder not in path.parents]
    return sorted([*found, *store.root.glob("study.duckdb*")])


def _holds(path: Path, traces: Traces) -> bool:
    """Whether a file's name or bytes have one of the scan keys, or a line of text names the participant."""
    if traces.names(path.name):
        return True
    text = _text(path)
    if text is None:
        with open(path, "rb") as file:
            return traces.has_key(file)
    return any(traces.in_text(line) for line in text.splitlines())


def _text(path: Path) -> str | None:
    """What is in a file of text; nothing if it is none, which the first bytes of a database or picture show."""
    with open(path, "rb") as file:
        start = file.read(4096)
        if b"\0" in start:
            return None
        try:
            text = (start + file.read()).decode()
        except UnicodeDecodeError:
            return None
    return None if "\0" in text else text


def _erase_lines(path: Path, traces: Traces) -> None:
    """Take the participant out of a log that was written for people."""
    text = _text(path)
    if text is not None and _holds(path, traces):
        path.write_text("".join(f"{traces.without(line)}\n" for line in text.splitlines()))


def _inputs(workspace: Workspace, traces: Traces) -> list[str]:
    """Where the participant is in the user's own files, as the study file names them."""
    study, root, inputs = workspace.study, workspace.root, workspace.store.inputs
    lines: list[str] = []
    for exam in study.exams:
        scan = Scan(exam, traces.participant)
        incoming = workspace.scan_source(scan)
        sources = [workspace.segmentation_source(scan), workspace.reader_source(scan)]
        lines += [str(source) for source in (incoming if incoming.exists() else None, *sources) if source]
    for table in study.clinical.tables.values():
        where = inputs.at(table.file)
        try:
            cells = read_cells(root / table.file, table)
        except StudyError as error:
            lines.append(f"perhaps in {where}: {error.message}")
            continue
        column = cells.get(table.participant)
        rows = 0 if column is None else int((column.map(cell_text) == traces.participant).sum())
        if rows:
            lines.append(f"{where}: {rows} rows")
    texts = [workspace.place.file.name]
    texts += [study.readers.decisions] if study.readers.decisions else []
    for name in texts:
        path = root / name
        if path.exists() and any(map(traces.names, path.read_text(errors="replace").splitlines())):
            lines.append(str(inputs.at(name)))
    return lines
