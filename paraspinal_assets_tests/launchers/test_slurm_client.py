"""What Slurm's commands say where it is not plain: lost answers, numbers of other jobs, people's own settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraspinal_assets.launchers import slurm_client
from paraspinal_assets.launchers.slurm_client import find, submit
from paraspinal_assets_tests.launchers.local_slurm import LocalSlurm

pytestmark = pytest.mark.slow
SCRIPT = "#!/bin/sh\nsleep 600\n"
LOST = 'echo "slurm_receive_msg: Socket timed out on send/recv operation" >&2; exit 1'


@pytest.fixture
def cluster(slurm: LocalSlurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSlurm]:
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    with slurm.full():
        yield slurm
        slurm.command("scancel", "--partition=main")


def loses_the_first_answer(folder: Path, name: str) -> None:
    """A command that does what it should and, the first time, ends as when the controller answers too late."""
    real = shutil.which(name)
    once = folder / f"{name}-done"
    command = folder / name
    command.write_text(f'#!/bin/sh\n{real} "$@" || exit\n[ -e {once} ] || {{ touch {once}; {LOST}; }}\n')
    command.chmod(0o755)


def test_a_job_whose_number_was_lost_is_not_submitted_again(
    cluster: LocalSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sbatch", "squeue"):
        loses_the_first_answer(tmp_path, name)
    path = f"{tmp_path}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(slurm_client, "SUBMIT_AGAIN_AFTER_S", (0.1, 0.1, 0.1))
    number = submit("paraspinal-lost", SCRIPT, [], {"PATH": path, **cluster.environment})
    assert cluster.command("squeue", "-h", "--name=paraspinal-lost", "--format=%i").split() == [number]


def test_a_job_is_found_though_its_run_has_the_number_of_another(cluster: LocalSlurm) -> None:
    other, own = (submit(f"paraspinal-{name}", SCRIPT, [], dict(os.environ)) for name in ("other", "own"))
    found = find("paraspinal-own", other)
    assert found is not None
    assert found.number == own


def test_a_job_is_found_whatever_people_have_squeue_show_them(
    cluster: LocalSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = submit("paraspinal-hidden", SCRIPT, [], dict(os.environ))
    monkeypatch.setenv("SQUEUE_QOS", "other")
    monkeypatch.setenv("SQUEUE_ACCOUNT", "other")
    assert cluster.command("squeue", "-h", f"--jobs={number}") == ""
    assert find("paraspinal-hidden", number) is not None


def test_a_host_without_accounting_knows_no_job_that_the_controller_has_forgotten(
    cluster: LocalSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "squeue").symlink_to(shutil.which("squeue") or "")
    with monkeypatch.context() as bare:
        bare.setenv("PATH", str(tmp_path))
        assert find("paraspinal-gone", "99999") is None
