"""Enhanced multi-frame CT: one header per frame, the functional groups flattened into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from paraspinal_assets.imaging.dicom_codes import dicom_error
from paraspinal_assets.imaging.dicom_headers import SliceHeader

_GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_RENAMED: Final = {
    "FrameType": "ImageType",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "ExposureInmAs": "Exposure",
}
"""Attributes of the enhanced objects -> their names in the single-frame CT image."""


def frames_of(header: SliceHeader) -> list[SliceHeader]:
    """The header itself for a single-frame file; otherwise one header per frame.

    A frame's own functional group overrides the shared one (rescale, position, orientation, pixel
    measures, exposure). Source: DICOM PS3.3 C.7.6.16 (Multi-frame Functional Groups Module).

    Raises
    ------
    DicomError
        E-DICOM-09, if the number of functional groups is not the number of frames.
    """
    count = int(header.get("NumberOfFrames", 1))
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if count == 1 and per_frame is None:
        return [header]
    if per_frame is None or len(per_frame) != count:
        groups = 0 if per_frame is None else len(per_frame)
        raise dicom_error("E-DICOM-09", f"{header.name}: {count} frames, but the place of {groups} frames")
    common = Dataset()
    for element in header.dataset:
        if element.keyword not in _GROUPS:
            common.add(element)
    for group in header.get("SharedFunctionalGroupsSequence", []):
        _flatten(group, common)
    frames = []
    for index, group in enumerate(per_frame):
        flat = Dataset()
        flat.update(common)
        _flatten(group, flat)
        frames.append(replace(header, dataset=flat, frame=index, frames=count))
    return frames


def _flatten(group: Dataset, into: Dataset) -> None:
    """Copy the attributes of every one-item functional group macro."""
    for macro in group:
        if macro.VR != "SQ" or len(macro.value) != 1:
            continue
        for element in macro.value[0]:
            keyword = _RENAMED.get(element.keyword, element.keyword)
            if keyword:
                setattr(into, keyword, element.value)
