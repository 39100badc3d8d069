"""Settings of exams: where scans lie, which series counts, what is left out, how HU become vBMD."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from paraspinal_assets.study.settings_base import Settings

if TYPE_CHECKING:
    from paraspinal_assets.imaging.dicom import SeriesRule


class SeriesSettings(Settings):
    """Which DICOM series of a folder is the one to measure, where a folder holds several."""

    series_description: str | None = Field(
        None, description="Regular expression searched in the series description, case-insensitive."
    )
    kernel: tuple[str, ...] = Field((), description="Convolution kernels accepted, the preferred one first.")
    slice_thickness_mm: tuple[float, float] | None = Field(
        None, description="Smallest and largest slice thickness accepted."
    )
    acquisition: int | None = Field(
        None, description="Acquisition number to keep where a series has several."
    )
    min_slices: int = Field(3, ge=3, description="Series with fewer slices are not volumes.")
    choose: Literal["error", "most_slices", "thinnest"] = Field(
        "error", description="When several series remain: refuse and list them, or which one to take."
    )
    allow_lossy: bool = Field(False, description="Accept lossy compressed series.")

    @field_validator("series_description")
    @classmethod
    def _is_regular_expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}") from error
        return value

    def rule(self) -> SeriesRule:
        """The same choice, as the DICOM reader takes it."""
        from paraspinal_assets.imaging.dicom import SeriesRule

        return SeriesRule(**self.model_dump())


class ExamSettings(Settings):
    """One exam: where its scans lie."""

    role: Literal["baseline", "follow_up"] = Field(
        description="The exposure is measured at baseline, vBMD at follow-up."
    )
    imaging: str = Field(description="Folder of the incoming scans, relative to the study file.")
    pattern: str = Field(
        "{participant}",
        description="One scan inside `imaging`: DICOM folder or NIfTI file; `{participant}` is the id.",
    )
    segmentations: str | None = Field(
        None, description="Folder of existing segmentations, for the imported segmenter."
    )
    segmentation_pattern: str = Field(
        "{participant}",
        description="Path of one segmentation inside `segmentations`: a folder of masks or one file.",
    )
    series: SeriesSettings = Field(
        default_factory=SeriesSettings, description="How one DICOM series is chosen."
    )

    @field_validator("pattern", "segmentation_pattern")
    @classmethod
    def _names_the_participant(cls, value: str) -> str:
        if value.count("{participant}") != 1:
            raise ValueError("must contain {participant} exactly once")
        if value.startswith("/") or ".." in value.split("/"):
            raise ValueError("must stay inside the exam's folder")
        return value


class Exclusion(Settings):
    """A scan, or a whole participant, that the study leaves out; the flow diagram counts it."""

    participant: str = Field(description="Participant id.")
    exam: str | None = Field(None, description="One exam; all exams of the participant when absent.")
    reason: str = Field(min_length=3, description="Why; in column `detail` of the table `scans`.")


class Calibration(Settings):
    """Linear calibration of trabecular attenuation to vBMD: slope x HU + intercept, in mg/cm3."""

    slope: float = Field(gt=0, description="mg/cm3 per HU.")
    intercept: float = Field(description="mg/cm3 at 0 HU.")
    material: Literal["CaHA", "K2HPO4", "CaCO3"] = Field(
        "CaHA", description="Material of the calibration phantom."
    )
    exam: str | None = Field(None, description="Only this exam.")
    manufacturer: str | None = Field(None, description="Only scanners of this manufacturer.")
    model: str | None = Field(None, description="Only scanners of this model.")
    from_date: dt.date | None = Field(None, description="Only exams on or after this date.")
    to_date: dt.date | None = Field(None, description="Only exams on or before this date.")
