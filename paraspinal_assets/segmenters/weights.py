"""Which networks a study needs, where their files are, what they are, and how they get there."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from totalsegmentator.map_tasks_config import TASK_CONFIGS, TASK_ID_WEIGHTS_CONFIGS

from paraspinal_assets.errors import MachineError, SegmentationError

Role = Literal["rough", "total", "vertebrae", "muscles", "bodies"]
BodyTask = Literal["vertebrae_body", "vertebrae_pp"]
"""TotalSegmentator's tasks that find vertebral bodies: all of them as one class, or each by its name."""

PHANTOM_NOTE: Final = "phantom network, not for patients"
"""Text in a network's ``dataset.json`` that marks it as trained on synthetic CTs alone."""

PLACEHOLDERS: Final = (291, 293, 295)
"""Networks of the task ``total`` that our classes do not need; the package asks that their folders exist."""

_RELEASES: Final = "https://github.com/wasserth/TotalSegmentator/releases/download"
_CHECKPOINT: Final = "fold_0/checkpoint_final.pth"


@dataclass(frozen=True)
class NetworkSpec:
    """A published network as TotalSegmentator uses it.

    Attributes
    ----------
    role
        What it is for.
    dataset
        nnU-Net's dataset number.
    trainer
        Name of nnU-Net's trainer class, part of the folder's name.
    spacing_mm
        Voxel edge to which TotalSegmentator resamples the CT.
    step
        Step of the sliding window as a share of the patch.
    task
        TotalSegmentator's task that it belongs to.
    """

    role: Role
    dataset: int
    trainer: str
    spacing_mm: float
    step: float
    task: str = "total"

    @property
    def folder(self) -> str:
        """Name of the dataset's folder."""
        return weights_name(self.dataset)

    @property
    def model_folder(self) -> str:
        """Folder with plans, ``dataset.json`` and checkpoint, relative to the weights folder."""
        return f"{self.folder}/{self.trainer}__nnUNetPlans__3d_fullres"

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the network consists of, relative to the weights folder."""
        return tuple(f"{self.model_folder}/{name}" for name in ("dataset.json", "plans.json", _CHECKPOINT))

    @property
    def url(self) -> str:
        """Where the authors publish it, a zip of the dataset's folder."""
        version = TASK_ID_WEIGHTS_CONFIGS[self.dataset]["version"]
        return f"{_RELEASES}/{version}/{self.folder}.zip"


@dataclass(frozen=True)
class NetworkFiles:
    """A network on this machine: its folder, the files that are missing, size in bytes and digest.

    `digest` is the start of the sha256 over all its files, None while files are missing.
    """

    spec: NetworkSpec
    path: Path
    missing: tuple[str, ...]
    size: int
    digest: str | None
    phantom: bool


@dataclass(frozen=True)
class WeightsReport:
    """All networks that a choice of options needs, on this machine."""

    folder: Path
    networks: tuple[NetworkFiles, ...]

    @property
    def missing(self) -> tuple[NetworkFiles, ...]:
        """Networks with missing files."""
        return tuple(network for network in self.networks if network.missing)

    @property
    def phantom(self) -> bool:
        """Whether any of the networks is a phantom network."""
        return any(network.phantom for network in self.networks)

    @property
    def digest(self) -> str:
        """One digest for all networks; ``missing`` while files are missing."""
        if self.missing:
            return "missing"
        text = ",".join(f"{network.spec.dataset}:{network.digest}" for network in self.networks)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def copy_list(self) -> tuple[str, ...]:
        """Missing files with their whole path, for a machine without internet."""
        return tuple(str(self.folder / name) for network in self.missing for name in network.missing)


def weights_name(dataset: int) -> str:
    """Name of a dataset's folder, as TotalSegmentator knows it."""
    return str(TASK_ID_WEIGHTS_CONFIGS[dataset]["foldername"])


def weights_folder(weights_dir: Path | None = None) -> Path:
    """The folder given, or else where TotalSegmentator itself looks for weights."""
    if weights_dir is not None:
        return weights_dir
    if given := os.environ.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(given)
    home = os.environ.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


def required_networks(
    *, fast: bool = False, bodies: bool = True, body_task: BodyTask = "vertebrae_body"
) -> tuple[NetworkSpec, ...]:
    """The networks that our classes need, in the order in which they run.

    Source: TotalSegmentator's own table of tasks; of the five networks of ``total`` only those of the
    vertebrae and of the muscles have classes that we use.
    """
    modes = TASK_CONFIGS["total"]["sub_modes"]
    rough, quick, full = modes["fastest"], modes["fast"], modes["default"]
    specs = [NetworkSpec("rough", rough["task_id"], rough["trainer"], rough["resample"], 0.8)]
    if fast:
        specs.append(NetworkSpec("total", quick["task_id"], quick["trainer"], quick["resample"], 0.8))
    else:
        vertebrae, muscles = full["task_id"][1], full["task_id"][3]
        specs.append(NetworkSpec("vertebrae", vertebrae, full["trainer"], full["resample"], 0.8))
        specs.append(NetworkSpec("muscles", muscles, full["trainer"], full["resample"], 0.8))
    if bodies:
        task = TASK_CONFIGS[body_task]
        specs.append(
            NetworkSpec("bodies", task["task_id"], task["trainer"], task["resample"], 0.5, body_task)
        )
    return tuple(specs)


def check_weights(
    weights_dir: Path | None = None,
    *,
    fast: bool = False,
    bodies: bool = True,
    body_task: BodyTask = "vertebrae_body",
) -> WeightsReport:
    """Which networks are needed, and what of them is on this machine; reads files, changes nothing."""
    folder = weights_folder(weights_dir)
    specs = required_networks(fast=fast, bodies=bodies, body_task=body_task)
    return WeightsReport(folder, tuple(_look_at(folder, spec) for spec in specs))


def require_weights(report: WeightsReport) -> None:
    """One clear error where files are missing, with the command that fetches them and the files to copy.

    Raises
    ------
    SegmentationError
        E-SEG-01.
    """
    if not report.missing:
        return
    names = ", ".join(f"{n.spec.dataset} ({n.spec.role})" for n in report.missing)
    files = "\n  ".join(report.copy_list())
    raise SegmentationError(
        "E-SEG-01",
        f"weights of {len(report.missing)} networks are missing in {report.folder}: {names}",
        "run `paraspinal weights --fetch STUDY` on a machine with internet access, or copy these files from one"
        f" that has them:\n  {files}",
    )


def fetch_weights(report: WeightsReport) -> WeightsReport:
    """Download what is missing with the package's own downloader; no other function uses the network.

    Raises
    ------
    MachineError
        E-SEG-04 when the download fails.
    SegmentationError
        E-SEG-01 when files are missing afterwards.
    """
    from totalsegmentator.libs import download_pretrained_weights

    previous = os.environ.get("TOTALSEG_WEIGHTS_PATH")
    os.environ["TOTALSEG_WEIGHTS_PATH"] = str(report.folder)
    try:
        for network in report.missing:
            _move_aside(report.folder / network.spec.folder)
            download_pretrained_weights(network.spec.dataset)
    except (OSError, SystemExit, ValueError, zipfile.BadZipFile) as error:
        raise MachineError(
            "E-SEG-04",
            f"downloading dataset {network.spec.dataset} from {network.spec.url} failed: {error}",
            "check the connection and proxy, or unpack that file into the weights folder by hand",
        ) from error
    finally:
        if previous is None:
            del os.environ["TOTALSEG_WEIGHTS_PATH"]
        else:
            os.environ["TOTALSEG_WEIGHTS_PATH"] = previous
    after = WeightsReport(report.folder, tuple(_look_at(report.folder, n.spec) for n in report.networks))
    require_weights(after)
    return after


def _move_aside(folder: Path) -> None:
    """Rename an incomplete dataset's folder: the package takes any folder of that name for a complete one.

    The name's start changes, by which nnU-Net looks for datasets.
    """
    if folder.exists():
        names = (folder.with_name(f"incomplete-{number}-{folder.name}") for number in itertools.count(1))
        folder.rename(next(name for name in names if not name.exists()))


def _look_at(folder: Path, spec: NetworkSpec) -> NetworkFiles:
    files = [folder / name for name in spec.files]
    missing = tuple(name for name, file in zip(spec.files, files, strict=True) if not file.is_file())
    present = [file for file in files if file.is_file()]
    digest = (
        None if missing else _digest(tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in present))
    )
    return NetworkFiles(
        spec,
        folder / spec.model_folder,
        missing,
        sum(file.stat().st_size for file in present),
        digest,
        is_phantom(folder / spec.files[0]),
    )


@lru_cache(maxsize=64)
def _digest(files: Sequence[tuple[str, int, int]]) -> str:
    """sha256 over the contents; size and time are in the key so that a replaced file is read anew."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def is_phantom(dataset_json: Path) -> bool:
    """Whether a network's ``dataset.json`` marks it as trained on synthetic CTs; False where it is absent."""
    if not dataset_json.is_file():
        return False
    return bool(json.loads(dataset_json.read_text()).get("description") == PHANTOM_NOTE)
