"""A study of many scans for benchmarks: one that the product built, copied under other names."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.automation.staleness import Staleness
from paraspinal_assets.defs.cohort.assets import SCANS_VERSION
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.defs.provenance import BUILT_FROM, DATA_VERSION_TAG
from paraspinal_assets.defs.rules import asset_rules, waves
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.imaging.fingerprint import fingerprint
from paraspinal_assets.study.scan_records import READ
from paraspinal_assets_tests.defs.small_study import EXAMS, make_small_study

ORIGINAL = "ORIGINAL"
"""Id of the participant that is copied: a word that occurs nowhere else in an event."""
TABLES = ("muscle_metrics", "bone_metrics", "deformity", "radiomics", "scans", "cohort")
CLINICAL = ("clinical", "outcomes")
INCOMING = {"raw_scan": "incoming", "raw_segmentation": "masks"}
KINDS = ("ASSET_OBSERVATION", "ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION")


def make_original(root: Path) -> None:
    """A study of one participant, built by the product."""
    workspace = Workspace.open(make_small_study(root, (ORIGINAL,)))
    per_scan = frozenset(
        rule.name for rule in asset_rules().values() if rule.partitioned and not rule.external
    )
    with study_instance(workspace) as instance:
        report = run_study(
            workspace,
            instance,
            Selection(assets=per_scan | {*TABLES, *CLINICAL}),
            workers=1,
            progress=Progress(),
        )
        assert not report.failed, report.messages


def make_study(root: Path, scans: int) -> None:
    """A study in which nothing is stale, from a copy of the original."""
    workspace = Workspace.open(root / "study.yaml")
    people = [f"9{number:06}" for number in range(scans // len(EXAMS) - 1)]
    copy_files(root, people)
    copy_events(workspace, people)
    copy_rows(workspace, people)
    finish(workspace)


def copy_files(root: Path, people: Sequence[str]) -> None:
    table = pd.read_csv(root / "people.csv", dtype={"participant": str})
    copies = pd.DataFrame({"participant": people}).merge(table.drop(columns="participant"), how="cross")
    pd.concat([table, copies]).to_csv(root / "people.csv", index=False)
    for exam in EXAMS:
        for folder in ("incoming", "masks"):
            for person in people:
                (root / folder / exam / f"{person}.nii.gz").write_bytes(f"{folder} {exam} {person}".encode())


class Copier:
    """An event of the original with the places marked in which those of other scans differ."""

    def __init__(self, text: str, marks: dict[str, str]) -> None:
        parts = re.split("(" + "|".join(map(re.escape, sorted(marks, key=len, reverse=True))) + ")", text)
        self._parts = [(marks.get(part), part) for part in parts]

    def text(self, values: dict[str, str]) -> str:
        return "".join(part if mark is None else values[mark] for mark, part in self._parts)


class Original:
    """The original's scan of one exam: its data versions, and its events of every asset."""

    def __init__(self, log: sqlite3.Connection, exam: str) -> None:
        self.exam = exam
        rows = log.execute(
            "SELECT id, run_id, event, dagster_event_type, timestamp, step_key, asset_key FROM event_logs"
            " WHERE partition = ? ORDER BY id",
            [f"{exam}-{ORIGINAL}"],
        ).fetchall()
        self.events: dict[str, list[tuple[tuple[Any, ...], dict[str, str]]]] = {}
        self.versions: dict[str, str] = {}
        for kind in KINDS:
            for row in rows:
                if row[3] == kind:
                    tags = dict(
                        log.execute("SELECT key, value FROM asset_event_tags WHERE event_id = ?", row[:1])
                    )
                    (asset,) = json.loads(row[6])
                    self.events.setdefault(asset, []).append((row, tags))
                    if DATA_VERSION_TAG in tags:
                        self.versions[asset] = tags[DATA_VERSION_TAG]
        self.marks = {ORIGINAL: "person"}
        for asset, version in self.versions.items():
            self.marks |= {version: asset, hashlib.sha256(version.encode()).hexdigest(): f"sha256 {asset}"}

    def values(self, root: Path, person: str) -> dict[str, str]:
        """What stands in the marked places for another participant."""
        found = {"person": person}
        for asset, version in self.versions.items():
            if asset in INCOMING:
                new = fingerprint([root / INCOMING[asset] / self.exam / f"{person}.nii.gz"])
            else:
                new = hashlib.sha256(f"{version} {person}".encode()).hexdigest()[: len(version)]
            found |= {asset: new, f"sha256 {asset}": hashlib.sha256(new.encode()).hexdigest()}
        return found


def copy_events(workspace: Workspace, people: Sequence[str]) -> None:
    """Events, tags and partitions of the copies; each asset's scans in runs of its batch size."""
    log = sqlite3.connect(workspace.store.dagster_home / "event_log.db")
    originals = [Original(log, exam) for exam in EXAMS]
    # Nobody else reads it yet: in one go, without a journal, and sorted into the indices at the end.
    log.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
    indices = log.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name IN ('event_logs', 'asset_event_tags')"
    ).fetchall()
    for name, _ in indices:
        log.execute(f"DROP INDEX {name}")
    (last,) = log.execute("SELECT max(id) FROM event_logs").fetchone()
    for original in originals:
        values = {person: original.values(workspace.root, person) for person in people}
        for asset, events in original.events.items():
            rule = asset_rules()[asset]
            size = len(people) if rule.external else rule.batch
            for start in range(0, len(people), size):
                run = "" if rule.external else str(uuid.uuid4())
                for (_, run_id, event, kind, moment, step, key), tags in events:
                    copier = Copier(event, original.marks | ({run_id: "run"} if run_id else {}))
                    for person in people[start : start + size]:
                        last += 1
                        new = values[person] | {"run": run}
                        partition = f"{original.exam}-{person}"
                        log.execute(
                            "INSERT INTO event_logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                            (last, run, copier.text(new), kind, moment, step, key, partition),
                        )
                        for tag, value in tags.items():
                            log.execute(
                                "INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)"
                                " VALUES (?, ?, ?, ?, ?)",
                                (last, key, tag, new[asset] if tag == DATA_VERSION_TAG else value, moment),
                            )
        log.executemany(
            "INSERT INTO dynamic_partitions (partitions_def_name, partition) VALUES ('scan', ?)",
            [(f"{original.exam}-{person}",) for person in people],
        )
    for _, sql in indices:
        log.execute(sql)
    log.commit()
    log.execute("PRAGMA journal_mode=WAL")
    log.close()


def copy_rows(workspace: Workspace, people: Sequence[str]) -> None:
    """Rows of the copies in the tables of scans, marked as read in the version of their event."""
    with study_instance(workspace) as instance:
        index = EventIndex(instance)
        records = [index.records(step) for step in READ]
        versions = {
            name: {key: record.data_version for key, record in index.records(f"scan_{source}").items()}
            for name, source in (
                ("muscle_metrics", "muscle"),
                ("bone_metrics", "bone"),
                ("deformity", "deformity"),
                ("radiomics", "radiomics"),
            )
        }
    with workspace.database.writing() as connection:
        for exam in EXAMS:
            (text,) = connection.execute(
                "SELECT text FROM _kept WHERE scan = ?", [f"{exam}-{ORIGINAL}"]
            ).fetchone()
            keys = [f"{exam}-{person}" for person in people]
            steps = [
                " ".join([SCANS_VERSION, *(str(known[key].data_version) for known in records)])
                for key in keys
            ]
            connection.execute(
                "INSERT INTO _kept SELECT 'scan_records', unnest(?), unnest(?), ?", [keys, steps, text]
            )
        connection.execute("CREATE TEMP TABLE people AS SELECT unnest(?) AS person", [list(people)])
        for name, known in versions.items():
            connection.execute(
                f"INSERT INTO {name} SELECT t.* REPLACE (p.person AS participant) FROM {name} t, people p"
            )
            keys = [f"{exam}-{person}" for exam in EXAMS for person in people]
            connection.execute(
                "INSERT INTO _loaded SELECT ?, unnest(?), unnest(?)",
                [name, keys, [known[key] for key in keys]],
            )


def finish(workspace: Workspace) -> None:
    """Look at the inputs once, and note every table as built from what there is now."""
    with study_instance(workspace) as instance:
        spent: dict[str, float] = {}
        with measured(spent):
            incoming = look(workspace, instance, EventIndex(instance))
        show("first look, which reads every incoming file", spent)
        take_in(incoming, instance)
        assert not incoming.added, incoming.added[:3]
        scans = instance.get_dynamic_partitions("scan")
        index = EventIndex(instance)
        for wave in waves():
            for rule in wave:
                if rule.external or rule.partitioned:
                    continue
                if rule.name in CLINICAL:  # its rows of everybody
                    chosen = Selection(assets=frozenset({rule.name}))
                    report = run_study(workspace, instance, chosen, workers=1, progress=Progress())
                    assert rule.name in report.materialized, report
                    continue
                now = Staleness(workspace, index, scans).built_from(rule.name, None)
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(
                        rule.name,
                        metadata={BUILT_FROM: now.as_metadata()},
                        tags={DATA_VERSION_TAG: f"made-for-{rule.name}"},
                    )
                )


@contextmanager
def measured(spent: dict[str, float]) -> Iterator[None]:
    """Wall and processor seconds of a block."""
    wall, cpu = time.monotonic(), time.process_time()
    yield
    spent |= {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}


def show(what: str, spent: dict[str, float]) -> None:
    print(f"  {what:<58} wall {spent['wall']:7.2f} s  processor {spent['cpu']:7.2f} s", end="")
    print(f"  memory {spent['mb']:6.0f} MB" if "mb" in spent else "", flush=True)
