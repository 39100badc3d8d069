"""The study file as typed settings; `docs/study-file.md` is generated from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.study.analysis_settings import AnalysisSettings, ModelSettings
from paraspinal_assets.study.artifact_settings import ArtifactSettings
from paraspinal_assets.study.automation_settings import AutomationSettings
from paraspinal_assets.study.clinical_settings import ClinicalSettings
from paraspinal_assets.study.compute_settings import ComputeSettings
from paraspinal_assets.study.exam_settings import Calibration, ExamSettings, Exclusion
from paraspinal_assets.study.scan import EXAM_PATTERN, PARTICIPANT_PATTERN
from paraspinal_assets.study.settings_base import Settings

Range = tuple[float, float]


class MeasurementSettings(Settings):
    """How muscle and bone are measured."""

    slab: Literal["vertebra", "body"] = Field(
        "vertebra",
        description="A level's slab: all slices of the vertebra (as in the original study) or of its body.",
    )
    fat: Range = Field((-190, -30), description="HU window of fat within the muscle, in whole HU.")
    low_attenuation: Range = Field((-29, 29), description="HU window of low-attenuation muscle.")
    normal: Range = Field((30, 150), description="HU window of normal muscle.")
    trabecular: Range = Field((1, 700), description="HU window of bone inside the vertebral body.")
    radiomics: bool = Field(True, description="Measure the 91 PyRadiomics features of each level.")
    radiomics_bin_width: float = Field(25, gt=0, description="Width of a grey-level bin in HU.")

    @field_validator("fat", "low_attenuation", "normal", "trabecular")
    @classmethod
    def _ascending(cls, value: Range) -> Range:
        if value[0] >= value[1]:
            raise ValueError(
                f"the window [{value[0]}, {value[1]}] is empty: the first number must be the smaller one"
            )
        return value


class SegmentationSettings(Settings):
    """How muscle and vertebrae are found."""

    segmenter: Literal["totalsegmentator", "imported"] = Field(
        "totalsegmentator",
        description="TotalSegmentator, or masks that exist already (`exams.NAME.segmentations`).",
    )
    totalsegmentator_for: tuple[str, ...] = Field(
        (),
        description="Scan keys (exam5-1001) that TotalSegmentator segments although `segmenter` is imported.",
    )
    weights: str | None = Field(
        None, description="Folder of nnU-Net results with the networks; TOTALSEG_HOME_DIR when absent."
    )
    device: str = Field(
        "auto",
        pattern=r"^(cpu|auto|gpu(:\d+)?)$",
        description="`cpu`; `gpu`, the first free one, or `gpu:1`, which fail without; `auto` says which it took.",
    )
    fast: bool = Field(False, description="TotalSegmentator's 3 mm model instead of the 1.5 mm models.")
    bodies: bool = Field(True, description="Also segment the vertebral bodies, which bone measures need.")
    body_task: Literal["vertebrae_body", "vertebrae_pp"] = Field(
        "vertebrae_body", description="TotalSegmentator's task that finds the bodies."
    )
    body_crop_mm: float | None = Field(
        None, gt=0, description="Look for bodies only this near to the vertebrae: faster, but not validated."
    )
    time_limit_s: float = Field(1800, gt=0, description="A scan that takes longer is recorded as failed.")
    label_map: dict[str, int] | None = Field(
        None, description="Imported multi-label files: class name to label value."
    )
    resample: bool = Field(
        False, description="Imported masks on another grid: resample (nearest neighbour), not refuse."
    )

    @field_validator("label_map")
    @classmethod
    def _one_value_per_class(cls, value: dict[str, int] | None) -> dict[str, int] | None:
        classes: dict[int, str] = {}
        for name, label in (value or {}).items():
            if not 1 <= label <= 65535:
                raise ValueError(f"{name} has the value {label}; labels are 1 to 65535, 0 is the background")
            if label in classes:
                raise ValueError(f"{classes[label]} and {name} have the same value {label}")
            classes[label] = name
        return value

    @property
    def on_gpu(self) -> bool:
        """Whether networks segment the scans of the study, on a GPU that it asks for by name."""
        return self.segmenter == "totalsegmentator" and self.device.startswith("gpu")


class ReaderSettings(Settings):
    """Decisions and manual masks of human readers."""

    decisions: str | None = Field(
        None, description="CSV of decisions: participant, exam, decision, reader, reason."
    )
    masks: str | None = Field(
        None, description="Folder `<exam>/<participant>/` of manual masks for reader agreement."
    )


def _expand_levels(value: Any) -> Any:
    """``T1-T10`` to the tuple of levels from T1 down to T10."""
    if isinstance(value, str):
        first, separator, last = (part.strip() for part in value.partition("-"))
        last = last if separator else first
        if first not in SPINE or last not in SPINE or SPINE.index(first) > SPINE.index(last):
            raise ValueError(f"{value!r} is not a range of levels such as T1-T10")
        return SPINE[SPINE.index(first) : SPINE.index(last) + 1]
    return value


class Study(Settings):
    """A study: everything that a person decides about it."""

    name: str = Field(min_length=1, description="Name printed on reports.")
    synthetic: bool = Field(False, description="The scans are phantoms, not people. Reports say so.")
    exams: dict[str, ExamSettings] = Field(description="Exams in order of time, e.g. exam5 and exam6.")
    levels: Annotated[tuple[str, ...], BeforeValidator(_expand_levels)] = Field(
        "T1-T10", validate_default=True, description="Vertebral levels, as a range or a list."
    )
    exclude: tuple[Exclusion, ...] = Field((), description="Scans to leave out.")
    segmentation: SegmentationSettings = Field(
        SegmentationSettings(), description="How muscle and vertebrae are found."
    )
    measurement: MeasurementSettings = Field(
        MeasurementSettings(), description="How muscle and bone are measured."
    )
    calibration: tuple[Calibration, ...] = Field((), description="The first entry that fits a scan is used.")
    clinical: ClinicalSettings = Field(description="The clinical tables.")
    readers: ReaderSettings = Field(ReaderSettings(), description="Decisions and masks of readers.")
    models: ModelSettings = Field(ModelSettings(), description="Model formulas.")
    analysis: AnalysisSettings = Field(AnalysisSettings(), description="How the cohort is analysed.")
    automation: AutomationSettings = Field(
        AutomationSettings(), description="What the daemon does by itself."
    )
    compute: ComputeSettings = Field(ComputeSettings(), description="Where runs are computed.")
    artifacts: ArtifactSettings | None = Field(
        None, description="A bucket for the artifacts of scans; the folder `scans/` when absent."
    )

    @field_validator("levels")
    @classmethod
    def _known_levels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [level for level in value if level not in SPINE]
        if unknown or not value:
            raise ValueError(f"unknown levels {unknown}; levels are {SPINE[0]} to {SPINE[-1]}")
        return tuple(sorted(set(value), key=SPINE.index))

    @model_validator(mode="after")
    def _exams_are_complete(self) -> Study:
        for exam in self.exams:
            if not EXAM_PATTERN.fullmatch(exam):
                raise ValueError(f"exam name {exam!r}: use a lower-case word such as exam5, without hyphens")
        roles = [settings.role for settings in self.exams.values()]
        if roles.count("baseline") != 1 or roles.count("follow_up") > 1:
            raise ValueError("exams need exactly one with role baseline and at most one with role follow_up")
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Study:
        for exclusion in self.exclude:
            if not PARTICIPANT_PATTERN.fullmatch(exclusion.participant):
                raise ValueError(f"exclude: participant {exclusion.participant!r} is not a participant id")
        named = [entry.exam for entry in self.exclude] + [entry.exam for entry in self.calibration]
        for exam in named:
            if exam is not None and exam not in self.exams:
                raise ValueError(f"exam {exam!r} is not among the study's exams {sorted(self.exams)}")
        if len({entry.material for entry in self.calibration}) > 1:
            raise ValueError(
                "calibration: phantom materials do not mix; use one material for the whole study"
            )
        return self

    @model_validator(mode="after")
    def _label_map_is_complete(self) -> Study:
        if self.segmentation.label_map is not None:
            wanted = ["autochthon_left", "autochthon_right", *(f"vertebrae_{level}" for level in self.levels)]
            absent = [name for name in wanted if name not in self.segmentation.label_map]
            if absent:
                raise ValueError(f"segmentation.label_map has no {', '.join(absent)}")
        return self

    @property
    def baseline(self) -> str:
        """Name of the baseline exam."""
        return next(name for name, exam in self.exams.items() if exam.role == "baseline")

    @property
    def follow_up(self) -> str | None:
        """Name of the follow-up exam, if the study has one."""
        return next((name for name, exam in self.exams.items() if exam.role == "follow_up"), None)
