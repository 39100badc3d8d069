"""The measurement stage of many small scans through Dagster: how busy it keeps the cores.

Conversion, segmentation and quality are built first and not measured. Then one `run_study` builds what measures
(levels, muscle, bone, radiomics, deformity) in as many workers as there are cores.

Run: python -m benchmarks.measurement_stage [SCANS]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from paraspinal_assets.cli.study import groups
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.small_study import EXAMS, make_small_study


def machine() -> tuple[float, float]:
    """Seconds that all cores together have worked and waited since the machine was started (proc(5), stat)."""
    first = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    times = [int(value) / os.sysconf("SC_CLK_TCK") for value in first]
    waited = times[3] + times[4]
    return sum(times) - waited, waited


def main() -> None:
    scans = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    cores = len(os.sched_getaffinity(0))
    people = tuple(f"{number:04}" for number in range(1, scans // len(EXAMS) + 1))
    with tempfile.TemporaryDirectory() as folder:
        file = make_small_study(Path(folder) / "study", people)
        file.write_text(file.read_text().replace("radiomics: false", "radiomics: true"))
        workspace = Workspace.open(file)
        stage = frozenset(name for name in groups()["measurement"] if asset_rules()[name].partitioned)
        before = frozenset(groups()["ingest"] | groups()["segmentation"])
        with study_instance(workspace) as instance:
            run_study(workspace, instance, Selection(assets=before), workers=cores, progress=Progress())
            started, (worked, waited) = time.monotonic(), machine()
            report = run_study(
                workspace, instance, Selection(assets=stage), workers=cores, progress=Progress()
            )
            wall, after = time.monotonic() - started, machine()
        assert not report.failed, report.messages
        built = sum(len(keys) for keys in report.materialized.values())
        assert built == len(stage) * len(people) * len(EXAMS), report.materialized.keys()
        print(f"{len(people) * len(EXAMS)} scans x {len(stage)} assets in {cores} workers")
        busy = (after[0] - worked) / (sum(after) - worked - waited)
        print(
            f"wall {wall:.1f} s, {wall / len(people) / len(EXAMS):.2f} s a scan; cores busy {100 * busy:.0f} %"
        )


if __name__ == "__main__":
    main()
