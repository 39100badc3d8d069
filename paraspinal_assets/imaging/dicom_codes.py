"""Error codes of the DICOM reader, each with its remedy."""

from __future__ import annotations

from typing import Final

from paraspinal_assets.errors import DicomError

REMEDIES: Final[dict[str, str]] = {
    "E-DICOM-01": "check the path of the scan in the study file; it must hold one CT examination",
    "E-DICOM-02": "copy the named files again from the archive, or exclude the scan in the study file",
    "E-DICOM-03": "send the axial CT series, or relax the series rule of the study file",
    "E-DICOM-04": "narrow the series rule: series_description, kernel, slice_thickness_mm or choose",
    "E-DICOM-05": "restore the missing slices from the archive, or exclude the scan in the study file",
    "E-DICOM-06": "remove the superfluous copies (the files named here), keeping one slice per position",
    "E-DICOM-07": "use a reconstruction without gantry tilt, or resample the series with a tool made for it",
    "E-DICOM-08": "keep one acquisition in the folder, or set `acquisition` in the series rule",
    "E-DICOM-09": "export again with ImagePositionPatient, ImageOrientationPatient and PixelSpacing",
    "E-DICOM-10": "keep the files of one reconstruction only; these were made with different geometry",
    "E-DICOM-11": "use a series with RescaleSlope and RescaleIntercept to HU, one sample per pixel",
    "E-DICOM-12": "export the series again, uncompressed (Explicit VR Little Endian)",
    "E-DICOM-13": "check RescaleSlope and RescaleIntercept of the named slices",
    "E-DICOM-14": "check Rows, Columns and the number of slices; if they are right, raise `max_bytes`",
    "E-DICOM-15": "keep the files of one patient per folder",
    "E-DICOM-16": "use the losslessly stored series, or set `allow_lossy: true` in the series rule",
    "E-DICOM-17": "correct the series rule in the study file",
}
"""Code -> what to do. The table with their meaning is in `paraspinal_assets.imaging.dicom`."""


def dicom_error(code: str, message: str) -> DicomError:
    """The error of a code with the code's own remedy."""
    return DicomError(code, message, REMEDIES[code])


def some(names: list[str], limit: int = 6) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
