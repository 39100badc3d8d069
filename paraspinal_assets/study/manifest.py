"""Finding the scans of a study: which exist and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.inputs import Input, Pattern
from paraspinal_assets.study.scan import Scan, check_participant
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.study_inputs import StudyInputs
from paraspinal_assets.study.withdrawn import Withdrawn


@dataclass(frozen=True)
class Manifest:
    """Scans and existing segmentations found in the exams' folders, and what was wrong with the others."""

    scans: dict[Scan, Input]
    segmentations: dict[Scan, Input]
    problems: tuple[StudyError, ...]
    unlisted: frozenset[str] = frozenset()
    """Exams of which a folder could not be listed: that nothing was found there says nothing."""


def find_scans(study: Study, inputs: StudyInputs) -> Manifest:
    """All scans of all exams, ordered by exam and participant, without those of participants who withdrew.

    A folder whose name is no participant id becomes a problem (E-STUDY-10) and never a scan; an exam
    whose folder is absent or cannot be listed becomes a problem (E-STUDY-13). Neither stops the others.
    """
    scans: dict[Scan, Input] = {}
    segmentations: dict[Scan, Input] = {}
    problems: list[StudyError] = []
    unlisted: set[str] = set()
    withdrawn = Withdrawn.of_study(inputs.root)
    for exam, settings in study.exams.items():
        places = [(settings.imaging, settings.pattern, scans)]
        if settings.segmentations is not None:
            places.append((settings.segmentations, settings.segmentation_pattern, segmentations))
        for folder, pattern, found in places:
            base = inputs.folder(folder)
            if not base.exists():
                problems.append(
                    StudyError(
                        "E-STUDY-13", f"{exam}: no folder {base}", f"create it or correct exams.{exam}"
                    )
                )
                unlisted.add(exam)
                continue
            try:
                matches = list(base.find(Pattern.of(pattern)))
            except OSError as error:
                problems.append(
                    StudyError(
                        "E-STUDY-13",
                        f"{exam}: cannot list {error.filename}: {error.strerror}",
                        f"correct its permissions or exams.{exam}",
                    )
                )
                unlisted.add(exam)
                continue
            for name, source in matches:
                try:
                    scan = Scan(exam, check_participant(name, where=f"{base}/{name}"))
                except StudyError as error:
                    problems.append(_file_or_id(error, name, pattern))
                    continue
                if scan.participant not in withdrawn:
                    found[scan] = source
    return Manifest(scans, segmentations, tuple(problems), frozenset(unlisted))


def _file_or_id(error: StudyError, name: str, pattern: str) -> StudyError:
    """The error about a name that is no participant id; of a NIfTI file, its ending is what is wrong."""
    ending = next((ending for ending in (".nii.gz", ".nii") if name.endswith(ending)), None)
    if ending is None:
        return error
    return StudyError(
        error.code, error.message, f"for NIfTI files give the pattern '{pattern}{ending}' in the study file"
    )
