"""Processes that execute the batches of one command."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from paraspinal_assets.defs.abandoned import close_abandoned
from paraspinal_assets.defs.automation.batch import execute
from paraspinal_assets.defs.automation.run_lock import begin_worker
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.launchers.command_runs import COMMAND_TAG

_done: Final[list[Connection]] = []
"""In a worker: where it says that it is through with another scan."""


class WorkerPool:
    """Worker processes that load the definitions once; started when first needed. One worker is this process.

    `scan_done` is called with the asset's name for each scan that a worker is through with, from a thread.
    """

    def __init__(
        self, workers: int, workspace: Workspace, index: EventIndex, scan_done: Callable[[str], None]
    ) -> None:
        self._workers = workers
        self._workspace = workspace
        self._index = index
        self._scan_done = scan_done
        self._started: _Started | None = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            self.restart()  # not to wait for scans at work
        elif self._started is not None:
            self._started.end()

    def submit(self, asset: str, keys: tuple[str, ...]) -> Future[None]:
        """Build an asset, for a contiguous range of scans or as a table, in the next free worker."""
        if self._workers == 1:
            done: Future[None] = Future()
            execute(asset, keys, self._index.instance, self._scan_done)
            done.set_result(None)
            return done
        if self._started is None:
            self._started = _Started(self._workers, self._workspace, self._scan_done)
        return self._started.executor.submit(_execute, asset, keys)

    def restart(self) -> None:
        """End the workers, of which one died, and their runs."""
        if self._started is not None:
            self._started.alive.close()
            self._started.end()
        self._started = None
        close_abandoned(self._index, self._workspace.store.dagster_home, own=COMMAND_TAG)


class _Started:
    """The processes, with a pipe that tells them that their command is alive, and one on which they tell it."""

    def __init__(self, workers: int, workspace: Workspace, scan_done: Callable[[str], None]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["paraspinal_assets.defs.automation.preload"])
        # Ctrl-C at a terminal is for the command alone: it ends its workers. They and what they start inherit this.
        resource_tracker.ensure_running()  # first: to start it lets Ctrl-C through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        command, self.alive = context.Pipe(duplex=False)
        told, self._tell = context.Pipe(duplex=False)
        self._listener = threading.Thread(target=_listen, args=(told, scan_done), daemon=True)
        self._listener.start()
        self.executor = ProcessPoolExecutor(
            workers,
            mp_context=context,
            initializer=_begin,
            initargs=(workspace.root, command, self._tell, {**os.environ, **environment(workspace)}),
        )

    def end(self) -> None:
        """Wait for the processes, and for what they told last."""
        self.executor.shutdown(cancel_futures=True)
        self._tell.close()
        self._listener.join()


def _listen(told: Connection, scan_done: Callable[[str], None]) -> None:
    while True:
        try:
            asset = told.recv_bytes().decode()
        except EOFError:
            return
        scan_done(asset)


def _begin(root: Path, command: Connection, done: Connection, variables: Mapping[str, str]) -> None:
    begin_worker(root, command, variables)
    _done.append(done)


def _execute(asset: str, keys: tuple[str, ...]) -> None:
    # So short a message is written whole, whoever else writes and whenever this process is killed.
    execute(asset, keys, scan_done=lambda name: _done[0].send_bytes(name.encode()))
