"""Names of the radiomics features: PyRadiomics', in the order of the original's CSV."""

from __future__ import annotations

from typing import Final

from paraspinal_assets.imaging.texture_features import (
    GLCM_NAMES,
    GLDM_NAMES,
    GLRLM_NAMES,
    GLSZM_NAMES,
    NGTDM_NAMES,
)

FIRSTORDER_NAMES: Final = (
    "10Percentile",
    "90Percentile",
    "Energy",
    "Entropy",
    "InterquartileRange",
    "Kurtosis",
    "Maximum",
    "MeanAbsoluteDeviation",
    "Mean",
    "Median",
    "Minimum",
    "Range",
    "RobustMeanAbsoluteDeviation",
    "RootMeanSquared",
    "Skewness",
    "TotalEnergy",
    "Uniformity",
    "Variance",
)

FEATURES: Final[tuple[str, ...]] = tuple(
    f"original_{family}_{name}"
    for family, names in (
        ("firstorder", FIRSTORDER_NAMES),
        ("glcm", GLCM_NAMES),
        ("glrlm", GLRLM_NAMES),
        ("glszm", GLSZM_NAMES),
        ("gldm", GLDM_NAMES),
        ("ngtdm", NGTDM_NAMES),
    )
    for name in names
)
"""Names of the 91 features, in the order of the original's CSV."""

VOXEL_VOLUME: Final = "original_shape_VoxelVolume"
MESH_VOLUME: Final = "original_shape_MeshVolume"
