"""What is kept of a DICOM header: an allow-list of acquisition settings, and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from paraspinal_assets.imaging.dicom_headers import SliceHeader

SIDECAR_KEYS: Final = (
    "kvp",
    "exposure_mas",
    "kernel",
    "slice_thickness_mm",
    "spacing_mm",
    "contrast_agent",
    "manufacturer",
    "model",
    "deidentification_method_codes",
    "software_versions",
    "years_since_baseline",
)
"""Every key that a sidecar has, always all of them; what is not known is null."""

_TEXT_LIMIT: Final = 64
_CODE: Final = re.compile(r"[0-9A-Za-z.-]{1,16}")


def sidecar(slices: Sequence[SliceHeader], spacing_mm: tuple[float, float, float]) -> dict[str, object]:
    """Acquisition settings of a series, keys `SIDECAR_KEYS`.

    No date, identifier, name, institution, station or UID is read here. Settings are those of the first
    slice; exposure is the mean over the slices (it is modulated along the patient), in mAs. Years since
    baseline are null: one series does not know them, and the study that does fills them in.

    Source: DICOM PS3.15 E.3 (Basic Application Level Confidentiality Profile), which this is stricter than.
    """
    first = slices[0]
    return {
        "kvp": _number(first.get("KVP")),
        "exposure_mas": _mean([_number(header.get("Exposure")) for header in slices]),
        "kernel": short_text(first.get("ConvolutionKernel")),
        "slice_thickness_mm": _number(first.get("SliceThickness")),
        "spacing_mm": [round(value, 5) for value in spacing_mm],
        "contrast_agent": _contrast(first),
        "manufacturer": short_text(first.get("Manufacturer")),
        "model": short_text(first.get("ManufacturerModelName")),
        "deidentification_method_codes": _method_codes(first),
        "software_versions": short_text(first.get("SoftwareVersions")),
        "years_since_baseline": None,
    }


def acquisition_date(slices: Sequence[SliceHeader]) -> date | None:
    """The day of the scan, for the caller to turn into an interval; never written anywhere."""
    for keyword in ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate"):
        digits = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", str(slices[0].get(keyword, "")))
        if digits is not None:
            try:
                return date(int(digits[1]), int(digits[2]), int(digits[3]))
            except ValueError:
                continue
    return None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None  # JSON has no other numbers


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None


def short_text(value: Any) -> str | None:
    """A text as it may be kept: printable characters, not many of them; None where there are none."""
    if value is None:
        return None
    joined = value if isinstance(value, str) else "\\".join(str(item) for item in value)
    return "".join(character for character in joined if character.isprintable())[:_TEXT_LIMIT] or None


def _contrast(header: SliceHeader) -> bool | None:
    """True where an agent is named, False where the attribute is there and empty, None where it is absent."""
    if header.get("ContrastBolusAgentSequence") or header.get("ContrastBolusAgent"):
        return str(header.get("ContrastBolusAgent", "")).strip().upper() not in ("NO", "NONE", "N")
    return False if "ContrastBolusAgent" in header.dataset else None


def _method_codes(header: SliceHeader) -> list[str]:
    """Code values of PS3.15 (coding scheme DCM); texts and private codes are left out."""
    items = header.get("DeidentificationMethodCodeSequence") or []
    codes = [str(item.get("CodeValue", "")) for item in items if item.get("CodingSchemeDesignator") == "DCM"]
    return [code for code in codes if _CODE.fullmatch(code)]
