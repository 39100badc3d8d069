"""A small study on which a test runs `paraspinal run` as processes that can be killed."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from paraspinal_assets.cli.main import main
from paraspinal_assets.defs.abandoned import FOLDER
from paraspinal_assets.defs.instance import environment
from paraspinal_assets.defs.workspace import Workspace

RESULTS = ("scans", "report", "exports")
WHEN_AND_BY_WHICH_RUN = ["run_id", "built_at"]


def command(*words: str, output: Path, variables: Mapping[str, str]) -> None:
    """Run `paraspinal WORDS` in this process, which a server forked for it."""
    deadly = importlib.import_module("paraspinal_assets_tests.crashes.deadly")
    deadly.role = "command"
    sys.modules["__main__"] = deadly  # what each worker of this command loads as well
    with open(output, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(variables)
    main(list(words))


@dataclass
class Study:
    """A study that commands run on, forked from a server that has loaded everything."""

    root: Path
    output: Path
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.order = self.root.parent / "order"
        self.context = multiprocessing.get_context("forkserver")

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(self.root / "study.yaml")

    def start(
        self, *words: str, workers: int = 1, output: str = "output.txt"
    ) -> multiprocessing.process.BaseProcess:
        """Begin `paraspinal run`; what it says goes into a file beside the study."""
        process = self.context.Process(
            target=command,
            args=("run", str(self.root), "--workers", str(workers), *words),
            kwargs={"output": self.output / output, "variables": environment(self.workspace)},
        )
        process.start()
        return process

    def run(self, *words: str) -> None:
        """One undisturbed command, which must succeed."""
        process = self.start(*words)
        process.join()
        assert process.exitcode == 0, self.said()

    def said(self, output: str = "output.txt") -> str:
        """What a command said."""
        return (self.output / output).read_text()

    def workers(self) -> list[int]:
        """Processes that hold the study as workers of a command."""
        return processes_with(lambda path: path == self.root / ".run.workers")

    def daemon_workers(self) -> list[int]:
        """Processes in which a run of the daemon works on the study."""
        return processes_with(lambda path: path.parent == self.root / ".dagster" / FOLDER)

    def files(self) -> dict[str, bytes]:
        """Every result under its final name, except the two that say when it was made."""
        paths = [path for folder in RESULTS for path in (self.root / folder).rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in paths
            if not path.name.startswith(".writing-") and path.stem != "provenance"
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables with their rows in one order: DuckDB's own file depends on which scan came when."""
        tables = {name: self.workspace.database.read(name) for name in self.workspace.database.names()}
        tables["provenance"] = tables["provenance"].drop(columns=WHEN_AND_BY_WHICH_RUN)
        return {
            name: table.sort_values(list(table.columns[:4]), kind="stable", ignore_index=True)
            for name, table in tables.items()
        }

    def empty(self) -> None:
        """Back to a study of which nothing has been built."""
        for name in (*RESULTS, ".dagster", ".cache"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for path in self.root.glob("study.duckdb*"):
            path.unlink()


def processes_with(is_wanted: Callable[[Path], bool]) -> list[int]:
    """Processes that have a wanted file open."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # ended meanwhile
            for descriptor in os.listdir(f"/proc/{name}/fd"):
                with suppress(OSError):
                    if is_wanted(Path(os.readlink(f"/proc/{name}/fd/{descriptor}"))):
                        found.append(int(name))
    return found
