"""A real Slurm cluster on the loopback interface: one controller and several node daemons, no systemd."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from paraspinal_assets_tests.deployment.servers import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
GPUS_PER_NODE = 2
WAIT_S = 120.0

CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0
GresTypes=gpu
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 Gres=gpu:{gpus}
PartitionName=main Nodes=ALL Default=YES State=UP
"""


def reason_to_skip() -> str | None:
    """Why no cluster can be started here, if so."""
    missing = [name for name in PROGRAMS if program(name) is None]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)}): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "Slurm's daemons start jobs as other users and need root"
    return None


def program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")


class LocalSlurm:
    """A cluster in a folder; `start` it, then talk to it with Slurm's own commands through `command`."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder = folder
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.gpus = nodes * GPUS_PER_NODE
        self.environment: Mapping[str, str] = {"SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        """Start everything and wait until all nodes are idle."""
        for name in ("state", "spool", "gpu"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        ports = free_ports(len(self.nodes) + 1)
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            folder=self.folder,
            nodes=len(self.nodes),
            port=ports[0],
            first=ports[1],
            last=ports[-1],
            gpus=GPUS_PER_NODE,
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text(_cgroup_settings())
        (self.folder / "gres.conf").write_text("\n".join(self._gpus()) + "\n")
        self._start_munge()
        self.start_controller()
        for node in self.nodes:
            (self.folder / "spool" / node).mkdir()
            self._run("slurmd", "-N", node)
        self.wait_until_idle()

    def stop(self) -> None:
        """End all jobs and daemons that this cluster started."""
        if (self.folder / "slurmctld.pid").exists():
            self.command("scancel", "--partition=main", check=False)
            self._wait("no job is left", lambda: not self.command("squeue", "-h", check=False).strip())
        for file in (
            *self.folder.glob("slurmd-*.pid"),
            self.folder / "slurmctld.pid",
            self.folder / "munged.pid",
        ):
            _end(file)

    def start_controller(self) -> None:
        """Start the controller, with what it saved."""
        self._run("slurmctld")
        self._wait("the controller answers", lambda: "UP" in self.command("scontrol", "ping", check=False))

    def stop_controller(self) -> None:
        """End the controller; nodes and jobs go on."""
        _end(self.folder / "slurmctld.pid")

    def wait_until_idle(self) -> None:
        """Wait until every node is up and free."""
        wanted = ["idle"] * len(self.nodes)
        self._wait("all nodes are idle", lambda: self.command("sinfo", "-hN", "-o", "%t").split() == wanted)

    def command(self, *words: str, check: bool = True) -> str:
        """Output of one of Slurm's commands."""
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    @contextmanager
    def full(self) -> Iterator[None]:
        """No node takes another job; those that run go on."""
        self.command("scontrol", "update", "partitionname=main", "state=down")
        try:
            yield
        finally:
            self.command("scontrol", "update", "partitionname=main", "state=up")

    def job(self, number: str) -> dict[str, str]:
        """What the controller knows about a job: its fields as ``scontrol show job`` names them."""
        fields = self.command("scontrol", "-d", "-o", "show", "job", number).split()
        return dict(field.partition("=")[::2] for field in fields)

    def _gpus(self) -> Iterator[str]:
        """Character devices in place of graphics cards: Slurm assigns them and asks no more of them."""
        for node in self.nodes:
            (self.folder / "gpu" / node).mkdir()
            for number in range(GPUS_PER_NODE):
                os.mknod(self.folder / "gpu" / node / f"gpu{number}", 0o20666, os.makedev(1, 3))
            yield f"NodeName={node} Name=gpu File={self.folder}/gpu/{node}/gpu[0-{GPUS_PER_NODE - 1}]"

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = {"socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        files = {
            name: self.folder / f"munge{'d' if end == 'pid' else ''}.{end}" for name, end in places.items()
        }
        # --force: the folder above the socket is a temporary one, open to its owner only.
        self._run(
            "munged", "--force", f"--key-file={key}", *(f"--{name}={file}" for name, file in files.items())
        )

    def _run(self, name: str, *options: str) -> None:
        done = subprocess.run(
            [program(name) or name, *options],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"

    def _wait(self, what: str, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT_S
        while not is_so():
            logs = "\n".join(file.read_text()[-500:] for file in self.folder.glob("*.log"))
            assert time.monotonic() < end, f"waited in vain until {what}:\n{logs}"
            time.sleep(0.2)


def _cgroup_settings() -> str:
    """No control groups: from 23.02 they can be switched off; before, a plugin that is never used must load."""
    version = subprocess.run(
        [program("slurmctld") or "", "-V"], capture_output=True, text=True, check=True
    ).stdout
    year, month = re.findall(r"\d+", version)[:2]
    if (int(year), int(month)) >= (23, 2):
        return "CgroupPlugin=disabled\n"
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "CgroupPlugin=cgroup/v2\nIgnoreSystemd=yes\n"
    return "CgroupPlugin=cgroup/v1\n"


def _end(pid_file: Path) -> None:
    """End a daemon by its pid file, and wait until it is gone."""
    if not pid_file.exists():
        return
    number = int(pid_file.read_text())
    end = time.monotonic() + WAIT_S
    try:
        os.kill(number, 15)
        while time.monotonic() < end:
            time.sleep(0.05)
            os.kill(number, 0)
    except ProcessLookupError:
        return
    raise AssertionError(f"{pid_file.stem} does not end")
