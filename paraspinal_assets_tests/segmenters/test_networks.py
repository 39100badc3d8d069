"""The networks' code path on the phantom network: the public call's voxels, no connection, truth found."""

from __future__ import annotations

import shutil
import socket
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.imaging.quality import assess
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.phantom.anatomy import Phantom, make_phantom
from paraspinal_assets.phantom.parameters import draw_parameters
from paraspinal_assets.segmenters import package, worker
from paraspinal_assets.segmenters.base import ScanInput, Segmentation, SegmentationFailure
from paraspinal_assets.segmenters.inference import (
    TOTAL_NUMBERS,
    bodies_of,
    predict,
)
from paraspinal_assets.segmenters.phantom_network import COURSES
from paraspinal_assets.segmenters.resampling import resample_linear, resample_nearest
from paraspinal_assets.segmenters.results_folder import (
    class_numbers,
    gather_heads,
    read_state,
    spread_heads,
    write_network,
)
from paraspinal_assets.segmenters.totalsegmentator import TotalSegmentatorSegmenter
from paraspinal_assets.segmenters.weights import PHANTOM_NOTE, check_weights, required_networks
from paraspinal_assets_tests.segmenters.conftest import LEVELS

pytestmark = pytest.mark.slow
CLASSES = ["autochthon_left", "autochthon_right", *(f"vertebrae_{level}" for level in LEVELS)]


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Every attempt to reach another machine: it is counted and refused."""
    attempts: list[object] = []

    connect = socket.socket.connect

    def refuse(this: socket.socket, address: object) -> None:
        if isinstance(address, tuple):  # a text is a pipe between processes of this machine
            attempts.append(address)
            raise OSError(f"connection to {address} attempted")
        connect(this, address)  # type: ignore[arg-type]

    def no_name(*address: object, **_: object) -> None:
        attempts.append(address)
        raise OSError(f"name {address} looked up")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    return attempts


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_phantom_is_segmented_without_any_connection(
    network_dir: Path, tmp_path: Path, connections: list[object]
) -> None:
    rng = np.random.default_rng(15)
    phantom = make_phantom(draw_parameters(rng), rng)
    phantom_ct = tmp_path / "ct.nii.gz"
    write_volume(phantom_ct, phantom.ct)
    segmenter = TotalSegmentatorSegmenter(LEVELS, network_dir, tmp_path, fast=True, synthetic_allowed=True)
    item = next(segmenter.segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, Segmentation), getattr(item, "error", None)
    assert connections == []
    found, truth = item.labels.data, phantom.labels.data
    for side in (1, 2):
        assert dice(found == side, truth == side) > 0.9
    for level in LEVELS:
        pair = [body_label(level), rest_label(level)]
        assert dice(np.isin(found, pair), np.isin(truth, pair)) > 0.85, level
    bodies = [body_label(level) for level in LEVELS]
    assert dice(np.isin(found, bodies), np.isin(truth, bodies)) > 0.9


def thighs() -> Volume:
    """No thorax in view: two legs of skin, muscle, cortex and marrow in air, at 5 mm."""
    x, y = np.meshgrid(np.arange(64) * 5.0, np.arange(64) * 5.0, indexing="ij")
    plane = np.full(x.shape, -1000.0)
    for middle in (90, 230):
        radius = np.hypot(x - middle, y - 160)
        for edge, hu in ((65, -100), (58, 45), (14, 700), (8, -60)):
            plane[radius < edge] = hu
    noise = np.random.default_rng(0).normal(0, 12, (64, 64, 60))
    return Volume((plane[..., None] + noise).astype(np.int16), np.diag([5.0, 5.0, 5.0, 1.0]))


def test_what_a_network_makes_of_another_body_is_rejected(
    network_dir: Path, phantom: Phantom, tmp_path: Path
) -> None:
    """It finds a spine in everything; no thorax in view, and a scan on its head, are seen in what it finds."""
    upside_down = Volume(np.ascontiguousarray(phantom.ct.data[:, :, ::-1]), phantom.ct.affine)
    scans, volumes = [], {"thighs": thighs(), "upside down": upside_down}
    for name, volume in volumes.items():
        scans.append(ScanInput(name, tmp_path / f"{name}.nii.gz"))
        write_volume(scans[-1].ct_path, volume)
    segmenter = TotalSegmentatorSegmenter(
        LEVELS, network_dir, tmp_path, fast=True, bodies=False, synthetic_allowed=True
    )
    for item in segmenter.segment(scans):
        assert isinstance(item, Segmentation), item.error
        assert "level_order" in item.findings
        verdict = assess(volumes[item.key], item.labels, LEVELS)
        assert not verdict.accepted
        assert "level_order" in verdict.reasons


def without_children(self: nnUNetPredictor, source: str, target: str, *_: object, **__: object) -> None:
    """nnU-Net's prediction of a folder in this process: the same functions, without the processes it starts."""
    files = sorted(Path(source).glob("s0?_0000.nii.gz"))
    outputs = [str(Path(target) / file.name.removesuffix("_0000.nii.gz")) for file in files]
    self.predict_from_files_sequential([[str(file)] for file in files], outputs, False, True, None)


def compare_with_public_call(
    network_dir: Path, home: Path, ct: Volume, *, fast: bool, bodies: bool, device: str = "cpu"
) -> None:
    """The same voxels on a CPU. A GPU sums in another order from call to call: a Dice coefficient of 0.999."""

    def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
        if device == "cpu":
            np.testing.assert_array_equal(ours, theirs)
        for number in np.unique(theirs[theirs > 0]):
            assert dice(ours == number, theirs == number) >= 0.999, number

    package.private_home(home, network_dir)
    report = check_weights(network_dir, fast=fast, bodies=bodies)
    networks = {n.spec.role: package.load_network(network_dir, n.spec, device) for n in report.networks}
    ours = predict(ct, networks, CLASSES, device=device)
    assert ours.box is not None
    assert ours.bodies is None or ours.bodies.shape == ours.total.shape
    total = np.zeros(ct.data.shape, np.uint8)
    total[ours.box] = ours.total
    image = nib.Nifti1Image(ct.data, ct.affine)
    call = {"device": device, "weights": network_dir}
    theirs = package.public_call(image, task="total", fast=fast, roi_subset=CLASSES, **call)
    assert len(np.unique(theirs)) == len(CLASSES) + 1
    agree(total, theirs)
    if ours.bodies is not None:
        found = package.public_call(image, task="vertebrae_body", **call)[ours.box] == 1
        agree(ours.bodies, found)


def test_voxels_are_those_of_the_public_call(
    network_dir: Path, phantom: Phantom, tmp_path: Path, connections: list[object]
) -> None:
    compare_with_public_call(network_dir, tmp_path, phantom.ct, fast=True, bodies=False)
    assert connections == []


def test_a_loaded_network_has_the_weights_of_its_file_and_none_were_drawn(
    network_dir: Path, tmp_path: Path
) -> None:
    package.private_home(tmp_path, network_dir)
    spec = check_weights(network_dir, fast=True, bodies=False).networks[0].spec
    before = torch.get_rng_state()
    network = package.load_network(network_dir, spec, "cpu").predictor.network
    assert torch.equal(torch.get_rng_state(), before)
    checkpoint = network_dir / spec.model_folder / "fold_0" / "checkpoint_final.pth"
    stored = torch.load(checkpoint, weights_only=False)["network_weights"]
    assert stored.keys() == network.state_dict().keys()
    assert all(torch.equal(weights, stored[name]) for name, weights in network.state_dict().items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_kernels_replayed_on_a_gpu_give_the_same_scores(network_dir: Path, tmp_path: Path) -> None:
    package.private_home(tmp_path, network_dir)
    for found in check_weights(network_dir, fast=False, bodies=True).networks:
        predictor = package.load_network(network_dir, found.spec, "cuda").predictor
        shape = (1, 1, *predictor.configuration_manager.patch_size)
        patches = [
            torch.randn(shape, device="cuda", generator=torch.Generator("cuda").manual_seed(i))
            for i in (1, 2)
        ]
        with torch.inference_mode(), torch.autocast("cuda"):
            replayed = [predictor.network(patch).clone() for patch in patches]
            predictor.network.forget()
            one_by_one = [predictor.network(patch) for patch in patches]
            predictor.network.network.float()  # weights as autocast halves them
            from_floats = [predictor.network(patch) for patch in patches]
        assert not torch.equal(replayed[0], replayed[1])
        for a, b, c in zip(replayed, one_by_one, from_floats, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(a, c)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_recording_that_fails_leaves_the_stream_as_it_was() -> None:
    class Unrecordable(torch.nn.Module):
        def forward(self, patch: torch.Tensor) -> torch.Tensor:
            if torch.cuda.is_current_stream_capturing():
                patch.sum().item()  # waits for the GPU, which ends a recording
            return patch + 1

    from paraspinal_assets.segmenters.recorded import RecordedNetwork

    before = torch.cuda.current_stream()
    network = RecordedNetwork(Unrecordable(), (1, 1, 8, 8, 8), torch.device("cuda:0"))
    assert torch.cuda.current_stream() == before
    assert float(network(torch.ones(1, 1, 8, 8, 8, device="cuda")).sum()) == 2 * 8**3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_voxels_on_a_gpu(network_dir: Path, tmp_path: Path) -> None:
    """On a CT of half the usual size: in the small phantom one voxel more or less is 0.001 of a vertebra."""
    rng = np.random.default_rng(15)
    phantom = make_phantom(draw_parameters(rng, shape=(256, 256, 220), spacing=(1.5, 1.5, 1.5)), rng)
    compare_with_public_call(network_dir, tmp_path, phantom.ct, fast=False, bodies=True, device="cuda")


def test_the_public_call_does_not_download(
    phantom: Phantom, tmp_path: Path, connections: list[object]
) -> None:
    package.private_home(tmp_path / "home", tmp_path)
    image = nib.Nifti1Image(phantom.ct.data, phantom.ct.affine)
    with pytest.raises(SegmentationError, match=r"E-SEG-01.*Dataset292"):
        package.public_call(image, task="total", device="cpu", weights=tmp_path, roi_subset=CLASSES)
    assert connections == []


def test_voxels_at_full_resolution_and_of_bodies(
    network_dir: Path, phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nnUNetPredictor, "predict_from_files", without_children)
    compare_with_public_call(network_dir, tmp_path, phantom.ct, fast=False, bodies=True)


def test_bodies_by_name_are_those_of_the_public_call(
    network_dir: Path, phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task ``vertebrae_pp``, in place of whose network stands that of the vertebrae."""
    monkeypatch.setattr(nnUNetPredictor, "predict_from_files", without_children)
    weights = tmp_path / "weights"
    shutil.copytree(network_dir, weights)
    whole, bodies = required_networks()[1], required_networks(body_task="vertebrae_pp")[-1]
    names, wanted = class_numbers(whole), class_numbers(bodies)
    common = {number + 1: name for number, name in enumerate(name for name in names if name in wanted)}
    state = gather_heads(read_state(weights, whole), {n: names[name] for n, name in common.items()})
    state = spread_heads(state, {n: wanted[name] for n, name in common.items()}, len(wanted) + 1)
    write_network(weights, bodies, COURSES[2].design, state, list(wanted), description=PHANTOM_NOTE)
    package.private_home(tmp_path / "home", weights)
    network = package.load_network(weights, bodies, "cpu")
    ours = bodies_of(resample_linear(phantom.ct.data, phantom.ct.affine, 1.5), network)
    image = nib.Nifti1Image(phantom.ct.data, phantom.ct.affine)
    theirs = package.public_call(image, task="vertebrae_pp", device="cpu", weights=weights)
    assert len(np.unique(theirs)) > 5
    np.testing.assert_array_equal(resample_nearest(ours, theirs.shape), theirs > 0)


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "gpu", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
        ),
    ],
)
def test_scans_side_by_side_get_the_voxels_of_one_after_the_other(
    network_dir: Path, phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """As on a GPU: threads share the networks, and results come in the order of the scans."""
    scans = []
    for number in range(4 if device == "cpu" else 12):
        scans.append(ScanInput(f"exam5-{number}", tmp_path / f"{number}.nii.gz"))
        write_volume(scans[-1].ct_path, Volume(phantom.ct.data[:, :, 4 * (number % 4) :], phantom.ct.affine))
    segmenter = TotalSegmentatorSegmenter(
        LEVELS, network_dir, tmp_path, device=device, fast=device == "cpu", synthetic_allowed=True
    )
    monkeypatch.setattr(worker, "lanes", lambda _: 1)
    one_by_one = list(segmenter.segment(scans))
    monkeypatch.setattr(worker, "lanes", lambda _: 6)
    for alone, item in zip(one_by_one, segmenter.segment(scans), strict=True):
        assert isinstance(alone, Segmentation), alone.error
        assert isinstance(item, Segmentation), item.error
        assert item.key == alone.key
        np.testing.assert_array_equal(item.labels.data, alone.labels.data)


@pytest.mark.parametrize("culprit", ["network", "patches"])
def test_a_volume_that_is_given_up_leaves_no_thread(
    network_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, culprit: str
) -> None:
    package.private_home(tmp_path, network_dir)
    spec = required_networks(fast=True)[1]
    network = package.load_network(network_dir, spec, "cpu")
    air = np.full((220, 100, 220), -1000, np.int16)  # more patches than nnU-Net's queue holds
    before = threading.enumerate()

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    if culprit == "network":
        network.before_each_patch(fail)
    else:
        monkeypatch.setattr(torch, "clone", fail)
    with pytest.raises(MemoryError):
        network(air, (3.0, 3.0, 3.0))
    left = {thread.name for thread in threading.enumerate() if thread not in before}
    assert left <= {"tqdm_monitor"}  # one for good, from the process's first progress bar on


def test_a_batch_leaves_no_network_in_memory(
    network_dir: Path, phantom_ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even while its failures are kept. Networks and their hooks refer to each other."""
    networks: list[weakref.ref[package.Network]] = []
    load = package.load_network

    def watched(*given: Any) -> package.Network:
        network = load(*given)
        networks.append(weakref.ref(network))
        return network

    monkeypatch.setattr(package, "load_network", watched)
    segmenter = TotalSegmentatorSegmenter(
        LEVELS, network_dir, tmp_path, fast=True, synthetic_allowed=True, time_limit_s=0.01
    )
    kept = list(segmenter.segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(kept[0], SegmentationFailure)
    assert len(networks) == 3
    assert [network() for network in networks] == [None] * 3


def test_time_limit_ends_a_scan(network_dir: Path, phantom_ct: Path, tmp_path: Path) -> None:
    segmenter = TotalSegmentatorSegmenter(
        LEVELS, network_dir, tmp_path, fast=True, synthetic_allowed=True, time_limit_s=0.01
    )
    item = next(segmenter.segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, SegmentationFailure)
    assert item.error.code == "E-SEG-33"
    assert "0.01 s" in str(item.error)


def test_unknown_version_falls_back_to_the_public_call(
    network_dir: Path, phantom_ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def public(image: nib.Nifti1Image, *, task: str, **options: object) -> np.ndarray:
        called.append((task, options.get("roi_subset")))
        return np.full(image.shape, TOTAL_NUMBERS["vertebrae_T5"] if task == "total" else 1, np.uint8)

    monkeypatch.setattr(
        package, "package_versions", lambda: {"TotalSegmentator": "3.0.0", "nnunetv2": "2.8.1"}
    )
    monkeypatch.setattr(package, "public_call", public)
    segmenter = TotalSegmentatorSegmenter(LEVELS, network_dir, tmp_path, fast=True, synthetic_allowed=True)
    item = next(segmenter.segment([ScanInput("exam5-1", phantom_ct)]))
    assert isinstance(item, Segmentation)
    assert called == [("total", CLASSES), ("vertebrae_body", None)]
    assert (item.labels.data == body_label("T5")).all()
