from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from paraspinal_assets.cli import main
from paraspinal_assets_tests.defs.small_study import make_small_study


def paraspinal(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("PARASPINAL_STUDY", "")
    make_small_study(tmp_path / "study", people=("1001", "1002"))
    return tmp_path / "study"


def test_help_names_every_command_and_the_exit_codes() -> None:
    text = paraspinal("--help").output
    for command in (
        "init",
        "check",
        "run",
        "status",
        "export",
        "ui",
        "demo",
        "analyze",
        "measure",
        "convert",
        "weights",
        "forget",
        "explain",
        "diff",
    ):
        assert f"\n  {command} " in text
    codes = "0 done, 1 some scans failed (named), 2 wrong use or study file, 3 try again later"
    assert codes in " ".join(text.split())


def test_init_writes_a_study_file_once(tmp_path: Path) -> None:
    assert paraspinal("init", tmp_path / "new").exit_code == 0
    assert (tmp_path / "new" / "study.yaml").is_file()
    again = paraspinal("init", tmp_path / "new")
    assert again.exit_code == 2
    assert "is there already" in again.output


def test_check_counts_the_scans(study: Path) -> None:
    result = paraspinal("check", study)
    assert result.exit_code == 0, result.output
    assert "exam5: 2 scans" in result.output


def test_check_finds_all_problems_at_once(study: Path) -> None:
    (study / "incoming" / "exam5" / "bad id.nii.gz").write_bytes(b"")
    (study / "people.csv").write_text("participant,age,sex,fracture\n1001,260,Female,0\n1002,61,Male,maybe\n")
    result = paraspinal("check", study)
    assert result.exit_code == 2
    for words in (
        "'xxx xx'",
        "row 2 participant 1001: age '260' is outside",
        "row 3 participant 1002: fracture 'maybe'",
    ):
        assert words in result.output, result.output


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: Small study", "nam: Small study", "line 2: unknown key nam"),
        ("levels: T1-T10", "levels: T10-T1", "levels"),
        ("slope: 0.8", "slope: steep", "slope"),
        ("folds: 2", "folds: two", "folds"),
    ],
)
def test_a_wrong_study_file_is_exit_2_with_its_line(study: Path, old: str, new: str, words: str) -> None:
    text = (study / "study.yaml").read_text()
    assert old in text
    (study / "study.yaml").write_text(text.replace(old, new, 1))
    result = paraspinal("run", study)
    assert result.exit_code == 2
    assert words in result.output
    assert "line " in result.output
    assert not (study / "scans").exists()


def test_a_missing_study_file_is_exit_2(tmp_path: Path) -> None:
    result = paraspinal("run", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "no study file" in result.output


def test_status_names_files_that_are_no_scans(study: Path) -> None:
    (study / "incoming" / "exam5" / "bad id.nii.gz").write_bytes(b"")
    assert "Problem: [E-STUDY-10]" in paraspinal("status", study).output
    (problem,) = json.loads(paraspinal("status", study, "--json").stdout.splitlines()[-1])["problems"]
    assert "'xxx xx'" in problem


def test_an_unknown_asset_or_exam_is_exit_2(study: Path) -> None:
    assert paraspinal("run", study, "--select", "muscles").exit_code == 2
    assert paraspinal("run", study, "--exam", "exam9").exit_code == 2


@pytest.mark.slow
def test_run_status_and_export(study: Path, tmp_path: Path) -> None:
    (study / "incoming" / "exam6" / "1002.nii.gz").write_bytes(b"no scan")
    chosen = "group:ingest,group:segmentation,group:measurement,scans"
    result = paraspinal("run", study, "--workers", 1, "--json", "--select", chosen)
    assert result.exit_code == 1
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["materialized"]["scan_muscle"] == ["exam5-1001", "exam5-1002", "exam6-1001"]
    assert report["materialized"]["muscle_metrics"] == []
    assert list(report["failed"]) == ["ct_nifti"]
    assert report["failed"]["ct_nifti"]["exam6-1002"].startswith("E-VOL-")

    status = json.loads(paraspinal("status", study, "--json").stdout.splitlines()[-1])["assets"]
    assert status["ct_nifti"]["failed"] == 1
    assert status["segmentation"] == {
        "fresh": 3,
        "stale": 0,
        "missing": 0,
        "blocked": 1,
        "failed": 0,
        "reasons": [{"scan": "exam6-1002", "reason": "waits for ct_nifti, which is failed"}],
    }
    assert status["cohort"]["blocked"] + status["cohort"]["missing"] == 1

    assert paraspinal("export", study, "--to", tmp_path / "out", "--format", "csv").exit_code == 0
    muscle = pd.read_csv(tmp_path / "out" / "muscle_metrics.csv")
    assert len(muscle) == 3 * 11 * 3
    assert (tmp_path / "out" / "data_dictionary.csv").is_file()
    assert list(study.rglob(".writing-*")) == []
