"""One interface for every way to get a segmentation: scans in, a result or a failure per scan out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.volume import Volume


@dataclass(frozen=True)
class ScanInput:
    """One scan to segment.

    Attributes
    ----------
    key
        Scan key such as ``exam5-0001``; results and failures carry it.
    ct_path
        The CT as NIfTI.
    segmentation_path
        Folder of class files or multi-label file of a segmentation that exists already;
        None where a network makes it.
    """

    key: str
    ct_path: Path
    segmentation_path: Path | None = None


@dataclass(frozen=True)
class Segmentation:
    """Labels of one scan, on the grid of its CT.

    Attributes
    ----------
    key
        Scan key.
    labels
        uint8, RAS+, same grid as the CT in RAS+ orientation; values of `imaging.labels`.
    table
        Name -> value of every label that can occur.
    model
        What made it: versions, weights, notes for people (``note``), counts of overlapping voxels. The same
        input and options give the same content.
    reason
        Reason code where nothing can be measured (``empty_segmentation``, ``no_vertebrae``, ``no_muscle``);
        the labels may be all zero then. None otherwise.
    findings
        Reason codes of what is wrong without being fatal (``missing_level``, ``no_muscle_side``,
        ``level_order``, ``sides_swapped``, ``touches_fov_border``).
    performance
        Device, whether memory had to be saved, and seconds of reading, inference and labelling, which overlap
        from scan to scan: what differs from run to run and belongs to no version or digest.
    """

    key: str
    labels: Volume
    table: dict[str, int]
    model: dict[str, object] = field(default_factory=dict[str, Any])
    reason: str | None = None
    findings: tuple[str, ...] = ()
    performance: dict[str, object] = field(default_factory=dict[str, Any])


_FAILURES: Final = {
    "E-SEG-12": "not_ct_intensities",
    "E-SEG-14": "view_too_small",
    "E-SEG-15": "scan_too_large",
    "E-SEG-20": "segmentation_missing",
    "E-SEG-21": "segmentation_missing",
    "E-SEG-22": "segmentation_missing",
    "E-SEG-25": "read_error",
    "E-SEG-32": "out_of_memory",
    "E-SEG-33": "time_limit",
}


@dataclass(frozen=True)
class SegmentationFailure:
    """A scan that could not be segmented, and why; the other scans of the batch go on."""

    key: str
    error: ParaspinalError

    @property
    def reason(self) -> str:
        """The error as a code of `imaging.reasons`."""
        return failure_reason(self.error.code)


def failure_reason(code: str) -> str:
    """The code of an error as a code of `imaging.reasons`."""
    if code.startswith("E-VOL"):
        return "read_error"
    return _FAILURES.get(code, "segmentation_failed")


@runtime_checkable
class Segmenter(Protocol):
    """A way to get segmentations."""

    def version(self) -> dict[str, str]:
        """Everything that can change a voxel of the result, as text: it becomes part of the code version."""
        ...

    def segment(self, scans: Iterable[ScanInput]) -> Iterator[Segmentation | SegmentationFailure]:
        """Segment the scans one after the other, in their order; one item per scan, failures included."""
        ...
