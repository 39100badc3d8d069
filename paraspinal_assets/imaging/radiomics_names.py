"""Names of the radiomics features: PyRadiomics', in the order of the original's CSV."""

from __future__ import annotations

from typing import Final

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
GLCM_NAMES: Final = (
    "Autocorrelation",
    "JointAverage",
    "ClusterProminence",
    "ClusterShade",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "DifferenceEntropy",
    "DifferenceVariance",
    "JointEnergy",
    "JointEntropy",
    "Imc1",
    "Imc2",
    "Idm",
    "Idmn",
    "Id",
    "Idn",
    "InverseVariance",
    "MaximumProbability",
    "SumEntropy",
    "SumSquares",
)
GLRLM_NAMES: Final = {
    "GrayLevelNonUniformity": "grey_nonuniformity",
    "GrayLevelNonUniformityNormalized": "grey_nonuniformity_normalized",
    "GrayLevelVariance": "grey_variance",
    "HighGrayLevelRunEmphasis": "high_grey",
    "LongRunEmphasis": "large",
    "LongRunHighGrayLevelEmphasis": "large_high_grey",
    "LongRunLowGrayLevelEmphasis": "large_low_grey",
    "LowGrayLevelRunEmphasis": "low_grey",
    "RunEntropy": "entropy",
    "RunLengthNonUniformity": "size_nonuniformity",
    "RunLengthNonUniformityNormalized": "size_nonuniformity_normalized",
    "RunPercentage": "percentage",
    "RunVariance": "size_variance",
    "ShortRunEmphasis": "small",
    "ShortRunHighGrayLevelEmphasis": "small_high_grey",
    "ShortRunLowGrayLevelEmphasis": "small_low_grey",
}
GLSZM_NAMES: Final = {
    "GrayLevelNonUniformity": "grey_nonuniformity",
    "GrayLevelNonUniformityNormalized": "grey_nonuniformity_normalized",
    "GrayLevelVariance": "grey_variance",
    "HighGrayLevelZoneEmphasis": "high_grey",
    "LargeAreaEmphasis": "large",
    "LargeAreaHighGrayLevelEmphasis": "large_high_grey",
    "LargeAreaLowGrayLevelEmphasis": "large_low_grey",
    "LowGrayLevelZoneEmphasis": "low_grey",
    "SizeZoneNonUniformity": "size_nonuniformity",
    "SizeZoneNonUniformityNormalized": "size_nonuniformity_normalized",
    "SmallAreaEmphasis": "small",
    "SmallAreaHighGrayLevelEmphasis": "small_high_grey",
    "SmallAreaLowGrayLevelEmphasis": "small_low_grey",
    "ZoneEntropy": "entropy",
    "ZonePercentage": "percentage",
    "ZoneVariance": "size_variance",
}
GLDM_NAMES: Final = {
    "DependenceEntropy": "entropy",
    "DependenceNonUniformity": "size_nonuniformity",
    "DependenceNonUniformityNormalized": "size_nonuniformity_normalized",
    "DependenceVariance": "size_variance",
    "GrayLevelNonUniformity": "grey_nonuniformity",
    "GrayLevelVariance": "grey_variance",
    "HighGrayLevelEmphasis": "high_grey",
    "LargeDependenceEmphasis": "large",
    "LargeDependenceHighGrayLevelEmphasis": "large_high_grey",
    "LargeDependenceLowGrayLevelEmphasis": "large_low_grey",
    "LowGrayLevelEmphasis": "low_grey",
    "SmallDependenceEmphasis": "small",
    "SmallDependenceHighGrayLevelEmphasis": "small_high_grey",
    "SmallDependenceLowGrayLevelEmphasis": "small_low_grey",
}
"""Of these three families: name -> key of `texture_features.size_features`."""
NGTDM_NAMES: Final = ("Busyness", "Coarseness", "Complexity", "Contrast", "Strength")

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
