"""Reason codes: why a value is null or a scan is not analysed. Missing is never zero."""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[str, str]] = {
    "level_absent": "the segmentation has no voxel of this vertebra",
    "no_muscle": "no paraspinal muscle voxel within the level's slab",
    "no_muscle_side": "no muscle voxel on this side within the level's slab",
    "no_body": "no voxel of the vertebral body within the attenuation window",
    "touches_fov_border": "the vertebra or muscle is cut by the edge of the field of view",
    "vertebra_gap": "voxels named as a vertebra lie apart from it and lengthen its slab",
    "empty_segmentation": "the segmentation contains none of the wanted structures",
    "no_vertebrae": "no vertebra of the study's levels was found: probably not a chest CT",
    "missing_level": "one or more of the study's levels were not found",
    "level_order": "the vertebrae do not follow each other from head to foot",
    "level_spacing": "the distance between neighbouring vertebrae is implausible",
    "level_shift": "the level names are probably shifted against the anatomy by one or more vertebrae",
    "sides_swapped": "left and right muscle lie on the wrong sides of the spine",
    "asymmetry": "left and right muscle volume differ implausibly",
    "not_ct_intensities": "the intensities are not Hounsfield units of a CT",
    "metal": "metal in or beside the spine",
    "contrast": "intravenous contrast in the great vessels",
    "reader_rejected": "a reader rejected the scan",
    "excluded_by_study": "the study file excludes the scan",
    "too_few_voxels": "too few voxels for this measure",
    "slices_too_thick": "the slices are too thick against the vertebral body for a deformity grade",
    "bad_geometry": "the level's geometry does not allow this measure",
    "no_calibration": "the study file has no calibration that fits this scan",
    "read_error": "the scan could not be read",
    "segmentation_failed": "the segmentation failed",
    "segmentation_missing": "no segmentation was found for the scan, or it does not fit the CT",
    "view_too_small": "the field of view is too small to tell the vertebrae from each other",
    "scan_too_large": "the scan needs more memory than one scan may use",
    "out_of_memory": "memory ran out, also with memory-saving options",
    "time_limit": "the segmentation was not done within the time limit",
    "measurement_failed": "a measurement failed",
    "pending": "the scan has not been processed yet",
    "no_baseline_scan": "no scan at the baseline exam",
    "no_follow_up_scan": "no scan at the follow-up exam",
    "no_clinical_data": "the clinical tables have no row for the participant",
    "no_attenuation": "the baseline scan is accepted, but the muscle of all levels together was not measured",
    "no_vbmd": "no bone mineral density at follow-up",
    "vbmd_of_vertebra": "the bone mineral density is of whole vertebrae, that of other scans of vertebral bodies",
}
"""Code -> meaning, as printed in the data dictionary and the flow diagram."""
