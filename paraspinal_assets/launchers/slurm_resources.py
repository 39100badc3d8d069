"""What the Slurm job of a run asks for, from the study file's `compute.slurm`."""

from __future__ import annotations

from collections.abc import Collection

from paraspinal_assets.launchers.resources import most_cpus, most_demanding, most_memory_gb, needs
from paraspinal_assets.study.compute_settings import SlurmResources, SlurmSettings


def slurm_resources(settings: SlurmSettings, assets: Collection[str] | None) -> SlurmResources:
    """What a run of these assets needs; its steps run one after the other in one process.

    Parameters
    ----------
    settings
        The study's Slurm settings.
    assets
        Names of the assets that the run builds; None if the run does not say.

    Returns
    -------
    SlurmResources
        The most cores and memory, the sum of the time limits (none if one has none), and partition and GPUs of
        the asset that asks for most GPUs, then most cores.
    """
    wanted = needs(settings.default, settings.assets, assets)
    largest = most_demanding(wanted)
    minutes = [item.minutes for item in wanted if item.minutes is not None]
    return SlurmResources(
        partition=largest.partition,
        cpus=most_cpus(wanted),
        gpus=largest.gpus,
        gpu_type=largest.gpu_type,
        memory_gb=most_memory_gb(wanted),
        minutes=sum(minutes) if len(minutes) == len(wanted) else None,
    )


def sbatch_options(wanted: SlurmResources) -> list[str]:
    """The same as options of sbatch."""
    options = ["--nodes=1", "--ntasks=1", f"--cpus-per-task={wanted.cpus}"]
    if wanted.partition is not None:
        options.append(f"--partition={wanted.partition}")
    if wanted.gpus:
        kind = f"{wanted.gpu_type}:" if wanted.gpu_type else ""
        options.append(f"--gres=gpu:{kind}{wanted.gpus}")
    if wanted.memory_gb is not None:
        options.append(f"--mem={round(wanted.memory_gb * 1024)}M")
    if wanted.minutes is not None:
        options.append(f"--time={wanted.minutes}")
    return options
