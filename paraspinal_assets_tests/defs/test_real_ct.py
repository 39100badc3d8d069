"""The real public CT through the whole graph, against what the original study's scripts measure on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from paraspinal_assets.cli import main
from paraspinal_assets.study.database import Database

PROJECT = Path(__file__).parents[2]
REAL = PROJECT.parent / "shared" / "real" / "totalsegmentator"
GOLDENS = PROJECT / "paraspinal_assets_tests" / "data" / "imaging"
COMMAND = "group:ingest,group:segmentation,group:measurement,scans"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REAL.is_dir(), reason="the real public CT is not beside this checkout"),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Database:
    root = tmp_path_factory.mktemp("real")
    for name in ("study.yaml", "people.csv"):
        shutil.copy(PROJECT / "data" / "real" / name, root)
    (root / "totalsegmentator").symlink_to(REAL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("PARASPINAL_STUDY", "")
        result = CliRunner().invoke(main, ["run", str(root), "--workers", "1", "--select", COMMAND])
    assert result.exit_code == 0, result.output
    return Database(root / "study.duckdb")


@pytest.mark.parametrize(
    ("exam", "case", "levels"),
    [
        ("exam5", "real_dicom", {"T11": "T1", "T12": "T2"}),
        ("exam6", "real_sm_15", {"T11": "T1", "T12": "T2", "L1": "T3", "L2": "T4"}),
    ],
)
def test_volumes_and_medians_are_the_original_ones(
    measured: Database, exam: str, case: str, levels: dict[str, str]
) -> None:
    golden = json.loads((GOLDENS / f"{case}_full.json").read_text())["levels"]
    rows = measured.query("SELECT * FROM muscle_metrics WHERE exam = ? AND side = 'both'", [exam]).set_index(
        "level"
    )
    for level, name in levels.items():
        assert rows.loc[level, "voxels"] == golden[name]["voxels"]
        assert rows.loc[level, "median_hu"] == golden[name]["median_hu"]
        assert rows.loc[level, "volume_mm3"] == pytest.approx(golden[name]["volume_mm3"], rel=1e-6)


def test_levels_outside_the_image_are_null_with_a_reason(measured: Database) -> None:
    rows = measured.query(
        "SELECT voxels, reason FROM muscle_metrics WHERE exam = 'exam5' AND level IN ('L1', 'L2')"
    )
    assert rows["voxels"].isna().all()
    assert set(rows["reason"]) == {"level_absent"}


def test_the_documented_command_is_the_one_tested() -> None:
    assert f"paraspinal run data/real --select {COMMAND}" in (PROJECT / "docs" / "real-ct.md").read_text()
