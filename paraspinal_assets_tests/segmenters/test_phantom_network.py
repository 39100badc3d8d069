from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets.segmenters import package, phantom_network
from paraspinal_assets.segmenters.phantom_loss import back_to_scan
from paraspinal_assets.segmenters.phantom_network import train_phantom_network
from paraspinal_assets.segmenters.phantom_patches import CLASSES, TrainingScan, draw_patch
from paraspinal_assets.segmenters.resampling import resample_nearest
from paraspinal_assets.segmenters.results_folder import (
    Design,
    build_network,
    gather_heads,
    read_state,
    spread_heads,
    write_network,
)
from paraspinal_assets.segmenters.weights import PHANTOM_NOTE, check_weights, required_networks

SMALL = Design((4, 8), (16, 16, 16), 6.0)
ROUGH = required_networks()[0]


def tiny(rng: np.random.Generator) -> tuple[Volume, Volume]:
    phantom = make_phantom(tiny_parameters(), rng)
    return phantom.ct, phantom.labels


@pytest.fixture(scope="module")
def scan() -> TrainingScan:
    return TrainingScan(*tiny(np.random.default_rng(0)))


@pytest.mark.parametrize("role", ["rough", "total", "vertebrae", "bodies"])
def test_patch_has_its_shape_and_is_seeded(scan, role):
    patch = (64, 48, 32)
    image, truth = draw_patch(scan, role, patch, np.random.default_rng(3))
    assert image.shape == truth.shape == patch
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert truth.max() <= (1 if role == "bodies" else len(CLASSES))
    assert truth.any()
    again, _ = draw_patch(scan, role, patch, np.random.default_rng(3))
    np.testing.assert_array_equal(image, again)


def test_heads_spread_and_gathered_are_the_same():
    state = build_network(SMALL, 4).state_dict()
    rows = {1: 7, 2: 3, 3: 5}
    back = gather_heads(spread_heads(state, rows, 9), rows)
    assert all(bool((back[name] == state[name]).all()) for name in state)


@pytest.mark.slow
def test_written_network_runs_and_says_what_it_is(tmp_path: Path):
    rows = {1: 7, 2: 3}
    state = spread_heads(build_network(SMALL, 3).state_dict(), rows, 9)
    write_network(
        tmp_path, ROUGH, SMALL, state, [f"class_{i}" for i in range(1, 9)], description=PHANTOM_NOTE
    )
    assert check_weights(tmp_path).networks[0].phantom
    kept = read_state(tmp_path, ROUGH)
    assert all(np.allclose(kept[name], state[name], atol=2e-3, rtol=2e-3) for name in state)
    network = package.load_network(tmp_path, ROUGH, "cpu")
    image = np.random.default_rng(0).normal(0, 300, (20, 18, 22))
    labels = network(image, (6.0, 6.0, 6.0))
    assert labels.shape == image.shape
    assert set(np.unique(labels)) <= {0, 3, 7}


@pytest.mark.slow
def test_training_is_seeded_and_continues(tmp_path: Path):
    for name in ("a", "b"):
        train_phantom_network(tiny, tmp_path / name, phantoms=1, effort=0.002, only=("rough",), seed=1)
    first = read_state(tmp_path / "a", ROUGH)
    for file in ROUGH.files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    train_phantom_network(
        tiny, tmp_path / "c", phantoms=1, effort=0.002, only=("rough",), seed=2, start_from=tmp_path / "a"
    )
    third = read_state(tmp_path / "c", ROUGH)
    moved = max(float((third[name] - first[name]).abs().max()) for name in first)
    assert 0 < moved < 0.05


def test_published_networks_are_never_replaced(tmp_path: Path):
    dataset = tmp_path / ROUGH.files[0]
    dataset.parent.mkdir(parents=True)
    dataset.write_text('{"description": "published"}')
    with pytest.raises(SegmentationError, match="E-SEG-05"):
        train_phantom_network(tiny, tmp_path, phantoms=1, effort=0.002)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [dataset]


@pytest.mark.parametrize("shape", [(12, 9, 10), (7, 16, 5)])
def test_scores_go_the_way_of_inference(shape):
    """Linear to 1.5 mm as nnU-Net does it, by the nearest voxel back as TotalSegmentator does it."""
    import torch

    scores = torch.randn((1, 3, *shape), generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(scores, scale_factor=2, mode="trilinear")[0].numpy()
    expected = np.stack([resample_nearest(channel, shape) for channel in fine])
    np.testing.assert_allclose(back_to_scan(scores)[0].numpy(), expected, atol=1e-5)


def test_weighing_the_background_undoes_its_weight():
    """Two classes that look alike: learnt with the weight, then put right, the odds are those of the counts."""
    import torch

    counts, weight = torch.tensor([900.0, 100.0]), phantom_network._BACKGROUND_WEIGHT
    network = build_network(SMALL, 2, deep_supervision=True)
    learnt = torch.log(counts * torch.tensor([weight, 1.0]))
    for layer in network.decoder.seg_layers:
        layer.bias.data[:] = learnt
    phantom_network._weigh_background(network)
    for layer in network.decoder.seg_layers:
        torch.testing.assert_close(torch.softmax(layer.bias.data, 0), counts / 1000)
