"""Processes that execute the batches of one command."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import Connection

from paraspinal_assets.defs.abandoned import close_abandoned
from paraspinal_assets.defs.automation.batch import COMMAND_TAG, execute
from paraspinal_assets.defs.automation.run_lock import begin_worker
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment
from paraspinal_assets.defs.workspace import Workspace


class WorkerPool:
    """Worker processes that load the definitions once; started when first needed. One worker is this process."""

    def __init__(self, workers: int, workspace: Workspace, index: EventIndex) -> None:
        self._workers = workers
        self._workspace = workspace
        self._index = index
        self._executor: ProcessPoolExecutor | None = None
        self._alive: Connection | None = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def submit(self, asset: str, keys: tuple[str, ...]) -> Future[None]:
        """Build an asset, for a contiguous range of scans or as a table, in the next free worker."""
        if self._workers == 1:
            done: Future[None] = Future()
            execute(asset, keys, self._index.instance)
            done.set_result(None)
            return done
        if self._executor is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["paraspinal_assets.defs.automation.preload"])
            command, self._alive = context.Pipe(duplex=False)
            self._executor = ProcessPoolExecutor(
                self._workers,
                mp_context=context,
                initializer=begin_worker,
                initargs=(self._workspace.root, command, {**os.environ, **environment(self._workspace)}),
            )
        return self._executor.submit(execute, asset, keys)

    def restart(self) -> None:
        """End the workers, of which one died, and their runs."""
        if self._executor is not None and self._alive is not None:
            self._alive.close()
            self._executor.shutdown(cancel_futures=True)
        self._executor = None
        close_abandoned(self._index, self._workspace.store.dagster_home, own=COMMAND_TAG)
