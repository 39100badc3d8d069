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
from paraspinal_assets_tests.crashes.commands import Study
from paraspinal_assets_tests.defs.small_study import make_small_study

pytestmark = pytest.mark.slow


@pytest.fixture
def interrupted(tmp_path: Path) -> Study:
    make_small_study(tmp_path / "study", people=("1001", "1002"))
    return Study(tmp_path / "study", output=tmp_path)


def test_a_command_ends_at_once_with_its_workers_and_without_a_traceback(interrupted: Study) -> None:
    process = subprocess.Popen(
        [Path(sys.executable).with_name("paraspinal"), "run", str(interrupted.root), "--workers", "2"],
        env={**os.environ, **environment(interrupted.workspace)},
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
    interrupted.run()
