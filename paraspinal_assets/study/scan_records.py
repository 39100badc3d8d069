"""What the study's tables need of each scan's small files, read once per version and kept in the database."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from paraspinal_assets.imaging.dicom_sidecar import SIDECAR_KEYS
from paraspinal_assets.imaging.nifti_header import foreign_content
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.kept_texts import recall
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore

READ: Final = ("ct_nifti", "segmentation", "quality")
"""The steps whose files are read."""
SCANNER: Final = ("manufacturer", "model", "kernel", "kvp", "slice_thickness_mm", "contrast_agent")
"""What is taken of a sidecar."""
LEFT_OUT: Final = frozenset({"reason", "detail"})
"""Keys of a sidecar that record why a scan is left out."""
HEADER_BYTES: Final = 352
COMPRESSED_BYTES: Final = 4096
"""So much of the compressed file is enough for the header."""


class StepStanding(NamedTuple):
    """How one step of one scan stands: done, failed with a message, or not there yet.

    ``reason`` is the code for why it failed, where more is known than that it did. ``version`` changes whenever the
    step's files may have changed.
    """

    done: bool
    message: str | None = None
    version: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class ScanRecords:
    """Of one scan: its scanner, why it has no segmentation, the quality verdict, and what should not be there.

    Attributes
    ----------
    scanner
        Values of `SCANNER`; empty if the CT could not be read.
    segmentation
        ``reason``, ``segmenter``, and ``excluded``, the study file's words for leaving it out; null if there is none.
    quality
        The verdict of `quality`; null if there is none.
    foreign
        What sidecar and NIfTI header have beside what is allowed, in words without the values.
    """

    scanner: Mapping[str, Any]
    segmentation: Mapping[str, Any] | None
    quality: Mapping[str, Any] | None
    foreign: tuple[str, ...]


def scan_records(
    database: Database, store: StudyStore, standings: Mapping[Scan, Mapping[str, StepStanding]], code: str
) -> dict[Scan, ScanRecords]:
    """The records of every scan, in the given order; only files of scans whose steps have new versions are read.

    ``code`` is the version of the code that reads: with another one, every scan is read again.
    """
    scans = {scan.key: scan for scan in standings}
    versions = {
        key: " ".join([code, *(standings[scan][step].version for step in READ)])
        for key, scan in scans.items()
    }

    def read(keys: list[str]) -> list[str]:
        found = store.for_each(
            lambda scan: read_records(store, scan, standings[scan]), [scans[key] for key in keys]
        )
        return [json.dumps(asdict(records)) for records in found]

    kept = recall(database, "scan_records", versions, read)
    return {scan: _from_text(kept[key]) for key, scan in scans.items()}


def _from_text(text: str) -> ScanRecords:
    content = from_json(text)  # half the time of `json`, which 100,000 scans make worth it
    return ScanRecords(
        content["scanner"], content["segmentation"], content["quality"], tuple(content["foreign"])
    )


def read_records(store: StudyStore, scan: Scan, steps: Mapping[str, StepStanding]) -> ScanRecords:
    """Read one scan's files, of the steps that are done."""
    scanner: dict[str, Any] = {}
    excluded = segmentation = quality = None
    if steps["ct_nifti"].done:
        sidecar = store.read_record(scan, "ct_sidecar")
        scanner = {name: sidecar.get(name) for name in SCANNER}
        excluded = sidecar.get("detail")
    if steps["segmentation"].done:
        record = store.read_record(scan, "segmentation")
        segmentation = {
            "reason": record["reason"],
            "segmenter": segmenter_name(record["model"]),
            "excluded": excluded,
        }
    if steps["quality"].done:
        quality = store.read_record(scan, "quality")
    return ScanRecords(scanner, segmentation, quality, tuple(foreign(store, scan)))


def segmenter_name(model: Mapping[str, Any]) -> str | None:
    """What made a segmentation, so that scans with the same name can be compared over time."""
    parts = [model.get(name) for name in ("segmenter", "TotalSegmentator", "task", "weights", "note")]
    return ", ".join(str(part) for part in parts if part) or None


def foreign(store: StudyStore, scan: Scan) -> Iterator[str]:
    """What a scan's sidecar and header have that they should not; values are not repeated, voxels not read."""
    if store.has(scan, "ct_sidecar"):
        names = sorted(set(store.read_record(scan, "ct_sidecar")).difference(SIDECAR_KEYS, LEFT_OUT))
        if names:
            yield f"sidecar has {', '.join(names)}"
    start = store.beginning(scan, "ct", COMPRESSED_BYTES)
    if start is not None:
        header = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start, HEADER_BYTES)
        if foreign_content(header):
            yield "the NIfTI header has text or extensions"
