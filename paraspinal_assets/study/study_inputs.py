"""Where the inputs lie that a study file names."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.bucket import Bucket
from paraspinal_assets.study.bucket_inputs import BucketFolder, BucketInput
from paraspinal_assets.study.inputs import Input, InputFolder, LocalFolder, LocalInput


@dataclass(frozen=True)
class StudyInputs:
    """The inputs of one study, by the names that its study file has for them.

    Attributes
    ----------
    root
        Folder of the study file on this machine; names are relative to it.
    scratch
        Folder on this machine for what is fetched.
    bucket
        The bucket of a study that is in one: names are relative to its address, and absolute ones lead to a disk.
    """

    root: Path
    scratch: Path
    bucket: Bucket | None = None

    def folder(self, name: str) -> InputFolder:
        """A folder with inputs; whether it is there is not asked (E-STUDY-67 if it cannot be in the bucket)."""
        if self.bucket is None or Path(name).is_absolute():
            return LocalFolder(self.root / name)
        return BucketFolder(self.bucket, object_name(name), self.scratch)

    def at(self, name: str) -> Input:
        """The input of a name; whether it is there is not asked (E-STUDY-67 if it cannot be in the bucket)."""
        if self.bucket is None or Path(name).is_absolute():
            return LocalInput(self.root / name)
        return BucketInput(self.bucket, object_name(name), self.scratch)


def object_name(name: str) -> str:
    """The name of an object, or of what is above objects, from a path relative to the study file (E-STUDY-67)."""
    plain = posixpath.normpath(name)
    if plain.startswith(".."):
        raise StudyError("E-STUDY-67", f"{name} lies outside of the study's address", "move it inside")
    return "" if plain == "." else plain
