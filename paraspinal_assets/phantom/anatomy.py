"""A CT of a thorax, drawn from parameters, with its exact segmentation and truth.

Every voxel is one tissue: edges are sharp, so that volumes, heights and attenuation are known exactly. Noise
is added last and is in the CT only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.phantom.frame import Floats, Frame, Masks, make_frame
from paraspinal_assets.phantom.parameters import MEASURED_LEVELS, PHANTOM_LEVELS, PhantomParameters
from paraspinal_assets.phantom.truth import PhantomTruth, describe, labels_per_slice

AIR: Final = -1000.0
FAT: Final = -100.0
SOFT_TISSUE: Final = 40.0
LUNG: Final = -850.0
DISC: Final = 90.0
POSTERIOR_BONE: Final = 350.0
CORTEX_ABOVE_CORE: Final = 90.0
"""Attenuation in HU; the cortex of a body is this much denser than its core."""

SPINOUS_REACH: Final = 38.0
"""How far a spinous process reaches behind its body, in mm at scale 1."""

_TEXTURE_SD_HU: Final = 6.0
_FAT_SHARE: Final = 0.8
_FAT_HU: Final = -90.0


@dataclass(frozen=True)
class Phantom:
    """A synthetic scan.

    Attributes
    ----------
    ct
        int16 HU, RAS+.
    labels
        uint8, values of `imaging.labels`, same grid: autochthonous muscle left and right, and of each drawn
        vertebra its body and its rest.
    truth
        What a perfect measurement of the noise-free scan gives.
    """

    ct: Volume
    labels: Volume
    truth: PhantomTruth


def make_phantom(parameters: PhantomParameters, rng: np.random.Generator) -> Phantom:
    """Draw a thorax: trunk, lungs, ribs, paraspinal muscle with fat, spine, canal, table, noise.

    Parameters
    ----------
    parameters
        Size, place and tissue.
    rng
        Source of muscle texture and noise; nothing else is random.
    """
    frame = make_frame(parameters)
    image = np.full(parameters.shape, AIR, np.float32)
    labels = np.zeros(parameters.shape, np.uint8)
    inside = _trunk(image, parameters, frame)
    _lungs(image, parameters, frame, inside)
    _ribs(image, parameters, frame)
    texture = _muscle(image, labels, parameters, frame, rng)
    for level in PHANTOM_LEVELS:
        _vertebra(image, labels, parameters, frame, level)
    _tune_muscle(image, labels, parameters, texture)
    _tune_bodies(image, labels, parameters)

    affine = _affine(parameters)
    voxel_mm3 = float(np.prod(parameters.spacing))
    truth = describe(image, labels, parameters, voxel_mm3, MEASURED_LEVELS)
    ct = np.clip(np.rint(image + _noise(parameters, rng)), -1024, 3000).astype(np.int16)
    return Phantom(Volume(ct, affine), Volume(labels, affine.copy()), truth)


def _affine(parameters: PhantomParameters) -> NDArray[np.float64]:
    affine = np.diag([*parameters.spacing, 1.0])
    nx, ny, _ = parameters.shape
    affine[:3, 3] = (-(nx - 1) / 2 * parameters.spacing[0], -(ny - 1) / 2 * parameters.spacing[1], -100.0)
    return affine


def _trunk(image: Floats, p: PhantomParameters, f: Frame) -> Masks:
    """Skin, subcutaneous fat and soft tissue, narrowing to the neck; returns what lies under the fat."""
    top = f.extents["T1"][1]
    width = p.half_width * (1 - 0.28 * np.clip((f.z - (top - 30)) / 60, 0, 1))
    depth = p.half_depth * (1 - 0.15 * np.clip((f.z - top) / 40, 0, 1))
    cx, cy = p.centre
    skin = ((f.x - cx) / width) ** 2 + ((f.y - cy) / depth) ** 2 <= 1
    inner = ((f.x - cx) / (width - p.subcutaneous_fat)) ** 2 + (
        (f.y - cy) / (depth - p.subcutaneous_fat)
    ) ** 2 <= 1
    table = (np.abs(f.y - (cy - p.half_depth - 9)) < 5) & (np.abs(f.x) < 190)
    image[np.broadcast_to(table, image.shape)] = -300
    image[skin] = FAT
    image[inner] = SOFT_TISSUE
    return np.asarray(inner)


def _lungs(image: Floats, p: PhantomParameters, f: Frame, inside: Masks) -> None:
    """Two lungs from the apex near T1 to a domed base near T11, and the heart between them."""
    apex, base = f.extents["T1"][1] - 8 * p.scale, f.extents["T11"][0]
    share = np.clip((f.z - base) / (apex - base), 0.32, 1)
    profile = np.sqrt(np.clip(1 - (2 * share - 0.64) ** 2 / 1.8496, 0, 1))
    cx, cy = p.centre
    width, depth = p.half_width - p.subcutaneous_fat, p.half_depth - p.subcutaneous_fat
    for side in (-1, 1):
        dx = f.x - (cx + side * width * 0.5)
        half_x, half_y = width * 0.36 * profile + 1e-3, depth * 0.78 * profile + 1e-3
        dome = base + 12 - 22 * np.clip((dx / (half_x + 1)) ** 2, 0, 1)
        lung = ((dx / half_x) ** 2 + ((f.y - cy - 4) / half_y) ** 2 <= 1) & ((f.z < apex) & (f.z > dome))
        image[lung & inside] = LUNG
    heart = f.extents["T8"][0]
    s = f.slices(heart - 60, heart + 60)
    ball = ((f.x - cx + 25) / 55) ** 2 + ((f.y - cy - 25) / 45) ** 2 + ((f.z[:, :, s] - heart) / 60) ** 2 <= 1
    image[:, :, s][ball] = 45


def _ribs(image: Floats, p: PhantomParameters, f: Frame) -> None:
    """Twelve pairs that fall to the front; open behind the spine."""
    cx, cy = p.centre
    width, depth = p.half_width - p.subcutaneous_fat - 6, p.half_depth - p.subcutaneous_fat - 6
    ring = np.abs(np.sqrt(((f.x - cx) / width) ** 2 + ((f.y - cy) / depth) ** 2) - 1) < 0.045
    ring &= (np.abs(f.x - cx) > 16) | (f.y > cy)
    column = np.broadcast_to(ring, (*image.shape[:2], 1))[:, :, 0]
    spine_y = cy - p.half_depth * p.spine_depth
    ix, iy = np.nonzero(column)
    values = image[ix, iy]
    fall = 0.28 * (f.y[0, iy, 0] - spine_y)[:, None]
    for i in range(1, 13):
        height = f.extents[f"T{i}"][1] - fall
        values[(np.abs(f.z[0, 0][None, :] - height) < 5) & (values > -900)] = 320
    image[ix, iy] = values


def _muscle(
    image: Floats, labels: NDArray[np.uint8], p: PhantomParameters, f: Frame, rng: np.random.Generator
) -> Floats:
    """Label the muscle columns; return a smooth random texture of unit variance in and around them."""
    offset_x, offset_y = 22 * p.scale, 19.5 * p.scale
    bulge = 1 + 0.12 * np.sin(f.along * 3 + p.scoliosis_phase)
    half_x, half_y = p.muscle_width * bulge, p.muscle_height * bulge
    dy2 = ((f.dy + f.radius + offset_y) / half_y) ** 2
    for side, label in ((-1, AUTOCHTHON_LEFT), (1, AUTOCHTHON_RIGHT)):
        column = ((f.dx - side * offset_x) / half_x) ** 2 + dy2 <= 1
        labels[column & (image > FAT - 1)] = label
    x, y = (np.flatnonzero((labels > 0).any(axis=axes)) for axes in ((1, 2), (0, 2)))
    if not x.size:
        return np.zeros(labels.shape, np.float32)
    box = (slice(int(x[0]), int(x[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1))
    noise = rng.standard_normal(labels[box].shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, [3.9 / s for s in p.spacing], mode="wrap", truncate=3.0)
    texture = np.zeros(labels.shape, np.float32)
    texture[box] = noise / noise.std()
    return texture


def _vertebra(
    image: Floats, labels: NDArray[np.uint8], p: PhantomParameters, frame: Frame, level: str
) -> None:
    """Body, disc below it, arch, transverse and spinous processes, and the canal.

    A vertebra is upright: it takes the spine's place at its own middle, so that its walls are vertical and
    its height is the same in every column.
    """
    lower, upper = frame.extents[level]
    s = frame.slices(lower - 20, upper + 3)
    if s.stop <= s.start:
        return
    dx, dy, r = frame.at((lower + upper) / 2)
    across = np.flatnonzero(np.abs(dx[:, 0, 0]) <= 40 * p.scale)
    depth = np.flatnonzero((dy[0, :, 0] >= -75 * p.scale) & (dy[0, :, 0] <= 25 * p.scale))
    if not across.size or not depth.size:
        return
    box = (slice(int(across[0]), int(across[-1]) + 1), slice(int(depth[0]), int(depth[-1]) + 1), s)
    ct, lab = image[box], labels[box]
    dx, dy, z = dx[box[0]], dy[:, box[1]], frame.z[:, :, s]

    column = (dx / (r * 1.12)) ** 2 + (dy / r) ** 2 <= 1
    span = (z >= lower) & (z < upper)
    body = column & span
    if level in p.deformities:
        body &= _remaining(p, level, dy, r, z, lower, upper)
    behind = dy + r + 8
    canal = ((dx / 9) ** 2 + (behind / 8) ** 2 <= 1) & (dy < -r * 0.7)
    arch_span = (z >= lower + 2) & (z <= upper - 2)
    arch = ((dx / 15) ** 2 + (behind / 13) ** 2 <= 1) & ~canal & (dy < -r * 0.7) & arch_span
    middle = (lower + upper) / 2 + 2
    transverse = (np.abs(z - middle) <= 5) & (np.abs(behind) <= 5.5) & (np.abs(dx) >= 11) & (np.abs(dx) <= 30)
    back = dy + r
    hanging = middle + 0.65 * (back + 14)
    spinous = (
        (np.abs(dx) <= 4.5) & (back < -18) & (back > -SPINOUS_REACH * p.scale) & (np.abs(z - hanging) <= 6)
    )

    disc = column & (z < upper) & (z >= lower - p.disc) & ~body
    ct[disc], lab[disc] = DISC, 0
    rest = (arch | transverse | spinous) & ~body
    ct[rest], lab[rest] = POSTERIOR_BONE, rest_label(level)
    core = (dx / (r * 1.12 - 2.5)) ** 2 + (dy / (r - 2.5)) ** 2 <= 1
    ct[body] = CORTEX_ABOVE_CORE
    ct[body & core & (z >= lower + 2) & (z < upper - 2)] = 0.0
    lab[body] = body_label(level)
    cord = canal & ~body & (z >= lower - p.disc) & (z <= upper)
    ct[cord], lab[cord] = 25, 0


def _remaining(
    p: PhantomParameters, level: str, dy: Floats, r: float, z: Floats, lower: float, upper: float
) -> Masks:
    """Which part of the body's box a deformity leaves; `dy` is positive to the front."""
    deformity = p.deformities[level]
    lost = deformity.loss * (upper - lower)
    if deformity.shape == "wedge":
        profile = np.clip((dy + r) / (1.3 * r), 0, 1)
        return np.asarray(upper - lost * profile > z)
    if deformity.shape == "crush":
        return np.asarray((upper - lost > z) & np.ones_like(dy, bool))
    profile = np.clip(1.6 * (1 - 1.8 * (dy / r) ** 2), 0, 1)
    return np.asarray((upper - lost / 2 * profile > z) & (lower + lost / 2 * profile <= z))


def _tune_muscle(image: Floats, labels: NDArray[np.uint8], p: PhantomParameters, texture: Floats) -> None:
    """Fill the muscle so that the median over T1-T10 is the one asked for."""
    muscle = (labels == AUTOCHTHON_LEFT) | (labels == AUTOCHTHON_RIGHT)
    where = np.nonzero(muscle)
    t, right = texture[where], labels[where] == AUTOCHTHON_RIGHT
    fat = t > 2.2 - 3 * p.infiltration
    side = p.side_difference_hu * (right.astype(np.float32) - 0.5)
    measured = _slices_of(labels, MEASURED_LEVELS)[where[2]]

    def fill(base: float) -> Floats:
        lean = base + side + _TEXTURE_SD_HU * t
        return np.asarray(np.where(fat, (1 - _FAT_SHARE) * lean + _FAT_SHARE * _FAT_HU, lean), np.float32)

    low, high = -200.0, 300.0
    if measured.any():
        for _ in range(24):
            base = (low + high) / 2
            low, high = (base, high) if np.median(fill(base)[measured]) < p.muscle_hu else (low, base)
    else:
        low = high = p.muscle_hu
    image[where] = fill((low + high) / 2)


def _tune_bodies(image: Floats, labels: NDArray[np.uint8], p: PhantomParameters) -> None:
    """Raise each body, drawn as core 0 and cortex above it, so that its mean is the one asked for."""
    is_body = np.zeros(256, bool)
    is_body[[body_label(level) for level in PHANTOM_LEVELS]] = True
    where = np.nonzero(is_body[labels])
    values, body = image[where], labels[where]
    count = np.bincount(body, minlength=256)
    mean = np.bincount(body, weights=values, minlength=256) / np.maximum(count, 1)
    image[where] = values + (p.trabecular_hu - mean)[body]


def _slices_of(labels: NDArray[np.uint8], levels: tuple[str, ...]) -> Masks:
    """Axial slices from the lowest to the highest of each of the levels' vertebrae; shape ``(z,)``."""
    slices = np.zeros(labels.shape[2], bool)
    present = labels_per_slice(labels)
    for level in levels:
        found = np.flatnonzero(present[body_label(level)] | present[rest_label(level)])
        if found.size:
            slices[found[0] : found[-1] + 1] = True
    return slices


def _noise(p: PhantomParameters, rng: np.random.Generator) -> Any:
    """Noise correlated between neighbours within a slice, as a reconstruction kernel leaves it."""
    nx, ny, nz = p.shape
    white = rng.standard_normal((nx + 1, ny + 1, nz), dtype=np.float32)
    smooth = white[1:, 1:] + 0.5 * (white[:-1, 1:] + white[1:, :-1])
    return smooth * np.float32(p.noise_hu / np.sqrt(1.5))
