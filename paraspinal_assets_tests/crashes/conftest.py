from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver

import pandas as pd
import pytest

from paraspinal_assets_tests.crashes.commands import Study
from paraspinal_assets_tests.defs.small_study import make_small_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """A study of six scans, and a server of its own that has loaded everything, from which commands are forked."""
    root = tmp_path_factory.mktemp("killed") / "study"
    make_small_study(root, people=("1001", "1002", "1003"))
    with open(root / "study.yaml", "a") as file:
        file.write("automation: {quiet_seconds: 0}\n")  # a daemon leaves alone what may still be being copied
    study = Study(root, output=root.parent)
    forkserver._forkserver._stop()
    study.context.set_forkserver_preload(["paraspinal_assets.cli.study"])
    yield study
    forkserver._forkserver._stop()


@pytest.fixture(scope="session")
def undisturbed(study: Study) -> tuple[dict[str, bytes], dict[str, pd.DataFrame]]:
    """Files and tables of a study that nothing happened to."""
    study.empty()
    study.run()
    return study.files(), study.tables()
