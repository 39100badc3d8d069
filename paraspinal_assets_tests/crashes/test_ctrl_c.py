"""Ctrl-C at a terminal, which goes to every process of the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paraspinal_assets.defs.instance import environment
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.crashes.commands import Study
from paraspinal_assets_tests.defs.small_study import make_small_study

pytestmark = pytest.mark.slow


def test_a_command_ends_at_once_with_its_workers_and_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_small_study(tmp_path / "study", people=("1001", "1002"))
    interrupted = Study(tmp_path / "study", output=tmp_path)
    for name in environment(Workspace.open(interrupted.root)):
        monkeypatch.delenv(name, raising=False)
    words = [Path(sys.executable).with_name("paraspinal"), "run", interrupted.root, "--workers", "2"]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(interrupted.root.glob("scans/*/*/ct.nii.gz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert interrupted.workers() == []
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
