"""Settings of where runs are computed: what a Slurm job asks for, per asset."""

from __future__ import annotations

import re
from typing import Final

from pydantic import Field, field_validator

from paraspinal_assets.study.settings_base import Settings

_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:\[\]&|()*-]*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS: Final = (
    "array",
    "chdir",
    "clusters",
    "error",
    "export",
    "job-name",
    "output",
    "parsable",
    "requeue",
    "wait",
    "wrap",
)
"""Options of sbatch that the launcher depends on; the study file cannot set them."""


class Resources(Settings):
    """What one run asks for: a batch of scans, or a table. What is left out is the cluster's default."""

    cpus: int = Field(1, ge=1, description="Cores; also the number of threads of numerical libraries.")
    gpus: int = Field(0, ge=0, description="GPUs; a batch of scans uses one.")
    memory_gb: float | None = Field(None, gt=0, description="Memory in GB.")


class SlurmResources(Resources):
    """What one Slurm job asks for. What is left out is the cluster's default."""

    partition: str | None = Field(None, description="Slurm partition (queue).")
    gpu_type: str | None = Field(None, description="Type of GPU as the cluster names it, such as a100.")
    minutes: int | None = Field(None, ge=1, description="Time limit of the job.")

    @field_validator("partition", "gpu_type")
    @classmethod
    def _is_one_word(cls, value: str | None) -> str | None:
        if value is not None and not _WORD.fullmatch(value):
            raise ValueError(f"{value!r} is not a name that Slurm uses")
        return value


class SlurmSettings(Settings):
    """How a Dagster run becomes a Slurm job, where the instance uses the Slurm launcher."""

    default: SlurmResources = Field(SlurmResources(), description="Resources of assets that are not named.")
    assets: dict[str, SlurmResources] = Field(
        default_factory=dict, description="Resources by asset; nothing is taken over from `default`."
    )
    options: tuple[str, ...] = Field(
        (), description="Further options of sbatch, such as `--account=lung` or `--qos=long`."
    )
    prefix: tuple[str, ...] = Field(
        (), description="Words before the command, such as `[apptainer, exec, --nv, image.sif]`."
    )
    python: str | None = Field(
        None, description="Python on the compute nodes; the one of the code location when absent."
    )
    environment: tuple[str, ...] = Field(
        (), description="Names of further variables that jobs get from the daemon."
    )

    @field_validator("options")
    @classmethod
    def _does_not_take_over(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for option in value:
            if not option.startswith("--"):
                raise ValueError(f"{option!r}: write options as --name or --name=value")
            if option[2:].partition("=")[0] in OURS:
                raise ValueError(f"{option!r} is set by the launcher")
        return value

    @field_validator("environment")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of an environment variable")
        return value


class KubernetesResources(Resources):
    """What one Kubernetes job asks for."""

    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels that the node must have, such as `gpu: a100`."
    )
    tolerate: tuple[str, ...] = Field(
        (), description="Taints of nodes that are accepted, such as `nvidia.com/gpu`."
    )


class KubernetesSettings(Settings):
    """How a Dagster run becomes a Kubernetes job, where the instance uses the Kubernetes launcher."""

    default: KubernetesResources = Field(
        KubernetesResources(), description="Resources of assets that are not named."
    )
    assets: dict[str, KubernetesResources] = Field(
        default_factory=dict, description="Resources by asset; nothing is taken over from `default`."
    )
    gpu_resource: str = Field("nvidia.com/gpu", description="The cluster's name for a GPU.")


class ComputeSettings(Settings):
    """Where runs are computed. No result depends on it."""

    slurm: SlurmSettings = Field(SlurmSettings(), description="Jobs on a Slurm cluster.")
    kubernetes: KubernetesSettings = Field(KubernetesSettings(), description="Jobs on a Kubernetes cluster.")
