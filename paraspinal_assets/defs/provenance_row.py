"""Where a row comes from: every event on the way from the incoming scans to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import dagster as dg
import pandas as pd

from paraspinal_assets.defs.automation.staleness import Staleness
from paraspinal_assets.defs.event_index import EventIndex, Record
from paraspinal_assets.defs.rules import asset_rules, waves
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.sql import quoted
from paraspinal_assets.study.study_file import settings_digest

PREVIEW: Final = "preview of "
"""Label under which an asset's event shows each table that it wrote."""


@dataclass(frozen=True)
class Step:
    """One asset on the way to a row, for one scan or for the study.

    Attributes
    ----------
    asset, scan
        What was made; `scan` is None for a table.
    data_version
        Digest of its content; for `raw_scan` the fingerprint of the incoming series.
    code_version, settings, inputs
        What it was built from: code, digests of study-file parts, data version of each input.
    run_id, built_at
        When and by which Dagster run (none for an observed input).
    changed_since
        What is different now, in words; empty while it is fresh.
    failure
        Code, if it failed.
    """

    asset: str
    scan: str | None
    data_version: str | None
    code_version: str | None
    settings: dict[str, str]
    inputs: dict[str, str]
    run_id: str | None
    built_at: str
    changed_since: list[str]
    failure: str | None


@dataclass(frozen=True)
class Explanation:
    """A row and its lineage, inputs first.

    Attributes
    ----------
    table, asset, rows
        The table, the asset that writes it, and how many rows have the key.
    study_file
        Digest of the whole study file as it is now.
    models
        Scan -> model, weights and versions of its segmentation.
    steps
        Lineage. For a row that is about no single participant, per-scan assets are in `summarized`.
    summarized
        Per-scan asset -> number of scans that the row rests on.
    """

    table: str
    row: str
    asset: str
    rows: int
    study_file: str
    models: dict[str, dict[str, Any]]
    steps: list[Step]
    summarized: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def explain(workspace: Workspace, instance: dg.DagsterInstance, table: str, row: str) -> Explanation:
    """The lineage of the rows of a table that a key names.

    The key is a scan key, a participant, or the values of the table's key columns joined by ``/``.

    Raises
    ------
    StudyError
        E-STUDY-64 for a table that is not there, E-STUDY-65 for a row that is not in it.
    """
    asset = _asset_of(workspace, instance, table)
    rows, about = _rows(workspace, table, row)
    present = instance.get_dynamic_partitions(SCANS.name or "")
    scans = [key for key in present if _concerns(key, about)]
    index = EventIndex(instance)
    staleness = Staleness(workspace, index, present)
    steps: list[Step] = []
    summarized: dict[str, int] = {}
    for name in _ancestors(asset):
        records = index.records(name)
        if asset_rules()[name].partitioned and not scans:
            summarized[name] = sum(key in records for key in present)
            continue
        for key in scans if asset_rules()[name].partitioned else [None]:
            if key in records:
                steps.append(_step(name, key, records[key], staleness))
    return Explanation(
        *(table, row, asset, rows, settings_digest(workspace.study)),
        models=dict(_models(workspace, scans)),
        steps=steps,
        summarized=summarized,
    )


def _ancestors(asset: str) -> list[str]:
    """An asset and all that it is made from, inputs first."""
    wanted = {asset}
    waiting = [asset]
    while waiting:
        inputs = set(asset_rules()[waiting.pop()].inputs) - wanted
        wanted |= inputs
        waiting += inputs
    return [rule.name for wave in waves() for rule in wave if rule.name in wanted]


def _step(name: str, key: str | None, record: Record, staleness: Staleness) -> Step:
    built_from = record.built_from
    now = staleness.built_from(name, key, failed=record.failure is not None)
    changes = built_from.changes_to(now) if built_from else []
    return Step(
        asset=name,
        scan=key,
        data_version=record.data_version,
        code_version=built_from.code if built_from else None,
        settings=dict(built_from.settings) if built_from else {},
        inputs=dict(built_from.inputs) if built_from else {},
        run_id=record.run_id or None,
        built_at=dt.datetime.fromtimestamp(record.timestamp, dt.UTC).isoformat(timespec="seconds"),
        changed_since=changes,
        failure=record.failure.code if record.failure else None,
    )


def _models(workspace: Workspace, scans: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key in scans:
        scan = Scan.from_key(key)
        if workspace.store.has(scan, "segmentation"):
            yield key, dict(workspace.store.read_record(scan, "segmentation")["model"])


def _asset_of(workspace: Workspace, instance: dg.DagsterInstance, table: str) -> str:
    """The asset whose latest event says that it wrote the table."""
    if table in workspace.database.names():
        for rule in asset_rules().values():
            if rule.partitioned or rule.external:
                continue
            event = instance.get_latest_materialization_event(dg.AssetKey(rule.name))
            written = event.asset_materialization.metadata if event and event.asset_materialization else {}
            if f"{PREVIEW}{table}" in written or (rule.name == table and "preview" in written):
                return rule.name
    names = ", ".join(workspace.database.names()) or "none yet"
    raise StudyError("E-STUDY-64", f"no table {table!r} in this study", f"use one of: {names}")


def _rows(workspace: Workspace, table: str, row: str) -> tuple[int, str]:
    """How many rows a key names, and the scan or participant that they are about (or nothing)."""
    database = workspace.database
    columns = list(database.query(f"SELECT * FROM {quoted(table)} LIMIT 0").columns)
    known = schemas().get(table)
    ways: list[tuple[tuple[str, ...], str, str]] = []
    if {"exam", "participant"} <= set(columns):
        ways.append((("exam", "participant"), "-", row))
    if "participant" in columns:
        ways.append((("participant",), "/", row))
    if known is not None and known.key:
        ways.append((known.key, "/", ""))
    for key, separator, about in ways:
        found = _count(workspace, table, key, separator, row)
        if found:
            return found, about
    if ways:
        key, separator, _ = ways[0]
        frame = database.query(f"SELECT {', '.join(map(quoted, key))} FROM {quoted(table)} LIMIT 1")
        example = separator.join(map(str, frame.iloc[0])) if len(frame) else "it is empty"
        hint = f"a row is named by {separator.join(key)}, for example {example}"
    else:
        hint = "its rows have no key"
    raise StudyError("E-STUDY-65", f"no row {row!r} in table {table}", hint)


def _count(workspace: Workspace, table: str, key: Sequence[str], separator: str, row: str) -> int:
    joined = ", ".join(f"CAST({quoted(column)} AS VARCHAR)" for column in key)
    frame: pd.DataFrame = workspace.database.query(
        f"SELECT count(*) AS n FROM {quoted(table)} WHERE concat_ws(?, {joined}) = ?", [separator, row]
    )
    return int(frame["n"].iloc[0])


def _concerns(key: str, about: str) -> bool:
    return key == about or Scan.from_key(key).participant == about
