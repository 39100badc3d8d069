"""Everything that is wrong with a study, found at once and without computing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.clinical import ClinicalError, read_clinical
from paraspinal_assets.study.manifest import Manifest, find_scans
from paraspinal_assets.study.reviews import read_reviews
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.study_inputs import StudyInputs


@dataclass(frozen=True)
class StudyCheck:
    """Scans found per exam, and the problems, each as text for people."""

    scans: dict[str, int]
    problems: tuple[str, ...]


def check_study(study: Study, inputs: StudyInputs) -> StudyCheck:
    """Look at folders, clinical tables, reviews and formulas of a valid study file."""
    manifest = find_scans(study, inputs)
    problems = [str(problem) for problem in manifest.problems]
    for scan, source in manifest.scans.items():
        if source.is_empty():
            problems.append(f"{scan.key}: the folder {source} is empty")
    problems += _without_segmentation(study, manifest)
    known: set[str] = set()
    try:
        data = read_clinical(study, inputs.root, say=str)  # for a person at the terminal: nothing is stored
        known = {*data.participants.columns, "attenuation", "volume", "vbmd", "manufacturer", "scanner_model"}
        scanned = {scan.participant for scan in manifest.scans}
        described = set(data.participants["participant"])
        without = sorted(scanned - described)
        if without:
            problems.append(f"{len(without)} participants have scans but no clinical data: {_some(without)}")
        problems += _alike(scanned | described | set(data.exams["participant"]))
    except ClinicalError as error:
        problems += error.problems
    try:
        read_reviews(study, inputs.root)
    except StudyError as error:
        problems.append(str(error))
    if known:
        problems += _unknown_variables(study, known)
        problems += _unknown_options(study, known)
    counts = {exam: sum(scan.exam == exam for scan in manifest.scans) for exam in study.exams}
    return StudyCheck(counts, tuple(problems))


def _without_segmentation(study: Study, manifest: Manifest) -> list[str]:
    """A line for each exam with scans whose masks are to be imported and are not there."""
    if study.segmentation.segmenter != "imported":
        return []
    left_out = {(entry.participant, entry.exam) for entry in study.exclude}
    found = []
    for exam, settings in study.exams.items():
        lacking = [
            scan.key
            for scan in manifest.scans
            if scan.exam == exam
            and exam not in manifest.unlisted  # of which one is told already
            and scan not in manifest.segmentations
            and scan.key not in study.segmentation.totalsegmentator_for
            and left_out.isdisjoint({(scan.participant, exam), (scan.participant, None)})
        ]
        if lacking:
            place = f"{settings.segmentations}/{settings.segmentation_pattern}"
            where = "no `segmentations` are given" if settings.segmentations is None else f"not at {place}"
            found.append(f"{len(lacking)} scans of {exam} have no segmentation ({where}): {_some(lacking)}")
    return found


def _alike(participants: Iterable[str]) -> list[str]:
    """A line if ids differ in leading zeros or case alone: a spreadsheet takes the zeros away."""
    groups: dict[str, list[str]] = {}
    for participant in sorted(participants):
        groups.setdefault(participant.casefold().lstrip("0"), []).append(participant)
    pairs = [" and ".join(names) for names in groups.values() if len(names) > 1]
    if not pairs:
        return []
    return [
        f"{len(pairs)} participants may be there under two ids, which differ in leading zeros or case alone: "
        f"{_some(pairs)}"
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")


def _unknown_variables(study: Study, known: set[str]) -> list[str]:
    found: list[str] = []
    for part, formulas in (("linear", study.models.linear), ("fracture", study.models.fracture)):
        for name, formula in formulas.items():
            variables = formula.replace("*", "+").replace(":", "+").split("+")
            unknown = sorted({variable.strip(" `") for variable in variables} - known)
            if unknown:
                found.append(f"models.{part}.{name}: no clinical column is named {', '.join(unknown)}")
    return found


def _unknown_options(study: Study, known: set[str]) -> list[str]:
    """Columns and models that the analysis names and that are not there; defaults are only left out."""
    options = study.analysis
    found = []
    for key in sorted(
        options.model_fields_set
        & {"exposure", "benchmark", "reference_levels", "subgroups", "subgroup_covariates"}
    ):
        value = getattr(options, key)
        unknown = sorted({value} - known if isinstance(value, str) else set(value) - known)
        if unknown:
            found.append(f"analysis.{key}: no clinical column is named {', '.join(unknown)}")
    columns = [item for table in study.clinical.tables.values() for item in table.columns.items()]
    for name, column in columns:
        level, values = options.reference_levels.get(name), column.values
        allowed = values.values() if isinstance(values, dict) else values
        if level is not None and allowed is not None and level not in allowed:
            found.append(f"analysis.reference_levels: {name} has no value {level!r}")
    model = options.sensitivity_model
    if "sensitivity_model" in options.model_fields_set and model not in study.models.linear:
        found.append(f"analysis.sensitivity_model: no model of models.linear is named {model}")
    return found
