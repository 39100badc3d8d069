from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from paraspinal_assets.cli import main
from paraspinal_assets.cli.demo import study_text
from paraspinal_assets.study.database import Database

PROJECT = Path(__file__).parents[2]


def test_the_demo_finds_the_phantom_network_from_any_folder(tmp_path: Path) -> None:
    weights = yaml.safe_load(study_text(tmp_path))["segmentation"]["weights"]
    assert (tmp_path / weights).resolve() == PROJECT / "data" / "phantom_network"
    assert study_text(PROJECT / "data" / "demo") == (PROJECT / "data" / "demo" / "study.yaml").read_text()


@pytest.mark.slow
def test_a_small_demo_ends_green_and_counts_every_broken_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DAGSTER_HOME", "PARASPINAL_STUDY"):
        monkeypatch.setenv(variable, "")
    folder = tmp_path / "demo"
    folder.mkdir()
    (tmp_path / "phantom_network").symlink_to(PROJECT / "data" / "phantom_network")
    study = (PROJECT / "data" / "demo" / "study.yaml").read_text()
    (folder / "study.yaml").write_text(
        study.replace("-1165", "-1001").replace("-1003", "-1001").replace("bootstrap: 200", "bootstrap: 5")
    )
    result = CliRunner().invoke(main, ["demo", str(folder), "--participants", "8"])
    assert result.exit_code == 0, result.output
    for words in ("Flow", "Headline", "measured", "truth", "study.duckdb", "report.html", "figures"):
        assert words in result.output

    database = Database(folder / "study.duckdb")
    truth = json.loads((folder / "truth.json").read_text())
    scans = database.read("scans").set_index(["exam", "participant"])
    for entry in truth["broken"]:
        key = (entry["exam"], entry["participant"])
        if entry["kind"] == "no_follow_up":
            assert key not in scans.index
        elif entry["kind"] == "shifted_levels":  # the reader's relabelling in review.csv puts it right
            assert scans.loc[key, "status"] == "measured"
        else:
            assert scans.loc[key, "reason"] == entry["reason"], entry
    network = scans.loc[[("exam5", "1001"), ("exam6", "1001")], "segmenter"]
    assert network.str.contains("phantom network, not for patients").all()
    sidecar = json.loads((folder / "scans" / "exam5" / "1001" / "segmentation.json").read_text())
    assert sidecar["model"]["note"] == "phantom network, not for patients"
    flow = database.read("disposition")
    assert flow["participants"].iloc[0] == len({person for _, person in scans.index})
    html = (folder / "report" / "report.html").read_text()
    assert "not for patients" in html
    assert "Synthetic data" in html
