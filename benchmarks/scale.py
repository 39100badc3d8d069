"""A study of many scans: what it costs to know that nothing is stale, and to bring one changed scan into the tables.

Two scans (one participant at two exams) are built by the product. Their files and events are then copied under other
names and versions, straight into the event log that the product made: the same rows, tags and sizes as if every scan
had been built, in minutes instead of weeks. The copies have incoming files and events, and their rows in DuckDB, but
no artifacts: whoever would read more than the changed scan's could not.

- `paraspinal status` as a command, cold (nothing cached by the operating system that can be dropped) and again
- the same look in one process, first and second
- a tick of the sensor that looks for new scans
- the asset page's query for the status of all partitions, in a webserver on loopback, first and second
- one scan replaced: every stage of it and the tables that every scan is in

Run: python -m benchmarks.scale [--scans 2632 20000 100000] [--folder KEEP] [--only status tick page tables]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import dagster as dg

from benchmarks.scale_study import ORIGINAL, TABLES, make_original, make_study, measured, show
from paraspinal_assets.defs.assets import ASSETS
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.automation.sensors import new_scans
from paraspinal_assets.defs.automation.staleness import Staleness, State
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.observe import look
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import StudyResource, Workspace
from paraspinal_assets.study.scan import Scan
from paraspinal_assets_tests.defs.small_study import EXAMS, write_scan

PARTS = ("status", "tick", "page", "tables")


def command(workspace: Workspace, what: str, *words: str) -> None:
    """A command of `paraspinal` with its own processor time and memory; nothing may be stale."""
    started, peak = time.monotonic(), 0.0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "paraspinal_assets.cli", words[0], str(workspace.root), *words[1:]],
            stdout=output,
        )
        while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            peak = max(peak, memory_mb(process.pid))
            time.sleep(0.05)
        _, ended, used = os.wait4(process.pid, 0)
        spent = {"wall": time.monotonic() - started, "cpu": used.ru_utime + used.ru_stime, "mb": peak}
        output.seek(0)
        counts = json.load(output)["assets"]
    assert ended == 0
    show(what, spent)
    wrong = {name: found["reasons"][:2] for name, found in counts.items() if found["reasons"]}
    assert not wrong, wrong


def memory_mb(pid: int) -> float:
    """The most memory that a process has had since it was started (`ru_maxrss` counts its parent's, too)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def status(workspace: Workspace) -> None:
    for path in [*workspace.store.dagster_home.rglob("*.db"), *workspace.store.cache_folder.glob("*.sqlite")]:
        with open(path, "rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command(workspace, "paraspinal status, log not in memory", "status", "--json")
    command(workspace, "paraspinal status, again", "status", "--json")
    with study_instance(workspace) as instance:
        index = EventIndex(instance)
        for what in ("look and assess in one process, first", "look and assess, second"):
            spent: dict[str, float] = {}
            with measured(spent):
                incoming = look(workspace, instance, index)
                scans = instance.get_dynamic_partitions("scan")
                assessment = Staleness(workspace, index, scans, incoming.held).assess()
            show(what, spent)
            states = {each.state for found in assessment.standings.values() for each in found.values()}
            assert states == {State.FRESH}, states


def tick(workspace: Workspace) -> None:
    """The sensor's tick as the code server evaluates it: cold, then with the index of the tick before."""
    sensor = new_scans(workspace.study.automation)
    resources = {"study": StudyResource(study_file=str(workspace.place))}
    with study_instance(workspace) as instance:
        cursor: str | None = None
        for number in range(1, 5):
            with dg.build_sensor_context(instance=instance, resources=resources, cursor=cursor) as context:
                spent: dict[str, float] = {}
                with measured(spent):
                    result = sensor(context)
            assert isinstance(result, dg.SensorResult)
            assert not result.asset_events
            cursor = result.cursor
            words = cursor or "the last scan"
            show(f"tick {number} of new_scans, as far as {words}", spent)
            if number > 1 and not cursor:
                break


PAGE_QUERY = """query AssetPage($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionStats { numMaterialized numPartitions }
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions failedPartitions } } } } }"""


def page(workspace: Workspace) -> None:
    """What the asset page asks the webserver for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["ui", str(workspace.root), "--read-only", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "paraspinal_assets.cli", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for what in ("asset page, status of all partitions, first", "again", "another asset", "again"):
            asset = "scan_bone" if what == "another asset" else "scan_muscle"
            body = json.dumps({"query": PAGE_QUERY, "variables": {"key": {"path": [asset]}}}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"}
            )
            while True:
                try:
                    started = time.monotonic()
                    with urllib.request.urlopen(request, timeout=600) as answer:
                        found = json.load(answer)["data"]["assetNodeOrError"]
                    break
                except OSError:
                    assert server.poll() is None, "the webserver ended"
                    time.sleep(1)
            assert found["partitionStats"]["numMaterialized"] == found["partitionStats"]["numPartitions"]
            print(f"  {what:<58} wall {time.monotonic() - started:7.2f} s", flush=True)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def tables(workspace: Workspace) -> None:
    """One scan replaced: its stages, then each table."""
    write_scan(workspace.root, EXAMS[0], ORIGINAL, muscle_hu=41.0, width=14.0)
    per_scan = frozenset(
        rule.name for rule in asset_rules().values() if rule.partitioned and not rule.external
    )
    with study_instance(workspace) as instance:
        before = time.time()
        report = run_study(
            workspace, instance, Selection(assets=per_scan | set(TABLES)), workers=1, progress=Progress()
        )
        assert not report.failed, report.messages
        assert all(keys in ([], [Scan(EXAMS[0], ORIGINAL).key]) for keys in report.materialized.values())
        for name in TABLES:
            if name not in report.materialized:
                continue
            (event,) = instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey(name), after_timestamp=before), limit=2
            ).records
            (run,) = instance.get_run_records(dg.RunsFilter(run_ids=[event.run_id]))
            took = (run.end_time or 0.0) - run.create_timestamp.timestamp()
            print(f"  table {name:<52} wall {took:7.2f} s", flush=True)


def report_size(workspace: Workspace, scans: int) -> None:
    used = {
        "events": sum(file.stat().st_size for file in workspace.store.dagster_home.glob("event_log.db*")),
        "DuckDB": workspace.store.database_path.stat().st_size,
        "fingerprints": sum(file.stat().st_size for file in workspace.store.cache_folder.glob("*.sqlite*")),
    }
    words = ", ".join(
        f"{name} {size / 1e6:.0f} MB ({size / scans / 1e3:.1f} kB a scan)" for name, size in used.items()
    )
    print(f"  size: {words}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scans", type=int, nargs="+", default=[2632, 20_000, 100_000])
    parser.add_argument("--folder", type=Path, help="keep the studies here, and use those that are there")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    assert ASSETS  # declares the rules
    with tempfile.TemporaryDirectory() as temporary:
        for scans in options.scans:
            root = (options.folder or Path(temporary)) / f"scans-{scans}"
            print(f"{scans} scans, {len(EXAMS)} exams", flush=True)
            if not (root / "made").exists():
                original = root.with_name("original")
                if not original.exists():
                    make_original(original)
                shutil.rmtree(root, ignore_errors=True)
                shutil.copytree(original, root)
                make_study(root, scans)
                (root / "made").touch()
            workspace = Workspace.open(root / "study.yaml")
            report_size(workspace, scans)
            for part in options.only:
                globals()[part](workspace)


if __name__ == "__main__":
    main()
