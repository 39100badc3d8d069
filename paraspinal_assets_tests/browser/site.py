"""The UI of a study as `paraspinal ui` starts it: webserver, daemon and code server on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraspinal_assets_tests.deployment.servers import free_port

PATIENCE_S: Final = 150.0
"""Dagster gives each of its two servers 60 s to stop."""


@dataclass(frozen=True)
class Site:
    """A running UI: its address, its study's folder, and what its processes print."""

    url: str
    root: Path
    log: Path


@contextmanager
def user_interface(root: Path, *, as_service: bool = False) -> Iterator[Site]:
    """`paraspinal ui` until the block ends, then Ctrl-C.

    A service is stopped by SIGTERM to the command alone, and was started as a script starts it in the background:
    with Ctrl-C ignored.
    """
    port = free_port()
    site = Site(f"http://127.0.0.1:{port}", root, root / "daemon.log")
    with site.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "paraspinal_assets.cli", "ui", str(root), "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if as_service else None,
        )
    try:
        while not _answers(f"{site.url}/server_info"):
            assert process.poll() is None, site.log.read_text()
            time.sleep(0.1)
        yield site
    finally:
        if as_service:
            process.terminate()
        else:
            os.killpg(process.pid, signal.SIGINT)
        end_of_group(process, site.log)


def end_of_group(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process that was told to stop is gone with all that it started; kills them if they stay."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None or _alive(process.pid):
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"did not stop in {PATIENCE_S:.0f} s; its log:\n{log.read_text()}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(url, timeout=60).close()
        return True
    return False


def _alive(group: int) -> bool:
    """Whether a process of the group is left that has not ended; Linux keeps ended ones until they are waited for."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _parent, process_group = status.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                return True
    return False
