"""A real Dagster daemon in its own process, on a study in a temporary folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from paraspinal_assets.defs.instance import environment
from paraspinal_assets.defs.workspace import Workspace

# The daemon as installed; only its pause between two looks at the backfills is shorter than half a minute.
COMMAND = """
import sys
import dagster._daemon.controller as controller
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2
from dagster._daemon.cli import cli
sys.argv = ["dagster-daemon", "run", "--module-name", "paraspinal_assets.definitions"]
cli()
"""
PATIENCE_S = 600.0


def start_daemon(workspace: Workspace) -> subprocess.Popen[bytes]:
    """The daemon, leader of a process group of its own; its log is `daemon.log` in the study's folder."""
    with open(workspace.root / "daemon.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            env={**os.environ, **environment(workspace)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def daemon(workspace: Workspace) -> Iterator[None]:
    """The daemon, until the block ends."""
    process = start_daemon(workspace)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(done: Callable[[], object], what: str, root: Path) -> None:
    """Wait until something is true; says what the daemon logged last if it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            tail = (root / "daemon.log").read_text(errors="replace")[-4000:]
            raise AssertionError(
                f"{what} did not happen in {PATIENCE_S:.0f} s; the daemon's log ends:\n{tail}"
            )
        time.sleep(1)


def built_since(instance: dg.DagsterInstance, assets: list[str], since: int) -> dict[str, list[str | None]]:
    """Asset -> partitions materialized after an event, in the order of their keys."""
    found: dict[str, list[str | None]] = {}
    for asset in assets:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), after_storage_id=since), limit=1000
        )
        keys = [record.partition_key for record in page.records]
        if keys:
            found[asset] = sorted(keys, key=str)
    return found
