from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from paraspinal_assets.defs.rules import compute_problems
from paraspinal_assets.launchers.kubernetes import pod_settings
from paraspinal_assets.launchers.slurm_resources import sbatch_options, slurm_resources
from paraspinal_assets.study.compute_settings import ComputeSettings, SlurmSettings
from paraspinal_assets.study.study_file import load_study
from paraspinal_assets_tests.defs.small_study import make_small_study

DEPLOY = Path(__file__).parents[2] / "deploy"


def slurm(**settings: Any) -> SlurmSettings:
    return SlurmSettings.model_validate(settings)


def test_an_asset_that_is_not_named_takes_the_default() -> None:
    settings = slurm(default={"cpus": 3, "memory_gb": 1.5}, assets={"segmentation": {"gpus": 1}})
    assert sbatch_options(slurm_resources(settings, ["scan_bone"])) == [
        *("--nodes=1", "--ntasks=1", "--cpus-per-task=3", "--mem=1536M")
    ]


def test_a_named_asset_takes_nothing_over_from_the_default() -> None:
    settings = slurm(
        default={"minutes": 5, "partition": "cpu"},
        assets={"segmentation": {"gpus": 2, "gpu_type": "a100", "partition": "gpu"}},
    )
    assert sbatch_options(slurm_resources(settings, ["segmentation"])) == [
        *("--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--partition=gpu", "--gres=gpu:a100:2")
    ]


def test_a_run_of_several_assets_asks_for_the_most_of_each_and_the_time_of_all() -> None:
    settings = slurm(
        assets={
            "segmentation": {"gpus": 1, "partition": "gpu", "memory_gb": 8, "minutes": 30},
            "scan_radiomics": {"cpus": 4, "partition": "cpu", "memory_gb": 16, "minutes": 20},
        }
    )
    wanted = slurm_resources(settings, ["scan_radiomics", "segmentation"])
    assert (wanted.cpus, wanted.gpus, wanted.memory_gb, wanted.minutes) == (4, 1, 16, 50)
    assert wanted.partition == "gpu"
    assert slurm_resources(settings, None) == wanted
    assert slurm_resources(settings, ["scan_radiomics", "quality"]).minutes is None


def test_without_settings_a_job_is_one_core() -> None:
    assert sbatch_options(slurm_resources(slurm(), None)) == ["--nodes=1", "--ntasks=1", "--cpus-per-task=1"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("options", ["--wrap=rm"], "is set by the launcher"),
        ("options", ["--clusters=other"], "is set by the launcher"),
        ("options", ["-p gpu"], "write options as"),
        ("environment", ["A=1"], "not the name of an environment variable"),
        ("default", {"partition": "gpu --wrap=x"}, "not a name that Slurm uses"),
        ("default", {"cpus": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_would_change_the_command_are_refused(key: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        slurm(**{key: value})


def test_memory_and_gpus_of_a_pod_are_limits_and_cores_are_not() -> None:
    text = (DEPLOY / "kubernetes" / "compute.yaml").read_text()
    settings = ComputeSettings.model_validate(yaml.safe_load(text)["compute"]).kubernetes
    resources = pod_settings(settings, ["segmentation"])["container_config"]["resources"]
    assert resources["limits"] == {"memory": "32768Mi", "nvidia.com/gpu": "1"}
    assert resources["requests"] == {"cpu": "8", **resources["limits"]}


@pytest.mark.parametrize("kind", ["slurm", "kubernetes"])
def test_the_shipped_examples_name_assets_that_exist(kind: str, tmp_path: Path) -> None:
    study = make_small_study(tmp_path / "study", people=("1001",))
    study.write_text(study.read_text() + (DEPLOY / kind / "compute.yaml").read_text())
    assert compute_problems(load_study(study)) == []
    study.write_text(
        study.read_text()
        .replace("segmentation: {part", "sgmentation: {part")
        .replace("      segmentation:\n", "      sgmentation:\n")
    )
    (problem,) = compute_problems(load_study(study))
    assert problem == f"compute.{kind}.assets: 'sgmentation' is no asset that is built; it has no effect"
