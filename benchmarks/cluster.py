"""One backfill on 1, 2 and 4 nodes of a real Slurm cluster on loopback: the speed-up, and what stops it.

The nodes are daemons of one machine, so no more nodes can work at once than it has cores. The limit is shown by the
busy share of the cores beside the times: at 100 %, the machine is what stops the speed-up and not the product.
Each run is a job of one core with a batch of scans; the batch measures radiomics, which is mostly computing.

Run: python -m benchmarks.cluster [SCANS]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measurement_stage import machine
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.small_study import EXAMS, make_small_study
from paraspinal_assets_tests.launchers.cluster_study import on_cluster
from paraspinal_assets_tests.launchers.local_slurm import LocalSlurm, reason_to_skip

ASSET = "scan_radiomics"
JOBS = 8
COMPUTE = """
compute:
  slurm:
    default: {cpus: 2, minutes: 30}
"""


def make_study(root: Path, scans: int) -> None:
    """Scans with everything that radiomics is made from."""
    file = make_small_study(root, tuple(f"{number:04}" for number in range(1, scans // len(EXAMS) + 1)))
    file.write_text(file.read_text().replace("radiomics: false", "radiomics: true") + COMPUTE)
    workspace = Workspace.open(file)
    before = frozenset({"ct_nifti", "segmentation", "paraspinal_levels"})
    with study_instance(workspace) as instance:
        report = run_study(workspace, instance, Selection(assets=before), workers=2, progress=Progress())
    assert not report.failed, report.messages


def main() -> None:
    reason = reason_to_skip()
    if reason is not None:
        sys.exit(reason)
    scans = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with tempfile.TemporaryDirectory() as folder:
        make_study(Path(folder) / "original", scans)
        alone = 0.0
        for nodes in (1, 2, 4):
            root = Path(folder) / f"nodes-{nodes}" / "study"
            shutil.copytree(Path(folder) / "original", root)
            slurm = LocalSlurm(root.parent / "cluster", nodes)
            try:
                slurm.start()
                with on_cluster(root, slurm) as study:
                    started, (worked, waited) = time.monotonic(), machine()
                    size = -(-len(study.scans) // JOBS)
                    batches = [
                        study.scans[first : first + size] for first in range(0, len(study.scans), size)
                    ]
                    runs = [study.submit(ASSET, batch) for batch in batches]
                    study.wait(lambda runs=runs, study=study: study.finished(*runs))
                    seconds, after = time.monotonic() - started, machine()
                    assert study.status(*runs) == {"SUCCESS"}, study.describe()
            finally:
                slurm.stop()
            alone = alone or seconds
            busy = (after[0] - worked) / (sum(after) - worked - waited)
            print(
                f"{nodes} nodes: {len(runs)} jobs, {scans} scans, {seconds:6.1f} s,"
                f" {alone / seconds:.2f} times one node; cores busy {100 * busy:.0f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
