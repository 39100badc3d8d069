"""`paraspinal explain` and `paraspinal diff` on one small study, of which one CT was replaced after a first run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from paraspinal_assets.cli import main
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import make_small_study, write_scan

pytestmark = pytest.mark.slow

ASSETS = frozenset({"ct_nifti", "segmentation", "paraspinal_levels", "scan_muscle", "muscle_metrics"})


def paraspinal(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def paraspinal_json(*words: object) -> Any:
    result = paraspinal(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The study, and the last Dagster run before the replacement."""
    root = tmp_path_factory.mktemp("provenance") / "study"
    make_small_study(root, people=("1001", "1002"))
    with pytest.MonkeyPatch.context() as patch:
        for name in environment(Workspace.open(root / "study.yaml")):
            patch.setenv(name, "")
        built = BuiltStudy(root)
        built.run(assets=ASSETS)
        with study_instance(built.workspace) as instance:
            last = instance.get_run_ids(limit=1)[0]
        write_scan(root, "exam6", "1002", muscle_hu=40.0, width=15.0)
        built.run(assets=ASSETS)
        yield root, last


def test_a_row_of_a_scan_leads_to_its_fingerprint(study: tuple[Path, str]) -> None:
    root, _ = study
    found = paraspinal_json("explain", "muscle_metrics", "exam6-1002", root)
    steps = {step["asset"]: step for step in found["steps"]}
    assert list(steps) == [
        "raw_scan",
        "raw_segmentation",
        *("ct_nifti", "segmentation"),
        *("paraspinal_levels", "scan_muscle", "muscle_metrics"),
    ]
    assert {step["scan"] for step in found["steps"]} == {"exam6-1002", None}
    assert found["rows"] == 33
    for asset in ("ct_nifti", "paraspinal_levels", "scan_muscle"):
        for name, version in steps[asset]["inputs"].items():
            assert version == steps[name]["data_version"], (asset, name)
    with study_instance(Workspace.open(root / "study.yaml")) as instance:
        for asset in ("ct_nifti", "scan_muscle", "muscle_metrics"):
            assert instance.get_run_by_id(steps[asset]["run_id"]) is not None
    assert list(found["models"]) == ["exam6-1002"]


def test_what_changed_since_is_said(study: tuple[Path, str]) -> None:
    root, _ = study
    text = (root / "study.yaml").read_text()
    (root / "study.yaml").write_text(text.replace("levels: T1-T10", "levels: T1-T9"))
    try:
        output = paraspinal("explain", "muscle_metrics", "exam5-1001", root).output
    finally:
        (root / "study.yaml").write_text(text)
    changed = [
        line.split(" | ")[0] for line in output.splitlines() if "SINCE THEN study file: levels" in line
    ]
    assert changed == ["segmentation exam5-1001", "paraspinal_levels exam5-1001", "scan_muscle exam5-1001"]


def test_only_the_replaced_scan_is_different_and_why(study: tuple[Path, str]) -> None:
    root, last = study
    changes = paraspinal_json("diff", last[:8], "now", root)["changes"]
    assert {change["scan"] for change in changes} == {"exam6-1002", None}
    why = {change["asset"]: change["why"] for change in changes}
    assert why["raw_scan"] == ["its content changed"]
    assert why["ct_nifti"] == ["input raw_scan changed"]
    assert why["muscle_metrics"] == ["input scan_muscle changed"]
    assert paraspinal_json("diff", last, last, root)["changes"] == []


def test_what_is_not_there_is_an_error_with_an_example(study: tuple[Path, str]) -> None:
    root, _ = study
    row = paraspinal("explain", "muscle_metrics", "exam9-1001", root)
    assert (row.exit_code, "for example exam" in row.output) == (2, True)
    assert "use one of: muscle_metrics" in paraspinal("explain", "muscles", "exam5-1001", root).output
    assert "no run 'ffffffff'" in paraspinal("diff", "ffffffff", "now", root).output


def in_a_process_of_its_own(*words: object) -> str:
    command = [sys.executable, "-m", "paraspinal_assets.cli", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_commands_that_build_nothing_know_the_assets(study: tuple[Path, str], tmp_path: Path) -> None:
    # Here every module is loaded; the command loads only its own, and without the assets nothing was needed.
    root = shutil.copytree(study[0], tmp_path / "study")
    assert "raw_scan" in in_a_process_of_its_own("explain", "muscle_metrics", "exam6-1002", root)
    in_a_process_of_its_own("tidy", root, "--older-than", 0)
    assert BuiltStudy(root).run(assets=ASSETS).materialized == {}
