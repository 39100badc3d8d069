"""The steps of a scan through networks that stay in memory: reading, inference, handing over."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import ParaspinalError, SegmentationError
from paraspinal_assets.imaging.labels import label_table
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_volume
from paraspinal_assets.segmenters import package
from paraspinal_assets.segmenters.base import ScanInput, Segmentation
from paraspinal_assets.segmenters.compose import LabelComposer
from paraspinal_assets.segmenters.devices import lanes
from paraspinal_assets.segmenters.gates import check_intensities, check_size, output_verdict
from paraspinal_assets.segmenters.inference import TOTAL_NUMBERS, Prediction, predict, prepare
from paraspinal_assets.segmenters.memory import free_memory, is_out_of_memory
from paraspinal_assets.segmenters.nifti import grid_of_file
from paraspinal_assets.segmenters.resampling import Resampled
from paraspinal_assets.segmenters.turns import Turns
from paraspinal_assets.segmenters.weights import BodyTask, NetworkSpec, WeightsReport


@dataclass(frozen=True)
class Ready:
    """A CT that is read, checked and resampled for the networks that look at it whole."""

    volume: Volume
    prepared: dict[str, Resampled]
    seconds: float


@dataclass(frozen=True)
class Inferred:
    """What the networks found in a CT, the seconds that reading and inference took, and whether with less memory."""

    volume: Volume
    prediction: Prediction
    reading: float
    inference: float
    saving_memory: bool


class WorkerOptions(Protocol):
    """What the worker takes from the segmenter; see `totalsegmentator.TotalSegmentatorSegmenter`."""

    @property
    def levels(self) -> Sequence[str]: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def home_dir(self) -> Path: ...
    @property
    def fast(self) -> bool: ...
    @property
    def bodies(self) -> bool: ...
    @property
    def body_task(self) -> BodyTask: ...
    @property
    def body_crop_mm(self) -> float | None: ...
    @property
    def time_limit_s(self) -> float | None: ...
    @property
    def memory_limit_bytes(self) -> int | None: ...


class Worker:
    """The three steps of a scan; the middle one alone uses the networks.

    Parameters
    ----------
    options
        What to find and how.
    report
        The networks, all there.
    device
        As torch names it.
    model
        Record of what makes the segmentations.
    """

    def __init__(
        self, options: WorkerOptions, report: WeightsReport, device: str, model: dict[str, object]
    ) -> None:
        self.options, self.device, self.weights, self.model = options, device, report.folder, model
        self.reuse = package.can_reuse_networks()
        self.networks: dict[str, package.Network] = {}
        self.specs = [network.spec for network in report.networks]
        self.lanes = lanes(device) if self.reuse else 1
        self._loading = threading.Lock()
        self._turns = Turns()
        self._this_scan = threading.local()
        self._saving_memory = False

    def read(self, scan: ScanInput) -> Ready:
        """Read and check a CT, and resample it as far as that needs no network."""
        start = time.perf_counter()
        check_size(scan.key, grid_of_file(scan.ct_path), limit_bytes=self.options.memory_limit_bytes)
        volume = read_volume(scan.ct_path)
        check_intensities(scan.key, volume)
        # The package's own call reads and resamples for itself.
        specs = self.specs if self.reuse else ()
        prepared = prepare(volume, specs, body_crop_mm=self.options.body_crop_mm, device=self.device)
        return Ready(volume, prepared, time.perf_counter() - start)

    def load(self) -> None:
        """Load the networks that are not in memory."""
        with self._loading:
            for spec in self.specs:
                if spec.role not in self.networks:
                    self.networks[spec.role] = self._load(spec)

    def unload(self) -> None:
        """Let go of the networks, and give their memory back."""
        self.networks.clear()
        free_memory()

    def infer(self, scan: ScanInput, ready: Future[Ready]) -> Inferred:
        """Run the networks, again with less memory where it ran out."""
        this = ready.result()
        start = time.perf_counter()
        prediction: Prediction | None = None
        try:
            with self._turns.together():
                prediction = self._predict(this)
        except (Exception, SystemExit) as error:
            if isinstance(error, ParaspinalError) or not is_out_of_memory(error):
                raise
        if prediction is None:  # only now: while the error lives, its frames hold the memory
            with self._turns.alone():  # beside others it would have no more memory than before
                prediction = self._again_with_less_memory(scan, this)
        seconds = time.perf_counter() - start
        return Inferred(this.volume, prediction, this.seconds, seconds, self._saving_memory)

    def finish(self, scan: ScanInput, inferred: Inferred) -> Segmentation:
        """Bring the package's numbers into the study's label values, and judge them."""
        start, volume, prediction = time.perf_counter(), inferred.volume, inferred.prediction
        composer = LabelComposer(prediction.total.shape)
        composer.add_values(prediction.total, {name: TOTAL_NUMBERS[name] for name in self.options.classes})
        if prediction.bodies is not None:
            composer.add_bodies(prediction.bodies)
        labels = composer.labels
        if prediction.box is not None:
            labels = np.zeros(volume.image_shape, dtype=np.uint8, order="F")
            labels[prediction.box] = composer.labels
        reason, findings = output_verdict(labels, self.options.levels, within=prediction.box)
        return Segmentation(
            scan.key,
            Volume(labels, volume.affine),
            label_table(self.options.levels),
            self.model,
            reason,
            findings,
            {
                "device": self.device,
                "networks_reused": self.reuse,
                "saving_memory": inferred.saving_memory,
                "reading_s": round(inferred.reading, 3),
                "inference_s": round(inferred.inference, 3),
                "labelling_s": round(time.perf_counter() - start, 3),
            },
        )

    def _predict(self, ready: Ready) -> Prediction:
        if self.reuse:
            self.load()
        # Only now: the first scans wait for the networks, the second try for the other scans.
        limit = self.options.time_limit_s
        self._this_scan.deadline = float("inf") if limit is None else time.perf_counter() + limit
        if not self.reuse:
            return self._public(ready.volume)
        return predict(
            ready.volume,
            self.networks,
            self.options.classes,
            prepared=ready.prepared,
            body_crop_mm=self.options.body_crop_mm,
            device=self.device,
        )

    def _load(self, spec: NetworkSpec) -> package.Network:
        network = package.load_network(self.weights, spec, self.device)
        network.before_each_patch(self._check_time)
        if self._saving_memory:
            network.save_memory()
        return network

    def _public(self, volume: Volume) -> Prediction:
        """The package's own calls, for versions with which reuse was not tried."""
        import nibabel as nib

        nifti: Any = nib.Nifti1Image
        image = nifti(volume.data, volume.affine)
        call: dict[str, Any] = {"device": self.device, "weights": self.weights}
        total = package.public_call(
            image, task="total", fast=self.options.fast, roi_subset=list(self.options.classes), **call
        )
        self._check_time()
        bodies: NDArray[np.bool_] | None = None
        if self.options.bodies:
            found = package.public_call(image, task=self.options.body_task, **call)
            bodies = found == 1 if self.options.body_task == "vertebrae_body" else found > 0
        return Prediction(total, bodies)

    def _again_with_less_memory(self, scan: ScanInput, ready: Ready) -> Prediction:
        with self._loading:
            self._saving_memory = True  # from now on, also for the scans that follow
            for network in self.networks.values():
                network.save_memory()
        free_memory()
        try:
            return self._predict(ready)
        except (Exception, SystemExit) as error:
            if not is_out_of_memory(error):
                raise
            shape = "x".join(map(str, ready.volume.data.shape))
            raise SegmentationError(
                "E-SEG-32",
                f"{scan.key}: out of memory on {self.device} for {shape} voxels, also with results kept off the GPU",
                "segment this scan with `device: cpu`, with `fast: true`, or on a machine with more memory"
                " (`paraspinal run --retry-failed`)",
            ) from error

    def _check_time(self) -> None:
        if time.perf_counter() > self._this_scan.deadline:
            raise SegmentationError(
                "E-SEG-33",
                f"not done within the time limit of {self.options.time_limit_s:g} s on {self.device}",
                "raise `time_limit_s` in the study file, or use a GPU or `fast: true`",
            )
