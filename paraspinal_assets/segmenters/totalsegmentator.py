"""TotalSegmentator over a batch of scans: networks loaded once, reading and writing beside inference."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paraspinal_assets.errors import MachineError
from paraspinal_assets.imaging.labels import check_level
from paraspinal_assets.segmenters import package
from paraspinal_assets.segmenters.base import ScanInput, Segmentation, SegmentationFailure
from paraspinal_assets.segmenters.devices import own_device, resolve_device, return_freed_memory
from paraspinal_assets.segmenters.label_files import MUSCLES
from paraspinal_assets.segmenters.weights import (
    PHANTOM_NOTE,
    BodyTask,
    WeightsReport,
    check_weights,
    require_weights,
)


@dataclass(frozen=True)
class TotalSegmentatorSegmenter:
    """The installed TotalSegmentator, with its networks kept in memory for the batch.

    Parameters
    ----------
    levels
        Levels of the study.
    weights_dir
        Folder with nnU-Net results; None for TotalSegmentator's own.
    home_dir
        Folder of this worker; in it the worker's private TotalSegmentator home is made, by the machine's name.
    device
        ``cpu``, ``gpu``, ``gpu:1`` or ``auto``.
    fast
        The 3 mm network instead of those at 1.5 mm.
    bodies
        Also find the vertebral bodies.
    body_task
        TotalSegmentator's task that finds them. Which vertebra a body belongs to is the task ``total``'s answer.
    synthetic_allowed
        Whether the study is synthetic, so that the phantom network may be used.
    body_crop_mm
        Look for bodies only around the vertebrae found, with this margin. Faster, but it is not what
        TotalSegmentator's own ``vertebrae_body`` task does, and it changes some voxels.
    time_limit_s
        A scan that takes longer is given up; None for no limit.
    memory_limit_bytes
        Memory that one scan may need by estimate; None for 80 % of what the process may use.
    """

    levels: Sequence[str]
    weights_dir: Path | None
    home_dir: Path
    device: str = "cpu"
    fast: bool = False
    bodies: bool = True
    body_task: BodyTask = "vertebrae_body"
    synthetic_allowed: bool = False
    body_crop_mm: float | None = None
    time_limit_s: float | None = None
    memory_limit_bytes: int | None = None

    def __post_init__(self) -> None:
        for level in self.levels:
            check_level(level)

    @property
    def classes(self) -> list[str]:
        """Classes of the task ``total`` that are asked for."""
        return [*MUSCLES, *(f"vertebrae_{level}" for level in self.levels)]

    def weights(self) -> WeightsReport:
        """The networks needed and what of them is on this machine."""
        return check_weights(self.weights_dir, fast=self.fast, bodies=self.bodies, body_task=self.body_task)

    def version(self) -> dict[str, str]:
        """Packages, task, weights and options that change voxels; not the device."""
        versions = package.package_versions()
        report = self.weights()
        return {
            "segmenter": "totalsegmentator",
            "rules": "1",
            "TotalSegmentator": versions["TotalSegmentator"],
            "nnunetv2": versions["nnunetv2"],
            "task": "total, 3 mm" if self.fast else "total, 1.5 mm",
            "weights": report.digest,
            "network": PHANTOM_NOTE if report.phantom else "published",
            "levels": ",".join(self.levels),
            "bodies": self._bodies_text(),
            "resampling_order": "1",
        }

    def segment(self, scans: Iterable[ScanInput]) -> Iterator[Segmentation | SegmentationFailure]:
        """Segment the scans in order; a scan that fails does not stop the others.

        Raises
        ------
        SegmentationError
            E-SEG-01, before the first scan, if weights are missing.
        MachineError
            E-SEG-02 (device) or -03 (phantom network in a study that is not synthetic), before the first scan.
        """
        report = self.weights()
        require_weights(report)
        if report.phantom and not self.synthetic_allowed:
            raise MachineError(
                "E-SEG-03",
                f"the weights in {report.folder} are the {PHANTOM_NOTE}, and this study is not marked synthetic",
                "use the published weights (`paraspinal weights --fetch STUDY`)",
            )
        device = resolve_device(self.device, fast=self.fast)
        return self._on(device, report, scans)

    def _on(
        self, device: str, report: WeightsReport, scans: Iterable[ScanInput]
    ) -> Iterator[Segmentation | SegmentationFailure]:
        from paraspinal_assets.segmenters.batch import in_parallel
        from paraspinal_assets.segmenters.worker import Worker

        # Processes of two machines or pods may have one number, and a folder in common.
        package.private_home(self.home_dir / socket.gethostname(), report.folder)
        package.import_networks()
        if device == "cpu":  # where workers share the memory; beside a GPU it only costs time
            return_freed_memory()
        with own_device(device, self.home_dir.parent) as mine:
            worker = Worker(self, report, mine, self.model(report))
            try:
                yield from in_parallel(worker, scans)
            finally:  # while the GPU is still held: the next worker needs its memory
                worker.unload()

    def _bodies_text(self) -> str:
        if not self.bodies:
            return "none"
        return (
            self.body_task
            if self.body_crop_mm is None
            else f"{self.body_task} within {self.body_crop_mm:g} mm"
        )

    def model(self, report: WeightsReport) -> dict[str, object]:
        """What made a segmentation, for its sidecar."""
        record: dict[str, object] = dict(self.version())
        record["networks"] = {n.spec.role: f"{n.spec.dataset} {n.digest}" for n in report.networks}
        if report.phantom:
            record["note"] = PHANTOM_NOTE
        return record
