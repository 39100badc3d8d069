from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.launchers.cluster_study import ClusterStudy, on_cluster
from paraspinal_assets_tests.launchers.local_slurm import LocalSlurm, reason_to_skip

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
    with on_cluster(root, slurm) as cluster_study:
        yield cluster_study
