from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.observe import look, take_in
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.launchers.cluster_study import ClusterStudy
from paraspinal_assets_tests.launchers.local_slurm import LocalSlurm, reason_to_skip

DEPLOY = Path(__file__).parents[2] / "deploy"
PEOPLE = tuple(str(number) for number in range(1001, 1016))
COMPUTE = """
compute:
  slurm:
    default: {cpus: 2, minutes: 10}
    assets:
      segmentation: {gpus: 1, minutes: 20}
"""


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSlurm]:
    """Four nodes of two cores and two GPUs each."""
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    cluster = LocalSlurm(tmp_path_factory.mktemp("slurm") / "cluster", nodes=4)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def thirty_scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 15 people and two exams, of which nothing has been built."""
    root = tmp_path_factory.mktemp("thirty") / "study"
    make_small_study(root, PEOPLE)
    with open(root / "study.yaml", "a", encoding="utf-8") as file:
        file.write(COMPUTE)
    return root


@pytest.fixture(scope="module")
def study(
    slurm: LocalSlurm, thirty_scans: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterStudy]:
    """The study on the cluster with the shipped dagster.yaml, its scans registered."""
    root = tmp_path_factory.mktemp("cluster") / "study"
    shutil.copytree(thirty_scans, root)
    workspace = Workspace.open(root / "study.yaml")
    workspace.store.write_bytes(
        workspace.store.dagster_home / "dagster.yaml", (DEPLOY / "slurm" / "dagster.yaml").read_bytes()
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (*environment(workspace).items(), *slurm.environment.items()):
            patch.setenv(name, value)
        with study_instance(workspace) as instance:
            take_in(look(workspace, instance, EventIndex(instance)), instance)
            target = ModuleTarget("paraspinal_assets.definitions", None, None, None)
            with WorkspaceProcessContext(instance, target) as context:
                cluster_study = ClusterStudy(root, slurm, instance, context)
                cluster_study.set_pool("gpu", slurm.gpus)
                yield cluster_study
