import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from paraspinal_assets.defs.automation.run_lock import begin_worker


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
