"""The job that the shipped values make of a run, against Kubernetes' own schemas; no cluster runs here."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.events import DagsterEvent
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from paraspinal_assets.definitions import defs
from paraspinal_assets.defs.dagster_storage import POSTGRES_VARIABLE
from paraspinal_assets.launchers.command_runs import COMMAND_TAG
from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.launchers.kube_api import KubeApi

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="pip install paraspinal-assets[kubernetes]"
)

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = "1.33"
IMAGE = "registry.example.org/paraspinal-assets:0.1.0"


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """The shipped values of the chart."""
    return dict(yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text()))


@pytest.fixture(scope="module")
def jobs(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the launcher of the shipped values creates for a run of each of three assets."""
    root = tmp_path_factory.mktemp("kubernetes")
    study = make_small_study(root / "study", people=("1001",))
    with open(study, "a", encoding="utf-8") as file:
        file.write((DEPLOY / "kubernetes" / "compute.yaml").read_text())
    api = KubeApi(root)
    names = ("ct_nifti", "segmentation", "scan_muscle")
    with pytest.MonkeyPatch.context() as patch, api.serve() as kubeconfig:
        patch.setenv("PARASPINAL_STUDY", str(study))
        custom = values["runLauncher"]["config"]["customRunLauncher"]
        # Everything as shipped, except that the launcher is not inside a cluster.
        outside = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
        for name in names:
            with _launched(custom, outside, name, root):
                pass
    paths, created = zip(*api.created, strict=True)
    assert set(paths) == {"/apis/batch/v1/namespaces/paraspinal/jobs"}
    return dict(zip(names, created, strict=True))


@contextmanager
def _launched(
    custom: Mapping[str, Any], outside: Mapping[str, Any], asset: str, root: Path
) -> Iterator[tuple[dg.DagsterInstance, str]]:
    """A run of an asset, launched with the launcher of the values as the daemon does, and its instance."""
    home = root / f"home-{asset}"
    home.mkdir()
    launcher = {**custom, "config": {**custom["config"], **outside}}
    repository = RepositoryPythonOrigin(
        executable_path="/opt/paraspinal/bin/python",
        code_pointer=ModuleCodePointer("paraspinal_assets.definitions", "defs"),
        container_image=IMAGE,
        entry_point=["dagster"],
    )
    with dg.instance_for_test(temp_dir=str(home), overrides={"run_launcher": launcher}) as instance:
        run = instance.create_run_for_job(
            defs.resolve_implicit_global_asset_job_def(),
            asset_selection=frozenset({dg.AssetKey(asset)}),
            job_code_origin=JobPythonOrigin("__ASSET_JOB", repository),
        )
        instance.run_launcher.launch_run(LaunchRunContext(run, None))
        yield instance, run.run_id


def test_a_run_is_ended_from_where_there_is_no_study_file(values: dict[str, Any], tmp_path: Path) -> None:
    study = make_small_study(tmp_path / "study", people=("1001",))
    api = KubeApi(tmp_path)
    with pytest.MonkeyPatch.context() as patch, api.serve() as kubeconfig:
        patch.setenv("PARASPINAL_STUDY", str(study))
        custom = values["runLauncher"]["config"]["customRunLauncher"]
        outside = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
        with _launched(custom, outside, "ct_nifti", tmp_path) as (instance, run_id):
            study.unlink()
            assert instance.run_launcher.terminate(run_id)
    assert api.deleted == [f"/apis/batch/v1/namespaces/paraspinal/jobs/dagster-run-{run_id}"]


def test_a_run_of_the_command_is_left_to_its_process(values: dict[str, Any], tmp_path: Path) -> None:
    study = make_small_study(tmp_path / "study", people=("1001",))
    api = KubeApi(tmp_path)
    with pytest.MonkeyPatch.context() as patch, api.serve() as kubeconfig:
        patch.setenv("PARASPINAL_STUDY", str(study))
        kubernetes = copy.deepcopy(values["runLauncher"]["config"]["customRunLauncher"])
        kubernetes["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
        slurm = yaml.safe_load((DEPLOY / "slurm" / "dagster.yaml").read_text())["run_launcher"]
        for launcher in (kubernetes, slurm):
            with dg.instance_for_test(overrides={"run_launcher": launcher}) as instance:
                run = instance.create_run_for_job(_empty, tags={COMMAND_TAG: "run"})
                instance.report_dagster_event(DagsterEvent("PIPELINE_START", run.job_name), run.run_id)
                run = instance.get_run_by_id(run.run_id) or run
                assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
                assert not instance.run_launcher.terminate(run.run_id)
    assert api.deleted == []


@dg.job
def _empty() -> None:
    pass


def pod(job: Mapping[str, Any]) -> dict[str, Any]:
    """Specification of a job's pod."""
    return dict(job["spec"]["template"]["spec"])


def test_the_jobs_are_valid_kubernetes_objects(jobs: dict[str, dict[str, Any]]) -> None:
    for job in jobs.values():
        kubernetes_validate.validate(job, KUBERNETES, strict=True)


def test_a_schema_that_is_broken_is_refused(jobs: dict[str, dict[str, Any]]) -> None:
    broken = copy.deepcopy(jobs["ct_nifti"])
    pod(broken)["containers"][0]["securityContext"]["runAsRoot"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", ["volumes.yaml", "network-policy.yaml", "shell.yaml"])
def test_the_other_objects_are_valid(name: str) -> None:
    objects = list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))
    assert objects
    for item in objects:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_the_shell_opens_the_database_of_the_chart(values: dict[str, Any]) -> None:
    shell = yaml.safe_load((DEPLOY / "kubernetes" / "shell.yaml").read_text())["spec"]["containers"][0]
    variables = {item["name"]: item.get("value") for item in shell["env"]}
    address = variables[POSTGRES_VARIABLE].replace("$(DAGSTER_PG_PASSWORD)", "secret")
    chart = values["postgresql"]
    user, database = chart["postgresqlUsername"], chart["postgresqlDatabase"]
    assert address == f"postgresql://{user}:secret@dagster-postgresql:5432/{database}"
    assert variables["PARASPINAL_STUDY"] == "/study/study.yaml"


def test_only_the_segmentation_gets_a_gpu_node(jobs: dict[str, dict[str, Any]]) -> None:
    for asset, job in jobs.items():
        gpus = pod(job)["containers"][0]["resources"]["limits"].get("nvidia.com/gpu")
        selected = pod(job).get("nodeSelector") or {}
        if asset == "segmentation":
            assert (gpus, selected) == ("1", {"nvidia.com/gpu.present": "true"})
            assert pod(job)["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
        else:
            assert (gpus, selected) == (None, {})


def test_resources_come_from_the_study_file(jobs: dict[str, dict[str, Any]]) -> None:
    requests = {asset: pod(job)["containers"][0]["resources"]["requests"] for asset, job in jobs.items()}
    assert requests == {
        "ct_nifti": {"cpu": "1", "memory": "8192Mi"},
        "segmentation": {"cpu": "8", "memory": "32768Mi", "nvidia.com/gpu": "1"},
        "scan_muscle": {"cpu": "1", "memory": "4096Mi"},
    }


def test_runs_are_not_root_and_cannot_write_weights_or_their_own_code(
    jobs: dict[str, dict[str, Any]],
) -> None:
    for job in jobs.values():
        container = pod(job)["containers"][0]
        assert container["image"] == IMAGE
        assert pod(job)["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
        assert mounts["/weights"] is True
        assert mounts["/study"] is False


def test_the_network_policy_is_about_runs(jobs: dict[str, dict[str, Any]]) -> None:
    policy = yaml.safe_load((DEPLOY / "kubernetes" / "network-policy.yaml").read_text())
    wanted = policy["spec"]["podSelector"]["matchLabels"].items()
    for job in jobs.values():
        assert wanted <= job["spec"]["template"]["metadata"]["labels"].items()


def test_the_image_copies_what_exists_and_is_not_root() -> None:
    lines = [line.split() for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.strip()]
    copied = [
        word for line in lines if line[0] == "COPY" and "--from=build" not in line for word in line[1:-1]
    ]
    assert copied
    assert all((DEPLOY.parent / name).exists() for name in copied)
    (user,) = [line[1] for line in lines if line[0] == "USER"]
    assert user.partition(":")[0] not in ("root", "0")
