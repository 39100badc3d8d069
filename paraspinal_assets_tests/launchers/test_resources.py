from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

from paraspinal_assets.defs.dagster_storage import POSTGRES_VARIABLE
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.rules import compute_problems
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.launchers.kubernetes import pod_settings
from paraspinal_assets.launchers.resources import asset_names
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


def test_a_step_of_a_rebuild_waits_for_no_gpu() -> None:
    settings = slurm(
        default={"minutes": 10},
        assets={"segmentation": {"gpus": 1, "minutes": 30}, "sensitivity": {"cpus": 4, "minutes": 20}},
    )
    names = asset_names(dg.DagsterRun("rebuild_stale"), settings.assets)
    wanted = slurm_resources(settings, names)
    assert (wanted.gpus, wanted.cpus, wanted.minutes) == (0, 4, 30)
    anything = slurm_resources(settings, asset_names(dg.DagsterRun("__ASSET_JOB"), settings.assets))
    assert anything.gpus == 1


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


def test_a_study_that_moves_to_slurm_keeps_its_events_and_reads_the_address_of_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.open(make_small_study(tmp_path / "study", people=("1001",)))
    for name in environment(workspace):
        monkeypatch.setenv(name, "")
    with study_instance(workspace) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("muscle"))
    shipped = (DEPLOY / "slurm" / "dagster.yaml").read_bytes()
    workspace.store.write_bytes(workspace.store.dagster_home / "dagster.yaml", shipped)
    with study_instance(workspace) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("muscle")) is not None
    monkeypatch.setenv(POSTGRES_VARIABLE, "postgresql://127.0.0.1:1/none")
    with pytest.raises(StudyError, match="E-STUDY-55"), study_instance(workspace):
        pass


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
