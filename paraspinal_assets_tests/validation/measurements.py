"""The measurements against the published scripts, PyRadiomics, and phantoms of which the truth was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from paraspinal_assets.imaging.bone import measure_bone
from paraspinal_assets.imaging.deformity import measure_deformity
from paraspinal_assets.imaging.levels import level_slabs
from paraspinal_assets.imaging.muscle import measure_muscle
from paraspinal_assets.imaging.radiomics import measure_radiomics
from paraspinal_assets.imaging.radiomics_names import FEATURES, MESH_VOLUME
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import MEASURED_LEVELS, PhantomParameters
from paraspinal_assets_tests.imaging.goldens import load_case
from paraspinal_assets_tests.imaging.test_deformity import (
    HEIGHTS,
    LEVELS,
    SPINE_TRUTH,
    TRUE_HEIGHTS,
    phantom,
)
from paraspinal_assets_tests.imaging.test_goldens import level_labels, rules
from paraspinal_assets_tests.validation.comparison import Comparison

CASES = ("synth_small_full", "edge_gaps_full")
SCRIPTS = "published scripts"


def comparisons() -> list[Comparison]:
    """Levels of the shipped cases: slabs, voxels, volumes and medians; bone; and every radiomics feature."""
    slabs, muscles, features, meshes = [], [], [], []
    for case in CASES:
        ct, labels, numbers = load_case(case)
        for level, want in numbers["levels"].items():
            there = level_labels(case, labels, level)
            slab = level_slabs(there, [level], rule=rules(case)[1])[level]
            slabs += zip((slab.start, slab.stop - 1), want["slab_z"], strict=True)
            table = measure_muscle(ct, there, [level], slab=rules(case)[1]).set_index(["level", "side"])
            row = table.loc[level, "both"]
            muscles += [(row[name], want[name]) for name in ("voxels", "volume_mm3", "median_hu")]
            texture = measure_radiomics(ct, there, [level], slab=rules(case)[1]).iloc[0]
            features += [(texture[name], want["features"][name]) for name in FEATURES]
            meshes.append((texture[MESH_VOLUME], want["shape3D_extra"][MESH_VOLUME]))
    return [
        Comparison.of("First and last slice of every level", SCRIPTS, slabs, 0),
        Comparison.of("Muscle: voxels, volume, median HU per level", SCRIPTS, muscles, 0),
        _bone(),
        Comparison.of(f"{len(FEATURES)} features per level", "PyRadiomics", features, 1e-9),
        Comparison.of("Mesh volume per level", "PyRadiomics", meshes, 1e-9),
    ]


def _bone() -> Comparison:
    ct, labels, numbers = load_case("synth_small_full")
    table = measure_bone(ct, labels, list(numbers["levels"])).set_index("level")
    found: list[tuple[Any, Any]] = []
    for level, want in numbers["trabecular_1_700"].items():
        row = table.loc[level]
        found += [(row["voxels"], want["voxels"]), (row["trabecular_median_hu"], want["median_hu"])]
    return Comparison.of("Trabecular bone: voxels, median HU per level", SCRIPTS, found, 0)


def phantoms() -> list[Comparison]:
    """An adult phantom with noise against its noise-free truth, and vertebral bodies of known heights."""
    whole = make_phantom(PhantomParameters(), np.random.default_rng(1))
    muscle = (
        measure_muscle(whole.ct, whole.labels, MEASURED_LEVELS).query("side == 'both'").set_index("level")
    )
    bone = measure_bone(whole.ct, whole.labels, MEASURED_LEVELS).set_index("level")
    truth = {entry.level: entry for entry in whole.truth.levels}
    volumes = [
        (muscle.loc[name, "volume_mm3"] / 1e3, own.muscle.volume_mm3 / 1e3) for name, own in truth.items()
    ]
    volumes.append((muscle.loc["union", "volume_mm3"] / 1e3, whole.truth.union.volume_mm3 / 1e3))
    medians = [(muscle.loc[name, "median_hu"], own.muscle.median_hu) for name, own in truth.items()]
    trabecular = [(bone.loc[name, "trabecular_mean_hu"], own.trabecular_hu) for name, own in truth.items()]
    heights = measure_deformity(phantom(), LEVELS)
    grades = zip(heights["genant_grade"], (row[4] for row in SPINE_TRUTH), strict=True)
    measured = zip(heights[HEIGHTS].to_numpy().ravel(), TRUE_HEIGHTS.ravel(), strict=True)
    return [
        Comparison.of("Muscle volume per level and over all", "voxels drawn", volumes, 1e-6, "cm³"),
        Comparison.of("Median attenuation per level, with noise", "noise-free image", medians, 3, "HU"),
        Comparison.of("Mean trabecular attenuation per level", "noise-free image", trabecular, 3, "HU"),
        Comparison.of("Heights of bodies, 1 mm voxels", "formula drawn", measured, 1.5, "mm"),
        Comparison.of("Genant grades of the same bodies", "definition", grades, 0),
    ]
