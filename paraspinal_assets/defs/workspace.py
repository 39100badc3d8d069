"""One opened study: its settings, folders, database, and the small inputs that decide about scans."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import dagster as dg

from paraspinal_assets.defs.abandoned import at_work
from paraspinal_assets.defs.dagster_storage import note_database
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.exam_settings import Calibration
from paraspinal_assets.study.inputs import Input, LocalInput, Pattern
from paraspinal_assets.study.manifest import Manifest, find_scans
from paraspinal_assets.study.place import StudyPlace
from paraspinal_assets.study.reviews import Review, read_reviews
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets.study.withdrawn import FILE as WITHDRAWN

STUDY_VARIABLE: Final = "PARASPINAL_STUDY"
DEFAULT_STUDY: Final = "data/demo/study.yaml"
Value = TypeVar("Value")


def study_place() -> StudyPlace:
    """The study that this process works on: PARASPINAL_STUDY, or the demo's."""
    return StudyPlace.of(os.environ.get(STUDY_VARIABLE, DEFAULT_STUDY))


@dataclass(frozen=True)
class Workspace:
    """A study that is open for work."""

    study: Study
    store: StudyStore
    place: StudyPlace
    _found: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, name: StudyPlace | Path | str) -> Workspace:
        """Open the study of a study file, of a folder with one, or of an address (errors: see `load_study`)."""
        place = StudyPlace.of(name)
        study = place.load()
        return cls(study, place.store(study), place)

    @property
    def root(self) -> Path:
        """Folder of the study file."""
        return self.store.root

    @cached_property
    def database(self) -> Database:
        """The study's tables."""
        return Database(self.store.database_path)

    @cached_property
    def reviews(self) -> dict[Scan, Review]:
        """Readers' decisions."""
        return read_reviews(self.study, self.root)

    @cached_property
    def _exclusions(self) -> dict[tuple[str, str | None], str]:
        """Participant and exam, or no exam where all are meant -> reason; the first one counts."""
        return {(entry.participant, entry.exam): entry.reason for entry in reversed(self.study.exclude)}

    @cached_property
    def _exam_dates(self) -> dict[tuple[str, str], Any]:
        if not any("exam_date" in table.columns for table in self.study.clinical.tables.values()):
            return {}
        from paraspinal_assets.study.clinical import exam_dates

        return exam_dates(self.study, self.root)

    def once(self, key: Hashable, find: Callable[[], Value]) -> Value:
        """What `find` returned when it was first asked for, in this opening of the study."""
        if key not in self._found:
            self._found[key] = find()
        found: Value = self._found[key]
        return found

    def exclusion(self, scan: Scan) -> str | None:
        """Why the study file leaves a scan out, if it does."""
        of_all, of_exam = ((scan.participant, exam) for exam in (None, scan.exam))
        return self._exclusions.get(of_exam, self._exclusions.get(of_all))

    def calibrations(self, scan: Scan) -> list[Calibration]:
        """The calibrations that fit a scan's exam and date; the scanner is compared when it is measured."""
        date = self._exam_dates.get((scan.participant, scan.exam))
        return [
            entry
            for entry in self.study.calibration
            if entry.exam in (None, scan.exam)
            and (entry.from_date is None or (date is not None and entry.from_date <= date))
            and (entry.to_date is None or (date is not None and date <= entry.to_date))
        ]

    def years_since_baseline(self, scan: Scan) -> float | None:
        """Years from the participant's baseline exam, by the exam dates of the clinical tables; null without."""
        if scan.exam == self.study.baseline:
            return 0.0
        if not self._exam_dates:
            return None
        from paraspinal_assets.study.clinical import years_between

        return years_between(
            self._exam_dates.get((scan.participant, self.study.baseline)),
            self._exam_dates.get((scan.participant, scan.exam)),
        )

    def look_for_scans(self) -> Manifest:
        """The scans that are there now."""
        manifest = find_scans(self.study, self.store.inputs)
        self._found["manifest"] = manifest
        return manifest

    def scan_source(self, scan: Scan) -> Input:
        """Where the incoming scan lies, there or not."""
        settings = self.study.exams[scan.exam]
        return self._input(settings.imaging, settings.pattern, scan)

    def has_incoming(self, scan: Scan) -> bool:
        """Whether the incoming scan is there, as far as the last look for all scans tells; else it is asked for."""
        found: Manifest | None = self._found.get("manifest")
        return self.scan_source(scan).exists() if found is None else scan in found.scans

    def keep_away(self, keys: Collection[str]) -> None:
        """Remember the scans whose disk a look found away."""
        self._found["away"] = frozenset(keys)

    def is_away(self, scan: Scan) -> bool:
        """Whether the last look found the scan's disk away; a run, which does not look, finds no scan there."""
        return scan.key in self._found.get("away", ())

    def segmentation_source(self, scan: Scan) -> Input | None:
        """Where the existing segmentation of a scan lies, if the study imports it and it is there."""
        settings = self.study.exams[scan.exam]
        if settings.segmentations is None:
            return None
        source = self._input(settings.segmentations, settings.segmentation_pattern, scan)
        return source if source.exists() else None

    def segmentations_are_away(self, exam: str) -> bool:
        """Whether an exam has a folder of existing segmentations in which, or of which, there is nothing."""
        settings = self.study.exams[exam]

        def nothing(name: str) -> bool:
            folder = self.store.inputs.folder(name)
            return (
                not folder.exists()
                or next(folder.find(Pattern.of(settings.segmentation_pattern)), None) is None
            )

        folder = settings.segmentations
        return folder is not None and self.once(("no segmentations", exam), lambda: nothing(folder))

    def clinical_inputs(self) -> dict[str, Input]:
        """The files that decide about the clinical tables, by name; some may be absent."""
        tables = self.study.clinical.tables
        files: dict[str, Input] = {name: LocalInput(self.root / table.file) for name, table in tables.items()}
        withdrawn = LocalInput(self.root / WITHDRAWN)  # decides who of the tables counts
        return files | ({"withdrawn": withdrawn} if withdrawn.exists() else {})

    def reader_source(self, scan: Scan) -> Input | None:
        """Where readers' masks of a scan lie, if the study has masks and they are there."""
        if not self.study.readers.masks:
            return None
        source = self._input(self.study.readers.masks, f"{scan.exam}/{{participant}}", scan)
        return source if source.exists() else None

    def _input(self, folder: str, pattern: str, scan: Scan) -> Input:
        return self.store.inputs.at(f"{folder}/{pattern.replace('{participant}', scan.participant)}")


class StudyResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The study that assets work on, opened anew in every run so that edits of the study file count."""

    study_file: str

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[StudyResource]:
        """Tie the study to the instance's database; show that a run is alive for as long as it works on the study."""
        with ExitStack() as stack:
            if self.study_file and context.instance is not None:
                home = StudyStore(StudyPlace.of(self.study_file).folder).dagster_home
                if context.run is not None:
                    stack.enter_context(at_work(home, context.run.run_id))
                # Sensors too: they write participants into the database before any run does.
                note_database(context.instance, home)
            yield self

    def open(self) -> Workspace:
        """The opened study."""
        if not self.study_file:
            raise StudyError("E-STUDY-01", "no study file is configured", f"set {STUDY_VARIABLE}")
        return Workspace.open(self.study_file)
