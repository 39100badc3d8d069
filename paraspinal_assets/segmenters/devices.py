"""Where networks run: a clear choice, never a silent one, and no GPU for two workers at once."""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from paraspinal_assets.errors import MachineError
from paraspinal_assets.segmenters.machine import core_count, memory_bytes

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
_LARGE_BYTES: Final = 2**20
_MOST_LANES: Final = 8

CPU_MINUTES = {True: "2 to 5", False: "10 to 30"}
"""Rough minutes per chest CT on eight cores with the published networks: 3 mm (True) and 1.5 mm (False)."""


def resolve_device(wanted: str, *, fast: bool = False) -> str:
    """The device to use, as torch names it; ``cuda`` where any GPU will do.

    Parameters
    ----------
    wanted
        ``cpu``; ``gpu`` or ``cuda`` (refused without one), ``cuda:1``; ``auto``: a GPU if there is one,
        otherwise the CPU, with a warning that says what it will take.
    fast
        Whether the 3 mm network is used, for the estimate.

    Raises
    ------
    MachineError
        E-SEG-02.
    """
    name = wanted.replace("gpu", "cuda")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "auto") or (index and not index.isdigit()):
        raise MachineError("E-SEG-02", f"unknown device {wanted!r}", "use cpu, gpu, gpu:N or auto")
    if kind == "cpu":
        return "cpu"
    import torch

    count = _gpus()
    if count > int(index or 0):
        return f"cuda:{index}" if index else "cuda"
    seen = f"torch {torch.__version__} sees {count} GPUs, CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')}"
    if kind == "cuda":
        raise MachineError(
            "E-SEG-02",
            f"device {wanted!r} is not there: {seen}",
            f"start on a machine with a GPU, or set `device: cpu` and expect {CPU_MINUTES[fast]} minutes per scan",
        )
    _log.warning("no GPU (%s): segmenting on the CPU, about %s minutes per chest CT", seen, CPU_MINUTES[fast])
    return "cpu"


def gpu_count(wanted: str) -> int:
    """GPUs that scans of a study can be spread over: all that there are, or the one that the study names."""
    return min(_gpus(), 1) if ":" in wanted else _gpus()


def _gpus() -> int:
    """GPUs of which torch knows, which heeds CUDA_VISIBLE_DEVICES."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@contextmanager
def own_device(device: str, folder: Path) -> Iterator[str]:
    """Hold a GPU for this worker alone, and wait for one where all are held; the CPU belongs to everyone.

    Parameters
    ----------
    device
        As `resolve_device` gives it.
    folder
        Where the locks are, common to the workers that share the GPUs; a worker that dies loses its lock.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda":
        yield device
        return
    numbers = [int(index)] if index else range(_gpus())
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for number in numbers:
            with open(folder / f"gpu-{_physical(number)}.lock", "a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield f"cuda:{number}"
                return
        time.sleep(_LOOK_EVERY_S)


def lanes(device: str) -> int:
    """Scans in work at once: one on a CPU; on a GPU so many that their reading and resampling keep it busy.

    A chest CT takes a GPU half a second and a core three seconds. Two cores and 8 GB are reckoned for a lane.
    """
    if not device.startswith("cuda"):
        return 1
    return max(1, min(_MOST_LANES, core_count() // 2, memory_bytes() // (8 * 10**9)))


def return_freed_memory() -> None:
    """From now on, let this process return arrays to the machine as soon as they are freed.

    The C library keeps blocks of up to 32 MB for later once it has seen such a block freed: with networks, hundreds
    of megabytes for every worker (mallopt(3)). Other C libraries have no such setting.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
        library.malloc_trim(0)


def _physical(number: int) -> str:
    """Name of a GPU that does not depend on which of them this process may see.

    Machines number their GPUs alike, and so does Slurm within each job's share of a machine: the folder of the
    locks may be common to many machines, and GPUs of different machines or jobs are different ones.
    """
    place = f"job-{job}" if (job := os.environ.get("SLURM_JOB_ID")) else socket.gethostname()
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return f"{place}-{visible[number] if number < len(visible) else number}"
