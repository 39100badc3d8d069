"""A whole study: how long the demo takes, how long a second run takes, and how much memory all processes use.

Run: python -m benchmarks.study [PARTICIPANTS]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def tree_memory_mb(root: int) -> float:
    """Proportional memory of a process and everything below it, so that shared pages count once."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue  # ended meanwhile
        children.setdefault(parent, []).append(int(stat.parent.name))
    total, waiting = 0.0, [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


def timed(*words: str) -> tuple[float, float]:
    """Seconds and peak MB of a command with its children."""
    started, peak = time.monotonic(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-m", "paraspinal_assets.cli", *words], stdout=subprocess.DEVNULL
    )
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(1.0):
            peak = max(peak, tree_memory_mb(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    done.set()
    watcher.join()
    return time.monotonic() - started, peak


def main() -> None:
    participants = sys.argv[1] if len(sys.argv) > 1 else "160"
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "demo"
        study.mkdir()
        shutil.copy(PROJECT / "data" / "demo" / "study.yaml", study)
        (Path(folder) / "phantom_network").symlink_to(PROJECT / "data" / "phantom_network")
        for label, words in (
            ("demo", ("demo", str(study), "--participants", participants)),
            ("second run", ("run", str(study))),
            ("status", ("status", str(study))),
        ):
            seconds, peak = timed(*words)
            print(f"{label:<12}{seconds:>8.1f} s{peak:>9.0f} MB peak")


if __name__ == "__main__":
    main()
