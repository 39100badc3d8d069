from __future__ import annotations

import json
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from paraspinal_assets.errors import MachineError, SegmentationError
from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.segmenters import batch, package, totalsegmentator, worker
from paraspinal_assets.segmenters.base import ScanInput, Segmentation, SegmentationFailure, Segmenter
from paraspinal_assets.segmenters.factory import make_segmenter
from paraspinal_assets.segmenters.gates import memory_estimate
from paraspinal_assets.segmenters.inference import TOTAL_NUMBERS, Prediction
from paraspinal_assets.segmenters.nifti import grid_of_file
from paraspinal_assets.segmenters.totalsegmentator import TotalSegmentatorSegmenter
from paraspinal_assets.segmenters.weights import NetworkSpec
from paraspinal_assets.segmenters.worker import Inferred, Ready, Worker
from paraspinal_assets_tests.segmenters.conftest import LEVELS


def segmenter(weights: Path, home: Path, **options: object) -> TotalSegmentatorSegmenter:
    options = {"fast": True, "synthetic_allowed": True, **options}
    return TotalSegmentatorSegmenter(LEVELS, weights, home, **options)  # type: ignore[arg-type]


@pytest.fixture
def instead_of_networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """No network runs; every scan takes the next item of this list, raised if it is an exception."""
    answers: list[object] = []

    def predict(volume: Volume, *_: object, **__: object) -> Prediction:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        total = np.zeros(volume.data.shape, np.uint8)
        total[10:14, 20:30, 20:30] = TOTAL_NUMBERS["vertebrae_T5"]
        total[2:6, 20:30, 20:30] = TOTAL_NUMBERS["autochthon_left"]
        total[20:24, 20:30, 20:30] = TOTAL_NUMBERS["autochthon_right"]
        bodies = np.zeros(volume.data.shape, bool)
        bodies[:, 25:] = True
        return Prediction(total, bodies)

    class NoNetwork:
        def before_each_patch(self, _: object) -> None: ...
        def save_memory(self) -> None: ...

    monkeypatch.setattr(worker, "predict", predict)
    monkeypatch.setattr(package, "load_network", lambda *_: NoNetwork())
    return answers


def test_phantom_network_refuses_people(network_dir, tmp_path):
    with pytest.raises(MachineError, match=r"E-SEG-03.*not for patients"):
        segmenter(network_dir, tmp_path, synthetic_allowed=False).segment([])


def test_missing_weights_come_before_the_first_scan(tmp_path):
    with pytest.raises(SegmentationError, match="E-SEG-01"):
        segmenter(tmp_path, tmp_path / "home").segment([])


def test_version_holds_what_changes_voxels_and_no_device(network_dir, tmp_path):
    version = segmenter(network_dir, tmp_path).version()
    assert version == segmenter(network_dir, tmp_path / "other", device="gpu", time_limit_s=5).version()
    assert version["network"] == "phantom network, not for patients"
    for change in ({"fast": False}, {"bodies": False}, {"body_task": "vertebrae_pp"}, {"body_crop_mm": 30.0}):
        assert segmenter(network_dir, tmp_path, **change).version() != version


def test_factory_makes_segmenters(tmp_path, network_dir):
    for kind in ("imported", "totalsegmentator"):
        assert isinstance(make_segmenter(kind, LEVELS, home_dir=tmp_path, weights_dir=network_dir), Segmenter)


def test_vertebra_within_the_body_mask_is_body(instead_of_networks, network_dir, tmp_path, phantom_ct):
    instead_of_networks.append(None)
    item = next(segmenter(network_dir, tmp_path).segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, Segmentation)
    counts = dict(zip(*np.unique(item.labels.data, return_counts=True), strict=True))
    assert counts[body_label("T5")] == counts[rest_label("T5")] == 4 * 5 * 10
    assert item.model["note"] == "phantom network, not for patients"
    assert item.findings == ("missing_level",)
    json.dumps(item.model)


def test_one_bad_scan_does_not_stop_the_batch(instead_of_networks, network_dir, tmp_path, phantom_ct):
    instead_of_networks += [SystemExit(1), ValueError("odd"), None]
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(phantom_ct.read_bytes()[:-30])
    paths = [phantom_ct, broken, phantom_ct, tmp_path / "absent.nii.gz", phantom_ct]
    scans = [ScanInput(f"exam5-{i}", path) for i, path in enumerate(paths)]
    items = list(segmenter(network_dir, tmp_path / "home").segment(scans))
    assert [item.key for item in items] == [scan.key for scan in scans]
    codes = [item.error.code if isinstance(item, SegmentationFailure) else None for item in items]
    assert codes == ["E-SEG-31", "E-VOL-03", "E-SEG-34", "E-VOL-13", None]


@pytest.mark.parametrize(("again", "code"), [(None, None), (MemoryError(), "E-SEG-32")])
@pytest.mark.parametrize(
    "first",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
    ids=["Python", "GPU", "torch on the CPU", "CUDA", "cuBLAS", "cuDNN"],
)
def test_out_of_memory_is_tried_once_more(
    instead_of_networks, network_dir, tmp_path, phantom_ct, first, again, code
):
    instead_of_networks += [first, again]
    item = next(segmenter(network_dir, tmp_path).segment([ScanInput("exam5-1", phantom_ct)]))
    assert (item.error.code if isinstance(item, SegmentationFailure) else None) == code
    if isinstance(item, Segmentation):
        assert item.performance["saving_memory"] is True


def test_a_gpu_is_taken_only_when_packages_are_imported(
    instead_of_networks, network_dir, tmp_path, phantom_ct, monkeypatch
):
    order: list[str] = []

    @contextmanager
    def taken(device: str, _: Path) -> Iterator[str]:
        order.append("device")
        yield device

    monkeypatch.setattr(package, "register_trainers", lambda: order.append("import"))
    monkeypatch.setattr(totalsegmentator, "own_device", taken)
    instead_of_networks.append(None)
    item = next(segmenter(network_dir, tmp_path).segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, Segmentation), item.error
    assert order == ["import", "device"]


def test_packages_that_cannot_be_imported_are_an_error_of_each_scan(
    network_dir, tmp_path, phantom_ct, monkeypatch
):
    def broken() -> None:
        raise ImportError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(package, "register_trainers", broken)
    scans = [ScanInput(f"exam5-{i}", phantom_ct) for i in range(2)]
    items = list(segmenter(network_dir, tmp_path).segment(scans))
    assert [item.key for item in items] == ["exam5-0", "exam5-1"]
    for item in items:
        assert isinstance(item, SegmentationFailure)
        assert item.error.code == "E-SEG-34"
        assert "libcudart" in str(item.error)


def test_memory_of_the_first_try_is_free_in_the_second(
    instead_of_networks, network_dir, tmp_path, phantom_ct, monkeypatch
):
    held: list[weakref.ref[np.ndarray]] = []
    second = worker.predict

    def runs_out(*given: object, **options: object) -> Prediction:
        scores = np.zeros(8)
        held.append(weakref.ref(scores))
        monkeypatch.setattr(worker, "predict", lambda *g, **o: held[0]() is None and second(*g, **o))
        raise MemoryError

    monkeypatch.setattr(worker, "predict", runs_out)
    instead_of_networks.append(None)
    item = next(segmenter(network_dir, tmp_path).segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, Segmentation), item.error


def test_the_second_try_has_the_memory_to_itself(
    instead_of_networks, network_dir, tmp_path, phantom_ct, monkeypatch
):
    """Three scans run out of memory together, in the midst of a fourth; each is tried again alone."""
    together, inside, beside, failed = threading.Barrier(4, timeout=30), set(), [], set()
    answer = worker.predict

    def predict(volume: Volume, *given: object, **options: object) -> Prediction:
        me = threading.get_ident()
        inside.add(me)
        try:
            if me not in failed and len(failed) < 4:
                failed.add(me)
                if together.wait():
                    raise MemoryError
                time.sleep(0.2)
            else:
                beside.append(len(inside))
                time.sleep(0.05)
                beside.append(len(inside))
            return answer(volume, *given, **options)
        finally:
            inside.remove(me)

    monkeypatch.setattr(worker, "predict", predict)
    monkeypatch.setattr(worker, "lanes", lambda _: 4)
    instead_of_networks += [None] * 4
    scans = [ScanInput(f"exam5-{i}", phantom_ct) for i in range(4)]
    items = list(segmenter(network_dir, tmp_path).segment(scans))
    assert all(isinstance(item, Segmentation) for item in items)
    assert beside == [1] * 6


def test_memory_may_run_out_between_two_networks(
    instead_of_networks, network_dir, tmp_path, phantom_ct, monkeypatch
):
    """Each network is loaded once for the batch; what is loaded after memory ran out saves it from the start."""
    loaded, saving = [], []

    class Loaded:
        def __init__(self, _: Path, spec: NetworkSpec, __: str) -> None:
            self.role = spec.role
            loaded.append(self.role)
            if loaded in (
                ["rough", "total"],
                ["rough", "total", "total"],
            ):  # before the first scan, and for it
                raise MemoryError

        def before_each_patch(self, _: object) -> None: ...
        def save_memory(self) -> None:
            saving.append(self.role)

    monkeypatch.setattr(package, "load_network", Loaded)
    instead_of_networks += [None, None]
    scans = [ScanInput(f"exam5-{i}", phantom_ct) for i in range(2)]
    items = list(segmenter(network_dir, tmp_path).segment(scans))
    assert all(isinstance(item, Segmentation) for item in items)
    assert loaded == ["rough", "total", "total", "total", "bodies"]
    assert saving == ["rough", "total", "bodies"]


def test_time_of_a_scan_begins_when_the_networks_are_loaded(
    instead_of_networks, network_dir, tmp_path, phantom_ct, monkeypatch
):
    class SlowToLoad:
        def __init__(self, *_: object) -> None:
            time.sleep(0.5)

        def before_each_patch(self, hook: Callable[[], None]) -> None:
            self.hook = hook

    answer = worker.predict

    def predict(
        volume: Volume, networks: dict[str, SlowToLoad], *given: object, **options: object
    ) -> Prediction:
        networks["rough"].hook()
        return answer(volume, networks, *given, **options)

    monkeypatch.setattr(package, "load_network", SlowToLoad)
    monkeypatch.setattr(worker, "lanes", lambda _: 2)  # as on a GPU: a scan and the loading begin together
    monkeypatch.setattr(worker, "predict", predict)
    instead_of_networks.append(None)
    limited = segmenter(network_dir, tmp_path, time_limit_s=0.5)
    item = next(limited.segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, Segmentation), item.error


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda hu: hu + 1024, "E-SEG-12"),
        (lambda hu: hu[:, :, :20], "E-SEG-14"),
        (lambda hu: np.where(hu > 200, np.nan, hu).astype(np.float32), "E-VOL-08"),
        (lambda hu: hu[..., None].repeat(2, -1), "E-VOL-05"),
    ],
    ids=["not Hounsfield units", "field of view cut", "NaN", "four dimensions"],
)
def test_what_must_not_reach_a_network(network_dir, tmp_path, phantom, change, code):
    path = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(change(phantom.ct.data), phantom.ct.affine), path)
    item = next(segmenter(network_dir, tmp_path / "home").segment([ScanInput("exam5-1", path)]))
    assert isinstance(item, SegmentationFailure)
    assert item.error.code == code
    assert item.reason in REASONS
    assert item.reason != "segmentation_failed"


def test_a_scan_larger_than_memory_is_refused_from_its_header(network_dir, tmp_path):
    """2 GB of voxels at 0.3 mm by the header, air by the file: what reads them gives another error, much later."""
    header = nib.Nifti1Header()
    header.set_data_shape((1000, 1000, 1000))
    header.set_data_dtype(np.int16)
    header.set_zooms((0.3, 0.3, 0.3))
    header.set_sform(np.diag([0.3, 0.3, 0.3, 1.0]), 1)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1, 0
    path = tmp_path / "ct.nii"
    path.write_bytes(header.binaryblock + bytes(4))
    os.truncate(path, 352 + 2 * 1000**3)
    small = segmenter(network_dir, tmp_path / "home", memory_limit_bytes=5 * 10**9)
    item = next(small.segment([ScanInput("exam5-1", path)]))
    assert isinstance(item, SegmentationFailure)
    assert (item.error.code, item.reason) == ("E-SEG-15", "scan_too_large")


def test_scans_in_work_at_once_fit_into_memory_together(
    instead_of_networks, network_dir, tmp_path, phantom_ct, monkeypatch
):
    """Four lanes, memory for two scans; one that is read beside them counts too."""
    in_work, most, lock = set(), [], threading.Lock()
    read, finish = Worker.read, Worker.finish

    def begin(this: Worker, scan: ScanInput) -> Ready:
        with lock:
            in_work.add(scan.key)
            most.append(len(in_work))
        return read(this, scan)

    def end(this: Worker, scan: ScanInput, inferred: Inferred) -> Segmentation:
        with lock:
            in_work.remove(scan.key)
        return finish(this, scan, inferred)

    one = memory_estimate(grid_of_file(phantom_ct))
    monkeypatch.setattr(batch, "memory_for_scans", lambda: 2 * one)
    monkeypatch.setattr(worker, "lanes", lambda _: 4)
    monkeypatch.setattr(Worker, "read", begin)
    monkeypatch.setattr(Worker, "finish", end)
    instead_of_networks += [None] * 8
    scans = [ScanInput(f"exam5-{i}", phantom_ct) for i in range(8)]
    items = list(segmenter(network_dir, tmp_path).segment(scans))
    assert [item.key for item in items] == [scan.key for scan in scans]
    assert max(most) == 2


def test_home_is_private_and_silent(network_dir, tmp_path, instead_of_networks, phantom_ct, monkeypatch):
    for pod in ("pod-a", "pod-b"):  # with one folder, and processes of the same number
        monkeypatch.setattr(socket, "gethostname", lambda pod=pod: pod)
        instead_of_networks.append(None)
        list(segmenter(network_dir, tmp_path / "home").segment([ScanInput("exam5-1", phantom_ct)]))
        home = tmp_path / "home" / pod
        assert os.environ["TOTALSEG_HOME_DIR"] == str(home)
        assert json.loads((home / "config.json").read_text())["send_usage_stats"] is False


def test_reading_and_handing_over_run_beside_inference(monkeypatch, network_dir, tmp_path):
    """While the networks work on a scan, the next is read and the last handed over: the three meet, or time out."""
    meeting = threading.Barrier(3, timeout=30)
    met = []

    def meet(step: str) -> Callable[..., object]:
        def act(_: object, scan: ScanInput, *given: object) -> object:
            if step == "infer":
                given[0].result()  # type: ignore[attr-defined]
            number = int(scan.key.removeprefix("exam5-"))
            if number == {"read": 3, "infer": 2, "finish": 1}[step]:
                met.append(meeting.wait())
            return None

        return act

    for step in ("read", "infer", "finish"):
        monkeypatch.setattr(Worker, step, meet(step))
    scans = [ScanInput(f"exam5-{i}", tmp_path) for i in range(6)]
    assert len(list(segmenter(network_dir, tmp_path).segment(scans))) == 6
    assert sorted(met) == [0, 1, 2]


def test_stopping_early_leaves_no_thread(instead_of_networks, network_dir, tmp_path, phantom_ct):
    before = threading.active_count()
    instead_of_networks += [None] * 6
    stream = segmenter(network_dir, tmp_path).segment([ScanInput(f"exam5-{i}", phantom_ct) for i in range(6)])
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_air_has_no_vertebra_and_says_so(instead_of_networks, network_dir, tmp_path, monkeypatch, phantom_ct):
    empty = Prediction(np.zeros((64, 64, 98), np.uint8), None)
    monkeypatch.setattr(worker, "predict", lambda *_, **__: empty)
    item = next(segmenter(network_dir, tmp_path).segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, Segmentation)
    assert item.reason == "empty_segmentation"


def test_a_flipped_file_is_turned_before_a_network_sees_it(
    instead_of_networks, network_dir, tmp_path, phantom, monkeypatch
):
    def bone(volume: Volume, *_: object, **__: object) -> Prediction:
        return Prediction(np.where(volume.data > 200, np.uint8(TOTAL_NUMBERS["vertebrae_T5"]), 0), None)

    monkeypatch.setattr(worker, "predict", bone)
    ct, turn = phantom.ct, np.diag([-1.0, -1.0, 1.0, 1.0])
    turn[:2, 3] = np.array(ct.data.shape[:2]) - 1
    path = tmp_path / "lps.nii.gz"
    nib.save(nib.Nifti1Image(ct.data[::-1, ::-1], ct.affine @ turn), path)
    item = next(segmenter(network_dir, tmp_path / "h").segment([ScanInput("exam5-1", path)]))
    assert isinstance(item, Segmentation)
    assert item.labels.data.dtype == np.uint8
    np.testing.assert_array_equal(item.labels.data == rest_label("T5"), ct.data > 200)
    np.testing.assert_allclose(item.labels.affine, ct.affine, atol=1e-5)
