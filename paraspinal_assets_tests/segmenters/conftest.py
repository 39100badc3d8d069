"""Small label volumes with known anatomy, and phantoms on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paraspinal_assets.imaging.labels import body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.phantom.anatomy import Phantom, make_phantom
from paraspinal_assets.phantom.parameters import draw_parameters

ROOT = Path(__file__).parents[2]
LEVELS = tuple(f"T{i}" for i in range(1, 11))
THREE = ("T1", "T2", "T3")
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


@pytest.fixture(scope="session")
def network_dir() -> Path:
    return ROOT / "data" / "phantom_network"


@pytest.fixture
def spine() -> np.ndarray:
    """T1-T3 from top to bottom, each a body and a rest, muscle on both sides; RAS+, 20 x 20 x 16."""
    labels = np.zeros((20, 20, 16), np.uint8)
    for index, level in enumerate(THREE):
        z = 11 - 4 * index
        labels[8:12, 10:14, z : z + 3] = body_label(level)
        labels[9:11, 6:10, z : z + 3] = rest_label(level)
    labels[3:6, 6:9, :] = 1
    labels[14:17, 6:9, :] = 2
    return labels


def put_ct(folder: Path, shape: tuple[int, int, int], affine: np.ndarray = AFFINE) -> Path:
    path = folder / "ct.nii.gz"
    data = np.full(shape, -1000, np.int16)
    data[shape[0] // 4 : -shape[0] // 4] = 30
    write_volume(path, Volume(data, affine))
    return path


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A narrow field of view around the spine, T1-T10 within: small enough for the real networks in a test."""
    rng = np.random.default_rng(5)
    return make_phantom(draw_parameters(rng, shape=(64, 64, 98), centre=(0.0, 40.0)), rng)


@pytest.fixture(scope="session")
def phantom_ct(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "ct.nii.gz"
    write_volume(path, phantom.ct)
    return path
