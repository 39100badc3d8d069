"""What one phantom is made of: size, place and tissue, all explicit, so that a scan can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from paraspinal_assets.errors import ParaspinalError

PHANTOM_LEVELS: Final[tuple[str, ...]] = ("C6", "C7", *(f"T{i}" for i in range(1, 13)), "L1", "L2")
"""Levels that a phantom draws, from head to foot; those outside the field of view are simply not there."""

MEASURED_LEVELS: Final[tuple[str, ...]] = tuple(f"T{i}" for i in range(1, 11))
"""Levels whose truth is recorded."""

DeformityShape = Literal["wedge", "biconcave", "crush"]


@dataclass(frozen=True)
class Deformity:
    """A vertebral body that has lost height.

    Attributes
    ----------
    shape
        ``wedge`` (anterior), ``biconcave`` (middle) or ``crush`` (whole body).
    loss
        Share of the body's height that is lost where it is lowest, 0 to 0.6.
    """

    shape: DeformityShape
    loss: float


@dataclass(frozen=True)
class PhantomParameters:
    """Everything about a phantom but its muscle texture and noise, which come from the generator.

    Lengths in mm, attenuation in HU. Spine positions are relative to the centre of the field of view in
    the axial plane, and to its upper edge along the body.

    Attributes
    ----------
    shape, spacing
        Voxels and voxel edges along x, y, z.
    scale
        Size of the skeleton relative to the average adult.
    half_width, half_depth
        Half axes of the trunk; a trunk wider than the field of view is cut by it, as in a cardiac CT.
    subcutaneous_fat
        Thickness of the layer under the skin.
    centre
        Centre of the trunk (x to the right, y to the front).
    top
        Distance from the upper edge of the field of view down to the upper end plate of T1; negative
        values cut T1 off.
    disc
        Height of the intervertebral discs.
    spine_depth
        Distance of the spine behind the centre of the trunk, as a share of `half_depth`.
    kyphosis, scoliosis, scoliosis_phase
        Amplitudes of the spine's curves, and the phase of the lateral one in radians.
    muscle_width, muscle_height
        Half axes of the autochthonous muscle on each side.
    muscle_hu
        Median attenuation of the noise-free muscle over T1-T10, both sides.
    side_difference_hu
        Right minus left muscle attenuation, before fat.
    infiltration
        Degree of fat infiltration, 0 (none) to 0.5.
    trabecular_hu
        Mean attenuation of each noise-free vertebral body, cortex included.
    noise_hu
        Standard deviation of the noise.
    deformities
        Bodies that have lost height.
    """

    shape: tuple[int, int, int] = (112, 92, 100)
    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0)
    scale: float = 1.0
    half_width: float = 164.0
    half_depth: float = 122.0
    subcutaneous_fat: float = 16.0
    centre: tuple[float, float] = (0.0, 0.0)
    top: float = 30.0
    disc: float = 4.0
    spine_depth: float = 0.45
    kyphosis: float = 15.0
    scoliosis: float = 3.0
    scoliosis_phase: float = 1.0
    muscle_width: float = 16.0
    muscle_height: float = 13.5
    muscle_hu: float = 21.0
    side_difference_hu: float = 0.0
    infiltration: float = 0.15
    trabecular_hu: float = 260.0
    noise_hu: float = 15.0
    deformities: Mapping[str, Deformity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if min(self.shape) < 8 or min(self.spacing) <= 0:
            raise ParaspinalError(
                "E-PHANTOM-01",
                f"a phantom of shape {self.shape} and spacing {self.spacing} mm cannot be drawn",
                "use at least 8 voxels and a positive spacing on each axis",
            )
        for level, deformity in self.deformities.items():
            if level not in PHANTOM_LEVELS or not 0 <= deformity.loss <= 0.6:
                raise ParaspinalError(
                    "E-PHANTOM-02",
                    f"deformity {deformity} of level {level!r} cannot be drawn",
                    f"use a level of {', '.join(PHANTOM_LEVELS)} and a loss of 0 to 0.6",
                )


def draw_parameters(rng: np.random.Generator, **given: object) -> PhantomParameters:
    """A random adult, with the fields in `given` fixed.

    The ranges keep T1-T10 and the spinous process of T10 inside the default field of view.
    """
    scale = rng.uniform(0.92, 1.04)
    half_depth, kyphosis = rng.uniform(116, 129) * scale, rng.uniform(8, 20)
    # The deepest spine whose spinous processes still lie under the skin.
    deepest = (half_depth - 5 - 52 * scale - kyphosis / 2) / half_depth
    drawn: dict[str, object] = {
        "scale": scale,
        "half_width": rng.uniform(150, 172) * scale,
        "half_depth": half_depth,
        "subcutaneous_fat": rng.uniform(7, 28),
        "centre": (rng.uniform(-6, 6), rng.uniform(0, 6)),
        "top": rng.uniform(24, 32),
        "disc": rng.uniform(3, 4.5),
        "spine_depth": min(rng.uniform(0.42, 0.5), deepest),
        "kyphosis": kyphosis,
        "scoliosis": rng.uniform(0, 6),
        "scoliosis_phase": rng.uniform(0, 2 * np.pi),
        "muscle_width": rng.uniform(14, 19) * scale,
        "muscle_height": rng.uniform(12, 16) * scale,
        "muscle_hu": rng.normal(21, 13),
        "infiltration": rng.uniform(0, 0.35),
        "trabecular_hu": rng.uniform(100, 420),
        "noise_hu": rng.uniform(9, 20),
        "deformities": {},
    }
    if rng.random() < 0.3:
        level = f"T{rng.integers(4, 13)}"
        shape: DeformityShape = ("wedge", "biconcave", "crush")[int(rng.integers(3))]
        drawn["deformities"] = {level: Deformity(shape, float(rng.uniform(0.2, 0.5)))}
    return PhantomParameters(**{**drawn, **given})  # type: ignore[arg-type]


def tiny_parameters(**given: object) -> PhantomParameters:
    """A phantom of 48 x 48 x 60 voxels with T1-T10, for tests: drawn in some 20 ms."""
    tiny: dict[str, object] = {
        "shape": (48, 48, 60),
        "spacing": (4.0, 4.0, 5.0),
        "half_width": 110.0,
        "half_depth": 88.0,
        "subcutaneous_fat": 10.0,
        "spine_depth": 0.35,
        "kyphosis": 8.0,
        "top": 28.0,
        "noise_hu": 8.0,
    }
    return PhantomParameters(**{**tiny, **given})  # type: ignore[arg-type]
