"""One command at a time runs a study, and the next one waits until the last process of a killed one is gone."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Final

from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.store import StudyStore

COMMAND: Final = ".run.lock"
WORKERS: Final = ".run.workers"
LOOKS: Final = ".run.looks"
LOOKING_S: Final = 0.5
"""A command waits so long for a lock that may be held by one who only looks whether it is free."""
ENDING_S: Final = 60.0
"""How long workers may take to end after their command was killed; the slowest is one that waits for a disk."""
LOOKS_S: Final = 60.0
"""How long a look at the scans is waited for: a tick of the sensor takes 25 s."""

_held_by_this_worker: list[IO[str]] = []


@contextmanager
def exclusive(store: StudyStore) -> Iterator[None]:
    """Hold the study for one command; a second one is told who holds it (E-STUDY-50).

    The operating system gives a lock back when its process ends, so a killed command leaves none behind. Its
    workers notice at once, but one may be in the middle of a write: the next command waits for them.
    """
    with open(store.root / COMMAND, "a+") as lock:
        if not _locked(lock, LOOKING_S):
            lock.seek(0)
            raise MachineError(
                "E-STUDY-50",
                f"{lock.read().strip() or 'another process'} is running this study",
                "wait for it, or stop it",
            )
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        _wait_for_workers(store.root / WORKERS)
        yield


def is_at_work(store: StudyStore) -> bool:
    """Whether a command holds the study now."""
    with open(store.root / COMMAND, "a+") as lock:
        return not _locked(lock, 0.0)


@contextmanager
def looking(store: StudyStore) -> Iterator[None]:
    """Show that scans are being looked at, by who does not hold the study; others may look too (E-STUDY-50)."""
    with open(store.root / LOOKS, "a+") as lock:
        if not _locked(lock, LOOKING_S, fcntl.LOCK_SH):
            raise MachineError("E-STUDY-50", "a participant is being removed from this study", "wait for it")
        yield


@contextmanager
def nobody_looks(store: StudyStore) -> Iterator[None]:
    """Wait for those who look at scans, and keep others from it (E-STUDY-62): they might take in who is removed."""
    with open(store.root / LOOKS, "a+") as lock:
        if not _locked(lock, LOOKS_S):
            raise MachineError(
                "E-STUDY-62", "`paraspinal status` or the sensor is looking at the scans", "wait for it"
            )
        yield


def _locked(lock: IO[str], patience_s: float, kind: int = fcntl.LOCK_EX) -> bool:
    """Take a lock, if it is free now or within some seconds."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _wait_for_workers(path: Path) -> None:
    with open(path, "a") as lock:
        if not _locked(lock, ENDING_S):
            raise MachineError(
                "E-STUDY-50",
                "the command that ran this study was killed and one of its workers is still at work",
                f"find it with `fuser {path}` and stop it",
            )


def begin_worker(root: Path, command: Connection, variables: Mapping[str, str]) -> None:
    """Make this process a worker: it holds the study with the others, and ends when its command does.

    Parameters
    ----------
    root
        Folder of the study.
    command
        The end of a pipe whose other end only the command has: it closes when the command ends, however it
        ends. (A process number would say nothing: it may be that of a zombie, or of another process by now.)
    variables
        The whole environment of the command: the server that forks workers keeps the one that it was started
        in, which may be another study's, or without its database.
    """
    os.environ.clear()
    os.environ.update(variables)
    lock = open(root / WORKERS, "a")  # noqa: SIM115 - held until the process ends
    fcntl.flock(lock, fcntl.LOCK_SH)
    _held_by_this_worker.append(lock)
    if command.poll():
        os._exit(1)  # killed before this worker held the study: another command may have it by now

    def watch() -> None:
        command.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
