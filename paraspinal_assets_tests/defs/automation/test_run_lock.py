import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from paraspinal_assets.defs.automation import run_lock
from paraspinal_assets.defs.automation.run_lock import begin_worker, looking, nobody_looks
from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.store import StudyStore


def test_a_worker_has_the_environment_of_its_command(tmp_path, monkeypatch):
    # The server from which workers are forked lives on, with the environment of whoever needed it first.
    context = multiprocessing.get_context("forkserver")
    monkeypatch.setenv("PARASPINAL_OF_ANOTHER_STUDY", "1")
    first = context.Process(target=os.getpid)
    first.start()
    first.join()
    monkeypatch.delenv("PARASPINAL_OF_ANOTHER_STUDY")
    command, alive = context.Pipe(duplex=False)
    variables = {**os.environ, "PARASPINAL_OF_THIS_STUDY": "2"}
    with (
        ProcessPoolExecutor(
            1, mp_context=context, initializer=begin_worker, initargs=(tmp_path, command, variables)
        ) as pool,
        alive,
    ):
        assert pool.submit(os.getenv, "PARASPINAL_OF_THIS_STUDY").result() == "2"
        assert pool.submit(os.getenv, "PARASPINAL_OF_ANOTHER_STUDY").result() is None


def test_nobody_looks_at_scans_while_a_participant_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "LOOKS_S", 0.0)
    store = StudyStore(tmp_path)
    with looking(store), looking(store), pytest.raises(MachineError, match="E-STUDY-62"), nobody_looks(store):
        pass
    with nobody_looks(store), pytest.raises(MachineError, match="E-STUDY-50"), looking(store):
        pass
