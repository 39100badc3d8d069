"""Which scans the demo study has and with what parameters, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from paraspinal_assets.phantom.broken import BREAKAGES, Breakage
from paraspinal_assets.phantom.clinical import CALIBRATION_INTERCEPT, CALIBRATION_SLOPE, Cohort, make_cohort
from paraspinal_assets.phantom.dicom_writer import Acquisition
from paraspinal_assets.phantom.parameters import Deformity, PhantomParameters, draw_parameters

EXAMS: Final[tuple[str, str]] = ("exam5", "exam6")
READER_SCANS: Final = 6
"""Scans of the first sound participants that a reader segmented too."""

_FRACTURED: Final[tuple[Deformity, ...]] = (
    Deformity("wedge", 0.45),
    Deformity("wedge", 0.35),
    Deformity("biconcave", 0.4),
    Deformity("wedge", 0.5),
    Deformity("biconcave", 0.5),
    Deformity("crush", 0.5),
)


@dataclass(frozen=True)
class ScanPlan:
    """One scan to write.

    Attributes
    ----------
    participant, exam
        Whose and when.
    seed
        Entropy of its texture and noise, independent of every other scan.
    parameters
        What to draw.
    acquisition
        What the DICOM headers say.
    breakage
        What to break, or None.
    reader
        Whether a reader's masks are to be written too.
    """

    participant: str
    exam: str
    seed: tuple[int, ...]
    parameters: PhantomParameters
    acquisition: Acquisition
    breakage: Breakage | None = None
    reader: bool = False

    @property
    def key(self) -> str:
        """``exam5-1001``"""
        return f"{self.exam}-{self.participant}"


@dataclass(frozen=True)
class StudyPlan:
    """The study: sound participants, whose effects are tuned; these and those with a broken scan; all scans."""

    sound: Cohort
    cohorts: tuple[Cohort, ...]
    breakages: dict[str, Breakage]
    scans: tuple[ScanPlan, ...]


def plan_study(participants: int, seed: int, *, broken: bool = True) -> StudyPlan:
    """Plan a study of so many sound participants, with the broken ones spread among their ids."""
    extra = len(BREAKAGES) if broken else 0
    ids = [str(1001 + i) for i in range(participants + extra)]
    rng = np.random.default_rng([seed, 0])
    chosen = set(rng.choice(len(ids), extra, replace=False).tolist())
    sound_ids = tuple(name for i, name in enumerate(ids) if i not in chosen)
    other_ids = tuple(name for i, name in enumerate(ids) if i in chosen)
    sound = make_cohort(sound_ids, np.random.default_rng([seed, 1]))
    others = [make_cohort(other_ids, np.random.default_rng([seed, 2]))] if other_ids else []
    breakages = dict(zip(other_ids, BREAKAGES, strict=False))
    with_reader = set(sound_ids[:READER_SCANS])
    scans = [
        replace(scan, reader=scan.exam == EXAMS[0] and scan.participant in with_reader)
        for cohort in (sound, *others)
        for row, participant in enumerate(cohort.participants)
        for scan in _scans(cohort, row, seed, breakages.get(participant))
    ]
    in_order = sorted(scans, key=lambda scan: (scan.exam, scan.participant))
    return StudyPlan(sound, (sound, *others), breakages, tuple(in_order))


def _scans(cohort: Cohort, row: int, seed: int, breakage: Breakage | None) -> list[ScanPlan]:
    """Both exams of a participant: one anatomy, placed anew on the table at the second."""
    participant = cohort.participants[row]
    rng = np.random.default_rng([seed, 3, int(participant)])
    male = cohort.complete["sex"].iloc[row] == "Male"
    bmi = float(cohort.complete["bmi"].iloc[row])
    anatomy = draw_parameters(rng)
    size = float(cohort.muscle_size[row])
    prevalent = {f"T{rng.integers(6, 10)}": Deformity("wedge", 0.4)} if rng.random() < 0.03 else {}
    incident = _fractures(cohort.fracture[row], rng, set(prevalent))
    scans = []
    for exam, attenuation, vbmd, day in (
        (EXAMS[0], cohort.attenuation5[row], cohort.vbmd5[row], cohort.exam5[row]),
        (EXAMS[1], cohort.attenuation6[row], cohort.vbmd6[row], cohort.exam6[row]),
    ):
        follow_up = exam == EXAMS[1]
        parameters = replace(
            anatomy,
            subcutaneous_fat=float(np.clip(10 + 0.9 * (bmi - 24) + (0 if male else 3), 6, 30)),
            muscle_width=17.5 * anatomy.scale * size,
            muscle_height=15.5 * anatomy.scale * size * (0.98 if follow_up else 1.0),
            muscle_hu=float(attenuation),
            infiltration=float(np.clip(0.2 - 0.006 * (attenuation - 21), 0.02, 0.4)),
            side_difference_hu=float(rng.normal(0, 1.5)),
            trabecular_hu=(float(vbmd) - CALIBRATION_INTERCEPT) / CALIBRATION_SLOPE,
            centre=(anatomy.centre[0] + rng.uniform(-4, 4), anatomy.centre[1] + rng.uniform(-2, 2)),
            noise_hu=float(rng.uniform(9, 18)),
            deformities={**prevalent, **incident} if follow_up else prevalent,
        )
        own = breakage if breakage and breakage.exam == exam else None
        if own and own.kind == "no_follow_up":
            continue
        if own and own.kind == "t1_cut":
            parameters = replace(parameters, top=-7.0)
        acquisition = Acquisition(
            f"{exam}/{participant}",
            day.strftime("%Y%m%d"),
            str(cohort.complete["manufacturer"].iloc[row]),
            str(cohort.complete["model"].iloc[row]),
        )
        key = (seed, 4, int(participant), int(follow_up))
        scans.append(ScanPlan(participant, exam, key, parameters, acquisition, own))
    return scans


def _fractures(fracture: int, rng: np.random.Generator, taken: set[str]) -> dict[str, Deformity]:
    """One new deformity, now and then two, between T5 and T10, for someone with a fracture."""
    levels = [f"T{i}" for i in range(5, 11) if f"T{i}" not in taken]
    count = 1 + int(rng.random() < 0.2)
    chosen = rng.choice(len(levels), count, replace=False)
    shapes = rng.integers(0, len(_FRACTURED), count)
    if not fracture:
        return {}
    return {levels[int(i)]: _FRACTURED[int(k)] for i, k in zip(chosen, shapes, strict=True)}
