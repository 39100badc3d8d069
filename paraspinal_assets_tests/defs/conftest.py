from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paraspinal_assets.defs.automation.run_report import Report
from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.automation.staleness import Assessment, Staleness
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.small_study import make_small_study


class BuiltStudy:
    """A small study on disk, with the ways in which tests act on it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def workspace(self) -> Workspace:
        """The study as it is on disk now."""
        return Workspace.open(self.root / "study.yaml")

    def run(self, workers: int = 1, **selection: Any) -> Report:
        """One run; one worker is this process."""
        with study_instance(self.workspace) as instance:
            return run_study(
                self.workspace, instance, Selection(**selection), workers=workers, progress=Progress()
            )

    def assess(self) -> Assessment:
        """Standing of everything, without looking at the inputs."""
        with study_instance(self.workspace) as instance:
            scans = instance.get_dynamic_partitions("scan")
            return Staleness(self.workspace, EventIndex(instance), scans).assess()

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in one of the study's files; it must be there."""
        path = self.root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "study"
    make_small_study(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in environment(Workspace.open(root / "study.yaml")):
            patch.setenv(name, "")
        report = BuiltStudy(root).run()
    assert not report.failed, report.messages
    return root


@pytest.fixture
def built(built_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltStudy:
    """A copy of a small study on which everything has been built."""
    root = tmp_path / "study"
    shutil.copytree(built_once, root)
    for name in environment(Workspace.open(root / "study.yaml")):
        monkeypatch.setenv(name, "")
    return BuiltStudy(root)


@pytest.fixture
def new_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], BuiltStudy]:
    """A small study of which nothing has been built."""

    def make() -> BuiltStudy:
        make_small_study(tmp_path / "study", people=("1001", "1002"))
        for name in environment(Workspace.open(tmp_path / "study" / "study.yaml")):
            monkeypatch.setenv(name, "")
        return BuiltStudy(tmp_path / "study")

    return make
