"""Error codes of the DICOM reader, each with its remedy.

Messages are stored, in events and tables. So they give files by number and, of a header, only numbers and what a
sidecar may hold; names of files and free text are never part of them. `paraspinal convert` prints these for a person.
"""

from __future__ import annotations

from typing import Any, Final

from paraspinal_assets.errors import DicomError

REMEDIES: Final[dict[str, str]] = {
    "E-DICOM-01": "check the path of the scan in the study file; it must be a folder with the DICOM files of one CT"
    " (unpacked), or lead to a NIfTI file, such as `pattern: '{participant}/ct.nii.gz'`",
    "E-DICOM-02": "copy the file again from the archive (`paraspinal convert` names it), or exclude the scan",
    "E-DICOM-03": "send the axial CT series, or relax the series rule of the study file",
    "E-DICOM-04": "narrow the series rule, by kernel, slice_thickness_mm, choose or series_description"
    " (`paraspinal convert` prints the descriptions)",
    "E-DICOM-05": "restore the missing slices from the archive, or exclude the scan in the study file"
    " (`paraspinal convert` names the files)",
    "E-DICOM-06": "remove the superfluous copies (`paraspinal convert` names the files), one slice per position",
    "E-DICOM-07": "use a reconstruction without gantry tilt, or resample the series with a tool made for it",
    "E-DICOM-08": "keep one acquisition and reconstruction in the folder, or set `acquisition` in the series rule",
    "E-DICOM-09": "export again with numbers where the geometry is: position, orientation, pixel spacing and tilt"
    " (`paraspinal convert` names the file)",
    "E-DICOM-10": "keep the files of one reconstruction only; these were made with different geometry"
    " (`paraspinal convert` names them)",
    "E-DICOM-11": "use a series with RescaleSlope and RescaleIntercept to HU, one sample per pixel",
    "E-DICOM-12": "export the series again, uncompressed (Explicit VR Little Endian)",
    "E-DICOM-13": "check RescaleSlope and RescaleIntercept (`paraspinal convert` names the file)",
    "E-DICOM-14": "check Rows, Columns and the number of slices; if they are right, send thicker slices",
    "E-DICOM-15": "keep the files of one patient per folder",
    "E-DICOM-16": "use the losslessly stored series, or set `allow_lossy: true` in the series rule",
    "E-DICOM-17": "correct the series rule in the study file",
}
"""Code -> what to do. The table with their meaning is in `paraspinal_assets.imaging.dicom`."""


def dicom_error(code: str, message: str) -> DicomError:
    """The error of a code with the code's own remedy."""
    return DicomError(code, message, REMEDIES[code])


def number(value: Any) -> str:
    """A number of a header as messages may give it; whatever else stands there is not repeated."""
    try:
        return "none" if value is None else f"{float(value):.10g}"
    except (TypeError, ValueError):
        return "no number"


def some(names: list[str], limit: int = 6) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
