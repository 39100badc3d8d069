"""Where a study is: a folder on this machine, or an address in a bucket with a folder here in which it is worked on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.artifact_settings import ADDRESS, CACHE_GB, ArtifactSettings
from paraspinal_assets.study.bucket import Bucket
from paraspinal_assets.study.complete import complete
from paraspinal_assets.study.copies import Copies
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets.study.study_file import load_study
from paraspinal_assets.study.study_inputs import object_name
from paraspinal_assets.study.withdrawn import FILE as WITHDRAWN

WORK_VARIABLE: Final = "PARASPINAL_WORK"
"""Folder of the work folders of studies in buckets."""
SCHEME: Final = "s3://"
TRUTH: Final = "truth.json"
"""What a synthetic study was made with."""


@dataclass(frozen=True)
class StudyPlace:
    """A study file on this machine; of a study in a bucket it is the copy in the work folder.

    As text it names the study for other processes.

    Attributes
    ----------
    file
        The study file.
    address
        ``s3://bucket/prefix`` of a study in a bucket.
    """

    file: Path
    address: str | None = None

    @classmethod
    def of(cls, name: StudyPlace | Path | str) -> StudyPlace:
        """The place of a study file, of a folder with `study.yaml`, or of either in a bucket (E-STUDY-67)."""
        if isinstance(name, StudyPlace):
            return name
        if not str(name).startswith(SCHEME):
            path = Path(name)
            return cls(path / "study.yaml" if path.is_dir() else path)
        address, file = str(name).rstrip("/"), "study.yaml"
        if address.endswith((".yaml", ".yml")):
            address, _, file = address.rpartition("/")
        if not ADDRESS.fullmatch(address):
            raise StudyError(
                "E-STUDY-67",
                f"{name} is not the address of a study",
                "write s3://bucket/prefix, or s3://bucket/prefix/study.yaml",
            )
        return cls(work_folder(address) / file, address)

    def __str__(self) -> str:
        return str(self.file.resolve()) if self.address is None else f"{self.address}/{self.file.name}"

    @property
    def folder(self) -> Path:
        """Folder of tables, events and locks, and of everything else unless it is in a bucket."""
        return self.file.resolve().parent

    @cached_property
    def bucket(self) -> Bucket | None:
        """The bucket of a study that is in one."""
        if self.address is None:
            return None
        return Bucket(self.address, Copies(StudyStore(self.folder).copies_folder, CACHE_GB * 1e9))

    def exists(self) -> bool:
        """Whether there is a study file."""
        self._bring([self.file.name])
        return self.file.is_file()

    def write(self, content: bytes) -> None:
        """Write the study file."""
        if self.bucket is not None:
            self.bucket.write(self.file.name, lambda path: path.write_bytes(content))
            return
        with complete(self.file) as temporary:
            temporary.write_bytes(content)

    def load(self) -> Study:
        """The study, its small files brought here if it is in a bucket (errors: see `load_study`)."""
        if not self.exists() and self.address is not None:
            raise StudyError(
                "E-STUDY-01", f"no study file at {self}", "upload one, or `paraspinal init` one there"
            )
        study = load_study(self.file)
        self._bring([*named_files(study), WITHDRAWN, *([TRUTH] if study.synthetic else [])])
        return study

    def store(self, study: Study) -> StudyStore:
        """The paths and writes of the study; artifacts of a study in a bucket are there too unless it says where."""
        artifacts = study.artifacts
        if artifacts is None and self.address is not None:
            artifacts = ArtifactSettings(url=self.address)
        return StudyStore(self.folder, artifacts, self.bucket)

    def _bring(self, names: list[str]) -> None:
        """Make these files here what they are in the bucket, one after the other, each at once."""
        if self.bucket is None:
            return
        for path in (self.folder.parent, self.folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names:
            if Path(name).is_absolute():
                continue  # on a disk of this machine
            target = self.folder / object_name(name)
            try:
                content = self.bucket.fetch(object_name(name)).read_bytes()
            except FileNotFoundError:
                target.unlink(missing_ok=True)
                continue
            if not target.is_file() or target.read_bytes() != content:
                with complete(target) as temporary:
                    temporary.write_bytes(content)


def work_folder(address: str) -> Path:
    """The folder in which a study in a bucket is worked on: below PARASPINAL_WORK, or in the user's state folder."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    base = Path(os.environ.get(WORK_VARIABLE) or state / "paraspinal")
    bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
    return base / bucket / (prefix.replace("/", "+") or "+")  # no address has a plus sign


def named_files(study: Study) -> list[str]:
    """The small files that a study file names: clinical tables and readers' decisions."""
    tables = [table.file for table in study.clinical.tables.values()]
    return [*tables, *([study.readers.decisions] if study.readers.decisions else [])]
