"""Vertebral bodies of known heights, drawn voxel by voxel, for the deformity tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paraspinal_assets.imaging.labels import SPINE, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume


@dataclass(frozen=True)
class Body:
    """An elliptic cylinder whose two endplates sink towards the middle and converge towards the front."""

    level: str
    anterior: float
    middle: float
    posterior: float
    half_width: float = 16.0
    half_depth: float = 14.0
    flat_bottom: bool = False


def height_at(body: Body, depth: np.ndarray) -> np.ndarray:
    """Height at a depth from 0 (back wall) to 1 (front wall): the parabola through the three heights."""
    a = 2 * body.posterior - 4 * body.middle + 2 * body.anterior
    b = body.anterior - body.posterior - a
    return a * depth**2 + b * depth + body.posterior


def draw(bodies: list[Body], *, spacing=(1.0, 1.0, 1.0), turn=None, disc=5.0, rest=True, seed=0) -> Volume:
    """Label volume of bodies from head to foot, each turned by its own rotation about its centre.

    `turn` gives (flexion, lateral tilt, axial rotation) in degrees for all bodies. Centres lie at random
    sub-voxel places.
    """
    rng = np.random.default_rng(seed)
    step = np.array(spacing)
    total = sum(max(b.anterior, b.posterior) + disc for b in bodies) + 40
    shape = tuple(int(np.ceil(size / edge)) for size, edge in zip((70, 110, total), spacing, strict=True))
    data = np.zeros(shape, np.uint8)
    z = total - 20
    rotation = rotation_matrix(*(turn or (0.0, 0.0, 0.0)))
    for body in sorted(bodies, key=lambda b: SPINE.index(b.level)):
        tall = max(body.anterior, body.posterior)
        centre = np.array([35, 70, z - tall / 2]) + rng.uniform(-0.5, 0.5, 3) * step
        low_slice, stop = (
            int(np.clip((centre[2] + d) / step[2], 0, shape[2])) for d in (-tall - 14, tall + 14)
        )
        part = data[:, :, low_slice:stop]
        index = np.indices(part.shape).transpose(1, 2, 3, 0) + np.array([0, 0, low_slice])
        x, y, up = np.moveaxis((index * step - centre) @ rotation, -1, 0)
        depth = (y + body.half_depth) / (2 * body.half_depth)
        height = height_at(body, depth)
        low = -tall / 2 if body.flat_bottom else -height / 2
        inside = (x / body.half_width) ** 2 + np.abs(y / body.half_depth) ** 4 <= 1
        inside &= (up >= low) & (up <= low + height)
        if rest:
            process = (np.abs(x) <= 6) & (y < -body.half_depth - 12) & (y > -body.half_depth - 35)
            process &= np.abs(up + 8) <= 6
            part[process] = rest_label(body.level)
        part[inside] = body_label(body.level)
        z -= tall + disc
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-30, -120, 400]
    return Volume(data, affine)


def rotation_matrix(flexion: float, tilt: float, axial: float) -> np.ndarray:
    a, b, c = np.radians([flexion, tilt, axial])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rz @ rx @ ry
