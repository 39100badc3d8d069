"""What orchestration costs beside the work itself.

- a batched run over 1,000 trivial scans: overhead per scan and asset, amortised (target 0.1 s)
- from the start of a run to its first scan's work, in a worker that has loaded the definitions (target 1 s)
- one changed scan of 2,632: all of `paraspinal run` without the scan's own work (target 20 s)

The trivial scans are excluded by the study file: the product's own assets, runner, event log and database do
everything that they do for other scans, except for the work, which is to write down why there is none. Processor
seconds stand beside wall seconds, because a busy machine stretches only the latter.

Run: python -m benchmarks.orchestration [SCANS] [ASSET,ASSET,...]
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from paraspinal_assets.defs.assets import ASSETS
from paraspinal_assets.defs.automation.run_report import Report
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.small_study import EXAMS, PEOPLE, make_small_study, write_scan

BATCHED = 1000
LIMIT = 10_000
"""What Dagster reads at once."""


def make_study(root: Path, scans: int) -> None:
    """Twelve real scans, tiny ones, and as many excluded ones as are wanted."""
    file = make_small_study(root)
    excluded = [f"9{number:05}" for number in range((scans - len(PEOPLE) * len(EXAMS)) // len(EXAMS))]
    for exam in EXAMS:
        for person in excluded:
            (root / "incoming" / exam / f"{person}.nii.gz").write_bytes(f"{exam} {person}".encode())
    entries = "\n".join(f"  - {{participant: '{person}', reason: trivial}}" for person in excluded)
    file.write_text(f"{file.read_text()}exclude:\n{entries}\n")


def processor() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def measured(spent: dict[str, float]) -> Iterator[None]:
    """Wall and processor seconds of a block."""
    wall, cpu = time.monotonic(), processor()
    yield
    spent["wall"], spent["cpu"] = time.monotonic() - wall, processor() - cpu


def run(workspace: Workspace, assets: frozenset[str] | None, spent: dict[str, float]) -> Report:
    """`paraspinal run` in this process."""
    with measured(spent), study_instance(workspace) as instance:
        return run_study(workspace, instance, Selection(assets=assets), workers=1, progress=Progress())


def events(workspace: Workspace, since: float) -> Iterator[tuple[str, dg.EventLogRecord]]:
    """Materializations since a moment, of all assets."""
    with study_instance(workspace) as instance:
        for name, rule in asset_rules().items():
            if not rule.external:
                page = instance.fetch_materializations(
                    dg.AssetRecordsFilter(dg.AssetKey(name), after_timestamp=since), limit=LIMIT
                )
                yield from ((name, record) for record in page.records)


def own_seconds(record: dg.EventLogRecord) -> float:
    """What the scan itself took, as its event says."""
    event = record.asset_materialization
    value = event.metadata.get("seconds") if event else None
    return float(value.value) if value is not None else 0.0  # type: ignore[arg-type]


def batched(workspace: Workspace, assets: frozenset[str]) -> None:
    """All scans from nothing, in batches."""
    spent: dict[str, float] = {}
    before = time.time()
    run(workspace, assets, spent)
    found = list(events(workspace, before))
    own = sum(own_seconds(record) for _, record in found)
    count = len(found)
    print(f"{count} scans x assets ({', '.join(sorted(assets))}), from nothing: ", end="")
    print(f"wall {spent['wall']:.1f} s, processor {spent['cpu']:.1f} s, own work {own:.1f} s (wall)")
    print(f"  overhead per scan and asset: {(spent['wall'] - own) / count:.4f} s wall, ", end="")
    print(f"{spent['cpu'] / count:.4f} s processor with the work")
    firsts: dict[str, float] = {}
    for _, record in found:
        began = record.timestamp - own_seconds(record)
        firsts[record.run_id] = min(began, firsts.get(record.run_id, began))
    with study_instance(workspace) as instance:
        waits = [
            began - instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))[0].create_timestamp.timestamp()
            for run_id, began in firsts.items()
        ]
    print(f"  from a run's start to its first scan's work, over {len(waits)} runs: ", end="")
    print(f"median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s")


def one_changed(workspace: Workspace, assets: frozenset[str] | None, scans: int) -> None:
    """One scan replaced, everything else as it was."""
    settled: dict[str, float] = {}
    run(workspace, assets, settled)
    idle: dict[str, float] = {}
    assert run(workspace, assets, idle).materialized == {}
    write_scan(workspace.root, "exam5", PEOPLE[2], muscle_hu=41.0, width=14.0)
    spent: dict[str, float] = {}
    before = time.time()
    report = run(workspace, assets, spent)
    own = sum(own_seconds(record) for _, record in events(workspace, before))
    built = {name: len(keys) for name, keys in report.materialized.items()}
    print(f"{scans} scans, nothing changed: wall {idle['wall']:.1f} s, processor {idle['cpu']:.1f} s")
    print(f"{scans} scans, one changed ({len(built)} assets built): ", end="")
    print(f"wall {spent['wall']:.1f} s, processor {spent['cpu']:.1f} s; its own work {own:.1f} s (wall)")
    print(f"  overhead beyond its own work: {spent['wall'] - own:.1f} s wall")
    wrong = {name: count for name, count in built.items() if count > 1}
    assert not wrong, f"built more than the one scan: {wrong}"


def main() -> None:
    scans = int(sys.argv[1]) if len(sys.argv) > 1 else 2632
    chosen = frozenset(sys.argv[2].split(",")) if len(sys.argv) > 2 else None
    assert ASSETS  # declares the rules
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "batched"
        make_study(root, BATCHED)
        batched(Workspace.open(root / "study.yaml"), frozenset({"ct_nifti", "segmentation"}))
        root = Path(folder) / "changed"
        make_study(root, scans)
        one_changed(Workspace.open(root / "study.yaml"), chosen, scans)


if __name__ == "__main__":
    main()
