"""A folder of DICOM files in; one trustworthy CT volume out, or an error that says why not.

The reader never repairs: what is not certainly one even, untilted stack of Hounsfield units is refused
with the files concerned. Its steps are modules of their own: headers, candidates, series, geometry, pixels, sidecar.

=========== ======================================================= =======================================
code        what was found                                          remedy
=========== ======================================================= =======================================
E-DICOM-01  no such folder, or no DICOM file in it                  check the path in the study file
E-DICOM-02  a file is empty, cut off or unreadable                  copy it again, or exclude the scan
E-DICOM-03  no CT series fits the rule                              send the axial CT, or relax the rule
E-DICOM-04  several series could be the volume                      narrow the series rule
E-DICOM-05  slices are missing or unevenly spaced                   restore the slices, or exclude the scan
E-DICOM-06  two slices at one place                                 remove the superfluous copies
E-DICOM-07  gantry tilt, or slices shifted sideways                 use an untilted reconstruction
E-DICOM-08  several acquisitions or settings in one series          keep one, or set `acquisition`
E-DICOM-09  geometry absent or impossible                           export again with geometry
E-DICOM-10  slices of one series differ in size or direction        keep one reconstruction
E-DICOM-11  not Hounsfield units                                    use a series with rescale to HU
E-DICOM-12  pixel format unsupported or contradictory               export again, uncompressed
E-DICOM-13  attenuation beyond 16 bits                              check slope and intercept
E-DICOM-14  the volume is larger than allowed                       check the size, or send thicker slices
E-DICOM-15  images of several patients in one folder                keep one patient per folder
E-DICOM-16  lossy compression                                       use the original, or `allow_lossy`
E-DICOM-17  a series rule that cannot be applied                    correct it in the study file
=========== ======================================================= =======================================

The remedies are spelled out in `dicom_codes.REMEDIES`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from paraspinal_assets.errors import DicomError
from paraspinal_assets.imaging.dicom_codes import dicom_error
from paraspinal_assets.imaging.dicom_headers import HeaderIndex, SliceHeader, files_below, numbered
from paraspinal_assets.imaging.dicom_pixels import read_hounsfield
from paraspinal_assets.imaging.dicom_series import SeriesRule, choose_stack
from paraspinal_assets.imaging.dicom_sidecar import acquisition_date, sidecar
from paraspinal_assets.imaging.volume import Volume

__all__ = [
    "DicomVolume",
    "HeaderIndex",
    "SeriesRule",
    "files_below",
    "private_details",
    "read_series",
    "series_date",
    "series_volume",
]

_ODD_VALUES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    struct.error,
)
"""A header can be wrong in ways that nobody foresaw; none of them may look like a fault of ours."""


@dataclass(frozen=True)
class DicomVolume:
    """A CT volume from DICOM.

    Attributes
    ----------
    volume
        Hounsfield units, int16, RAS+.
    sidecar
        Acquisition settings, keys `dicom_sidecar.SIDECAR_KEYS`; safe to write beside the volume.
    acquisition_date
        Day of the scan, to be turned into an interval at once; it is in no sidecar and not in the repr.
    """

    volume: Volume
    sidecar: dict[str, object]
    acquisition_date: date | None = field(default=None, repr=False)


def read_series(
    folder: Path, *, series_rule: SeriesRule | None = None, index: HeaderIndex | None = None
) -> DicomVolume:
    """The CT volume of a folder, chosen by the rule.

    Parameters
    ----------
    folder
        Folder of DICOM files; folders below it are searched too.
    series_rule
        Which series to take; by default the folder must hold exactly one.
    index
        Headers known from earlier calls; pass one index for many scans.

    Raises
    ------
    DicomError
        See the table above.
    """
    return series_volume(_headers(folder, index), series_rule=series_rule)


def series_date(folder: Path, *, series_rule: SeriesRule, index: HeaderIndex) -> date | None:
    """The day on which the CT volume of a folder was acquired, from headers alone; arguments as `read_series`.

    For the caller to turn into an interval; None where no date can be told, for whatever reason.
    """
    try:
        return acquisition_date(choose_stack(_headers(folder, index), series_rule).slices)
    except (DicomError, OSError, *_ODD_VALUES):
        return None


def _headers(folder: Path, index: HeaderIndex | None) -> Sequence[SliceHeader]:
    headers = (index or HeaderIndex()).below(folder)
    if not headers:
        raise dicom_error("E-DICOM-01", f"no DICOM file in {folder}")
    return headers


def private_details(error: DicomError, folder: Path, index: HeaderIndex) -> list[str]:
    """What an error about a folder keeps to itself: names of the files that it numbers, descriptions of series.

    For the terminal of somebody who has the files; what is stored must not hold it.
    """
    files = files_below(folder) if folder.is_dir() else []
    numbers = sorted({int(number) for number in re.findall(r"\bfile (\d+) of ", error.message)})
    named = [f"{numbered(number, len(files))} is {files[number - 1]}" for number in numbers]
    if error.code not in ("E-DICOM-03", "E-DICOM-04"):
        return named
    known = {(header.get("SeriesNumber"), header.get("SeriesDescription")) for header in index.below(folder)}
    return named + sorted(f"series {number} is described as {text!r}" for number, text in known if text)


def series_volume(headers: Sequence[SliceHeader], *, series_rule: SeriesRule | None = None) -> DicomVolume:
    """The CT volume among headers that are known already (`HeaderIndex.read`), chosen by the rule.

    Raises
    ------
    DicomError
        See the table above.
    """
    try:
        return _read(headers, series_rule or SeriesRule())
    except _ODD_VALUES as error:
        what = f"a header holds values of the wrong kind ({type(error).__name__})"
        raise dicom_error("E-DICOM-02", what) from error


def _read(headers: Sequence[SliceHeader], rule: SeriesRule) -> DicomVolume:
    stack = choose_stack(headers, rule)
    axes, steps = _canonical(stack.affine)
    slices = stack.slices[:: steps[2]]
    data = read_hounsfield(
        slices,
        row_step=steps[1],
        column_step=steps[0],
        allow_lossy=rule.allow_lossy,
        max_bytes=rule.max_bytes,
    )
    affine = _flipped(stack.affine, steps, (data.shape[2], data.shape[1], data.shape[0]))
    volume = Volume(data.transpose(2, 1, 0).transpose(axes), affine[:, [*axes, 3]])
    return DicomVolume(volume, sidecar(slices, volume.spacing), acquisition_date(slices))


def _canonical(affine: NDArray[np.float64]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Which array axis becomes x, y, z, and the step (1 or -1) that turns each array axis to RAS+."""
    order: NDArray[np.float64] = io_orientation(affine)  # type: ignore[no-untyped-call]
    axes = np.argsort(order[:, 0])
    steps = order[:, 1].astype(int)
    return (int(axes[0]), int(axes[1]), int(axes[2])), (int(steps[0]), int(steps[1]), int(steps[2]))


def _flipped(
    affine: NDArray[np.float64], steps: tuple[int, int, int], shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    turned = affine.copy()
    for axis in range(3):
        if steps[axis] < 0:
            turned[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
            turned[:3, axis] = -affine[:3, axis]
    return turned + 0.0  # no negative zeros
