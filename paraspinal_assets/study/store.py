"""Every path and every write of a study. A file under its final name is complete; others do not exist."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from paraspinal_assets.study.bucket import CONNECTIONS, Bucket
from paraspinal_assets.study.complete import TEMPORARY_PREFIX, complete, remove_dead, write_once
from paraspinal_assets.study.copies import Copies
from paraspinal_assets.study.folder import Folder
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.study_inputs import StudyInputs

if TYPE_CHECKING:
    import pandas as pd

    from paraspinal_assets.study.artifact_settings import ArtifactSettings
    from paraspinal_assets.study.bucket_files import BucketFiles

ARTIFACTS: Final[dict[str, str]] = {
    "ct": "ct.nii.gz",
    "ct_sidecar": "ct.json",
    "labels": "labels.nii.gz",
    "segmentation": "segmentation.json",
    "quality": "quality.json",
    "qc": "qc.png",
    "levels": "levels.json",
    "spine_ct": "spine_ct.nii.gz",
    "spine_labels": "spine_labels.nii.gz",
    "muscle": "muscle.parquet",
    "bone": "bone.parquet",
    "radiomics": "radiomics.parquet",
    "deformity": "deformity.parquet",
}
"""Artifact -> file name in the scan's folder."""

Value = TypeVar("Value")


class StudyStore:
    """The folder of a study: its inputs as the study file names them, and the results beside them.

    The artifacts of scans are in that folder or in a bucket; whoever reads one gets the path of a file either way.

    Parameters
    ----------
    root
        Folder of the study file.
    artifacts
        The bucket of the scans' artifacts, if they are in one.
    home
        The bucket of a study that is in one as a whole.
    """

    def __init__(
        self, root: Path, artifacts: ArtifactSettings | None = None, home: Bucket | None = None
    ) -> None:
        self.root = root.resolve()
        self._artifacts = artifacts
        self._home = home

    @property
    def database_path(self) -> Path:
        """The DuckDB file."""
        return self.root / "study.duckdb"

    @property
    def report_folder(self) -> Path:
        """Folder of the study report and its figures."""
        return self.root / "report"

    @property
    def figures_folder(self) -> Path:
        """Folder of the report's figures as files."""
        return self.report_folder / "figures"

    @property
    def contact_sheets_folder(self) -> Path:
        """Folder of the quality pictures side by side."""
        return self.report_folder / "contact_sheets"

    @property
    def exports_folder(self) -> Path:
        """Folder of the exported tables."""
        return self.root / "exports"

    @property
    def cache_folder(self) -> Path:
        """Folder of things that can be made again: fingerprints, private homes of segmenters."""
        return self.root / ".cache"

    @property
    def copies_folder(self) -> Path:
        """Folder of copies of artifacts that are in a bucket."""
        return self.cache_folder / "artifacts"

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's runs, events and schedules for this study."""
        return self.root / ".dagster"

    @property
    def inputs(self) -> StudyInputs:
        """The inputs, by the names that the study file has for them."""
        return StudyInputs(self.root, self.cache_folder / "incoming", self._home)

    @cached_property
    def bucket(self) -> Bucket | None:
        """The bucket of the scans' artifacts, after a look at whose it is (E-STORE-03); None for a folder."""
        if self._artifacts is None:
            return None
        bucket = Bucket(self._artifacts.url, Copies(self.copies_folder, self._artifacts.cache_gb * 1e9))
        bucket.claim(self._owner)
        return bucket

    @property
    def _owner(self) -> bytes:
        return write_once(self.root / "artifacts.json", _json({"study": uuid.uuid4().hex}))

    @cached_property
    def home(self) -> Bucket | None:
        """The bucket of a study that is in one as a whole, after a look at whose it is (E-STORE-03)."""
        if self._home is not None:
            self._home.claim(self._owner)
        return self._home

    @cached_property
    def _files(self) -> Bucket | Folder:
        return self.bucket or Folder(self.root)

    def check_artifacts(self) -> None:
        """Meet now what every scan would meet: a bucket that does not answer, refuses, or is another study's."""
        _ = self.bucket, self.home

    def address(self, scan: Scan, artifact: str) -> str:
        """Where an artifact is, for people and for DuckDB: a path, or the address of an object."""
        name = _name(scan, artifact)
        return str(self.root / name) if self._artifacts is None else f"{self._artifacts.url}/{name}"

    def fetch(self, scan: Scan, artifact: str) -> Path:
        """Path of a file with an artifact of a scan; FileNotFoundError, now or when it is opened, without one."""
        return self._files.fetch(_name(scan, artifact))

    def has(self, scan: Scan, artifact: str) -> bool:
        """Whether a scan has an artifact."""
        return self._files.has(_name(scan, artifact))

    def beginning(self, scan: Scan, artifact: str, size: int) -> bytes | None:
        """The first bytes of an artifact of a scan; None if it is not there."""
        return self._files.beginning(_name(scan, artifact), size)

    def write_artifact(self, scan: Scan, artifact: str, writer: Callable[[Path], object]) -> None:
        """Write an artifact of a scan completely or not at all; `writer` fills a temporary file."""
        self._files.write(_name(scan, artifact), writer)

    def remove_artifact(self, scan: Scan, artifact: str) -> None:
        """Remove an artifact of a scan if it is there."""
        self._files.remove(_name(scan, artifact))

    def for_each(self, function: Callable[[Scan], Value], scans: Sequence[Scan]) -> list[Value]:
        """What a function that reads artifacts returns for each scan; reads from a bucket wait side by side."""
        if self.bucket is None:
            return [function(scan) for scan in scans]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(function, scans))

    def files_for_duckdb(self) -> BucketFiles | None:
        """A file system for the addresses of artifacts in a bucket; None for paths, which DuckDB reads by itself."""
        if self.bucket is None:
            return None
        from paraspinal_assets.study.bucket_files import BucketFiles

        return BucketFiles(self.bucket)

    def write(self, path: Path, writer: Callable[[Path], object]) -> Path:
        """Write a file so that its final name only ever shows a complete file; `writer` fills a temporary one."""
        with complete(path) as temporary:
            writer(temporary)
        return path

    def publish(self, place: Path) -> None:
        """Make a file, or a folder and what is below it, in the bucket of the study what it is here."""
        if self.home is None:
            return
        paths = [path for path in [place, *place.rglob("*")] if path.is_file()]
        names = {path.relative_to(self.root).as_posix(): path for path in paths}
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(self.home.upload, names, names.values()))
        if place.is_dir():
            folder = f"{place.relative_to(self.root).as_posix()}/"
            for gone in [found.name for found in self.home.listing(folder) if found.name not in names]:
                self.home.remove(gone)

    def write_bytes(self, path: Path, content: bytes) -> Path:
        """Write bytes completely or not at all."""
        return self.write(path, lambda temporary: temporary.write_bytes(content))

    def remove_others(self, folder: Path, written: Collection[Path]) -> None:
        """Delete the files below a folder of results that its asset did not write now: they are of an earlier study."""
        kept = {path.resolve() for path in written}
        for path in folder.rglob("*"):
            if path.is_file() and path.resolve() not in kept and not path.name.startswith("."):
                path.unlink()

    def write_json(self, path: Path, content: Mapping[str, Any]) -> Path:
        """Write JSON with sorted keys; the same content gives the same bytes."""
        return self.write_bytes(path, _json(content))

    def write_record(self, scan: Scan, artifact: str, content: Mapping[str, Any]) -> None:
        """Write an artifact of a scan that is a JSON object."""
        self.write_artifact(scan, artifact, lambda temporary: temporary.write_bytes(_json(content)))

    def write_scan_frame(self, scan: Scan, artifact: str, frame: pd.DataFrame) -> None:
        """Write a scan's table as Parquet, with its exam and participant in front."""
        table = frame.copy()
        table.insert(0, "participant", scan.participant)
        table.insert(0, "exam", scan.exam)
        self.write_artifact(scan, artifact, lambda temporary: table.to_parquet(temporary, index=False))

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read a JSON object that this store wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"{path} holds {type(content).__name__}, not an object")
        return content

    def read_record(self, scan: Scan, artifact: str) -> dict[str, Any]:
        """Read an artifact of a scan that is a JSON object."""
        return self.read_json(self.fetch(scan, artifact))

    def remove_leftovers(self) -> int:
        """Delete temporary files that a killed process left behind; returns how many.

        Files of a process that is at work stay.
        """
        leftovers = list(self.root.glob(f"scans/*/*/{TEMPORARY_PREFIX}*"))
        for folder in (self.root, self.dagster_home):
            leftovers += folder.glob(f"{TEMPORARY_PREFIX}*")
        for folder in (self.report_folder, self.exports_folder):
            leftovers += folder.rglob(f"{TEMPORARY_PREFIX}*")
        leftovers += (self.cache_folder / "incoming").glob(f"{TEMPORARY_PREFIX}*")
        return sum(map(remove_dead, leftovers))


def json_digest(content: object) -> str:
    """Digest of JSON content, independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def frame_digest(*frames: pd.DataFrame) -> str:
    """Digest of the values, column names and types of data frames; the index does not count."""
    import pandas as pd

    digest = hashlib.sha256()
    for frame in frames:
        digest.update("|".join(f"{name}:{kind}" for name, kind in frame.dtypes.items()).encode())
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def _name(scan: Scan, artifact: str) -> str:
    """Name of an artifact below the study's folder or bucket."""
    return f"scans/{scan.exam}/{scan.participant}/{ARTIFACTS[artifact]}"


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
