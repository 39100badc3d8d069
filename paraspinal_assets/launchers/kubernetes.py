"""Dagster's Kubernetes run launcher, with resources and node selectors per asset from the study file.

Dagster's own launcher takes both from tags of a run, and asset runs carry none. Needs the optional dependency
``paraspinal-assets[kubernetes]``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, ResumeRunContext
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, get_user_defined_k8s_config

from paraspinal_assets.launchers.command_runs import command_health
from paraspinal_assets.launchers.resources import (
    asset_names,
    most_cpus,
    most_demanding,
    most_memory_gb,
    needs,
)
from paraspinal_assets.study.compute_settings import KubernetesSettings
from paraspinal_assets.study.place import StudyPlace


class KubernetesRunLauncher(K8sRunLauncher):
    """Runs as Kubernetes jobs; resources per asset come from `compute.kubernetes` of the study file.

    Takes all settings of `dagster_k8s.K8sRunLauncher`, and ``study_file``.
    """

    def __init__(
        self, study_file: str, inst_data: ConfigurableClassData | None = None, **settings: Any
    ) -> None:
        self._study = StudyPlace.of(study_file)
        self._launching: set[str] = set()
        super().__init__(inst_data=inst_data, **settings)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Settings in ``dagster.yaml``."""
        own = {"study_file": dg.Field(dg.StringSource, description="The study whose runs are launched.")}
        return {**super().config_type(), **own}  # type: ignore[no-untyped-call]

    def launch_run(self, context: LaunchRunContext) -> None:
        """Make the run's job. The study file is read anew, so that edits of resources count."""
        with self._launches(context.dagster_run):
            super().launch_run(context)

    def resume_run(self, context: ResumeRunContext) -> None:
        """Make another job of a run, likewise."""
        with self._launches(context.dagster_run):
            super().resume_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """What Kubernetes says about the run's job."""
        return command_health(run) or super().check_run_worker_health(run)

    def terminate(self, run_id: str) -> bool:
        """Delete the run's job."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and command_health(run) is not None:
            return False
        return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]

    @contextmanager
    def _launches(self, run: dg.DagsterRun) -> Iterator[None]:
        self._launching.add(run.run_id)
        try:
            yield
        finally:
            self._launching.discard(run.run_id)

    def get_container_context_for_run(self, dagster_run: dg.DagsterRun) -> K8sContainerContext:
        """Launcher's settings, then the study file's for the run's assets, then tags of the run.

        Of a job that exists only the place is asked for, also by a webserver, which has no study file, and while
        the study file has an error: the run must be looked after and canceled all the same.
        """
        if dagster_run.run_id not in self._launching:
            return super().get_container_context_for_run(dagster_run)
        settings = self._study.load().compute.kubernetes
        own = UserDefinedDagsterK8sConfig.from_dict(
            pod_settings(settings, asset_names(dagster_run, settings.assets))
        )  # type: ignore[no-untyped-call]
        tags = get_user_defined_k8s_config(dagster_run.tags)
        return (
            super()
            .get_container_context_for_run(dagster_run)
            .merge(K8sContainerContext(run_k8s_config=own))
            .merge(K8sContainerContext(run_k8s_config=tags))
        )


def pod_settings(settings: KubernetesSettings, assets: Collection[str] | None) -> Mapping[str, Any]:
    """Container and pod settings of a run of these assets, as ``dagster-k8s`` takes them.

    Cores and memory are asked for and, for memory and GPUs, also the limit: a pod that takes more memory than
    it asked for is ended, and not its neighbours.
    """
    wanted = needs(settings.default, settings.assets, assets)
    largest = most_demanding(wanted)
    requests: dict[str, str] = {"cpu": str(most_cpus(wanted))}
    limits: dict[str, str] = {}
    memory = most_memory_gb(wanted)
    if memory is not None:
        requests["memory"] = limits["memory"] = f"{round(memory * 1024)}Mi"
    if largest.gpus:
        requests[settings.gpu_resource] = limits[settings.gpu_resource] = str(largest.gpus)
    return {
        "container_config": {
            "resources": {"requests": requests, "limits": limits},
            "env": [{"name": "OMP_NUM_THREADS", "value": requests["cpu"]}],
        },
        "pod_spec_config": {
            "node_selector": dict(largest.node_selector),
            "tolerations": [{"key": key, "operator": "Exists"} for key in largest.tolerate],
        },
    }
