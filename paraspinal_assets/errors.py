"""The one error type that people see: what was wrong, where, and what to do about it."""

from __future__ import annotations


class ParaspinalError(Exception):
    """A problem with an input, a study file or an installation, worded for people.

    Parameters
    ----------
    code
        Stable identifier such as ``E-DICOM-04``; it is what tables, events and exit messages carry.
    message
        What was wrong and in which file, row or participant. It is stored in events and tables: of people's
        values and headers it gives shapes and numbers, never text.
    remedy
        What to do about it, as an instruction.

    Subclasses name a kind of problem; they add no state.
    """

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(code, message, remedy)
        self.code = code
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"[{self.code}] {self.message}"
        return f"{text}\nFix: {self.remedy}" if self.remedy else text


class VolumeError(ParaspinalError):
    """A CT or label volume that cannot be read as what it claims to be (codes E-VOL-*)."""


class DicomError(ParaspinalError):
    """A DICOM series that does not make exactly one trustworthy volume (codes E-DICOM-*)."""


class SegmentationError(ParaspinalError):
    """A segmentation that is missing, does not fit its CT, or failed (codes E-SEG-*)."""


class StudyError(ParaspinalError):
    """A study file, clinical table or scan folder that breaks its contract (codes E-STUDY-*)."""


class LaunchError(ParaspinalError):
    """A run that could not be handed to the cluster, or a cluster that does not answer (codes E-SLURM-*)."""


class MachineError(ParaspinalError):
    """A machine or its installation is at fault, not an input: what it stopped is tried again by the next run."""


class StorageError(MachineError):
    """A bucket that does not answer, refuses, or is another study's (codes E-STORE-*)."""


class StatisticsError(ParaspinalError):
    """A model or test that has no answer on the data given (codes E-STAT-*)."""
