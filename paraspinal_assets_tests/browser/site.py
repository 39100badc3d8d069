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

from paraspinal_assets_tests.deployment.servers import free_port


@dataclass(frozen=True)
class Site:
    """A running UI: its address, its study's folder, and what its processes print."""

    url: str
    root: Path
    log: Path


@contextmanager
def user_interface(root: Path) -> Iterator[Site]:
    """`paraspinal ui` until the block ends, then Ctrl-C."""
    port = free_port()
    site = Site(f"http://127.0.0.1:{port}", root, root / "daemon.log")
    with site.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "paraspinal_assets.cli", "ui", str(root), "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not _answers(f"{site.url}/server_info"):
            assert process.poll() is None, site.log.read_text()
            time.sleep(0.1)
        yield site
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        while _alive(process.pid):
            time.sleep(0.1)


def _answers(url: str) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(url, timeout=60).close()
        return True
    return False


def _alive(group: int) -> bool:
    """Whether a process of the group is left."""
    with suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False
