"""Looking at what came in: new scans become partitions, changed content becomes an observation."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import Final

import dagster as dg

from paraspinal_assets.defs.event_index import EventIndex, Record
from paraspinal_assets.defs.provenance import DATA_VERSION_TAG
from paraspinal_assets.defs.scan_asset import SCANS
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.fingerprints import FingerprintCache, StillChangingError
from paraspinal_assets.study.inputs import Input
from paraspinal_assets.study.manifest import Manifest
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import json_digest

ABSENT: Final = "absent"


@dataclass
class Incoming:
    """What is there now and is not yet in the event log.

    Attributes
    ----------
    manifest
        Everything that was found.
    added, gone
        Scan keys to add to, or to remove from, the partitions.
    observations
        One for each input whose content is new.
    held
        Asset and scan key (None for a table's files) -> why the input is left alone for now, in words.
    looked_at
        The last scan that was looked at, where the look ended before the last one.
    problems
        Folders that are no scans, and exams that seem to be away.
    """

    manifest: Manifest
    added: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    observations: list[dg.AssetObservation | dg.AssetMaterialization] = field(default_factory=list)
    held: dict[tuple[str, str | None], str] = field(default_factory=dict)
    looked_at: str | None = None
    problems: tuple[StudyError, ...] = ()


def look(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    index: EventIndex,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    unattended: bool = False,
    after: str | None = None,
    enough: Callable[[Incoming], bool] = lambda incoming: False,
) -> Incoming:
    """Compare the study's inputs with what was observed last.

    Parameters
    ----------
    workspace, instance, index
        The study, and what is known of it.
    progress
        Told how many scans have been looked at, of how many.
    unattended
        Nobody asked for it just now: scans must have been quiet for a while (see `AutomationSettings`).
    after
        Begin behind this scan.
    enough
        Asked after each scan whether to stop there; `Incoming.looked_at` is then that scan.
    """
    quiet_s = workspace.study.automation.quiet(unattended=unattended)
    manifest = workspace.look_for_scans()
    known = set(instance.get_dynamic_partitions(SCANS.name or ""))
    incoming = Incoming(manifest, problems=manifest.problems)
    _find_gone(incoming, known, workspace.study.exams)
    workspace.keep_away({key for _, key in incoming.held if key is not None})
    with FingerprintCache(workspace.store.cache_folder / "fingerprints.sqlite") as cache:
        look = _Look(index, cache, quiet_s, incoming)
        scans = list(dict.fromkeys([*manifest.scans, *manifest.segmentations]))
        for done, scan in enumerate(_behind(scans, after), 1):
            for asset, found in (("raw_scan", manifest.scans), ("raw_segmentation", manifest.segmentations)):
                if scan in found:
                    look.at(asset, scan.key, {scan.key: found[scan]})
            if workspace.study.exams[scan.exam].segmentations and scan not in manifest.segmentations:
                look.without_segmentation(scan)
            if scan in manifest.scans and scan.key not in known and not look.holds(scan.key):
                incoming.added.append(scan.key)
            progress(done, len(scans))
            if enough(incoming):
                incoming.looked_at = scan.key
                return incoming
        look.at("clinical_files", None, workspace.clinical_inputs())
        masks = workspace.study.readers.masks
        look.at("reader_masks", None, {"masks": workspace.store.inputs.at(masks)} if masks else {})
    return incoming


def _behind(scans: Sequence[Scan], after: str | None) -> Iterator[Scan]:
    """The scans behind the one named; all of them if there is no such scan any more."""
    if after is None or not any(scan.key == after for scan in scans):
        return iter(scans)
    rest = dropwhile(lambda scan: scan.key != after, scans)
    next(rest)
    return rest


def _find_gone(incoming: Incoming, known: set[str], exams: Container[str]) -> None:
    """Scans that are not there any more. An exam that is away as a whole is a disk that is not mounted."""
    present = {scan.key for scan in incoming.manifest.scans}
    strange = {key for key in known if not Scan.is_key(key)}  # anybody can add a partition in the UI
    known = known - strange
    missing = known - present
    for exam in sorted({Scan.from_key(key).exam for key in missing}):
        of_exam = {key for key in known if Scan.from_key(key).exam == exam}
        unlisted = exam in incoming.manifest.unlisted
        if exam not in exams or not (unlisted or (len(of_exam) > 1 and not of_exam & present)):
            continue
        missing -= of_exam
        incoming.held.update(
            {("raw_scan", key): f"the folder of {exam} is away" for key in of_exam - present}
        )
        if not unlisted:
            incoming.problems += (
                StudyError(
                    "E-STUDY-14",
                    f"{exam}: none of its {len(of_exam)} scans is there any more; they are kept as they were",
                    f"connect the disk with its scans; if they are gone for good, take {exam} out of the study",
                ),
            )
    incoming.gone = sorted(missing | strange)


class _Look:
    """One look: compares inputs with their records and notes what is new in an `Incoming`."""

    def __init__(
        self, index: EventIndex, cache: FingerprintCache, quiet_s: float, incoming: Incoming
    ) -> None:
        self._index = index
        self._cache = cache
        self._quiet_s = quiet_s
        self._incoming = incoming
        self._seen: dict[str, Mapping[str | None, Record]] = {}

    def holds(self, key: str) -> bool:
        """Whether one of a scan's inputs is left alone for now."""
        return any((asset, key) in self._incoming.held for asset in ("raw_scan", "raw_segmentation"))

    def at(self, asset: str, key: str | None, inputs: Mapping[str, Input]) -> None:
        """Compare an input, which may be several files or folders, with its record."""
        try:
            read = self._fingerprint if key is not None else self._table_fingerprint
            versions = {name: read(source) for name, source in inputs.items()}
        except StillChangingError as changing:
            self._incoming.held[asset, key] = str(changing)
            return
        if key is not None:
            (version,) = versions.values()
        elif asset == "clinical_files":
            version = json_digest(versions)
        else:
            version = next(iter(versions.values()), ABSENT)
        record = self._records(asset).get(key)
        if record is None or record.data_version != version:
            self._incoming.observations.append(_observation(asset, key, version))

    def without_segmentation(self, scan: Scan) -> None:
        """Note that a segmentation that was there is gone, unless all of its exam are: then a disk is away."""
        known = self._records("raw_segmentation")
        record = known.get(scan.key)
        if record is None or record.data_version == ABSENT:
            return
        manifest = self._incoming.manifest
        others = any(key != scan.key and str(key).startswith(f"{scan.exam}-") for key in known)
        there = any(found.exam == scan.exam for found in manifest.segmentations)
        if scan.exam in manifest.unlisted or (others and not there):
            words = f"the segmentations of {scan.exam} are away"
            self._incoming.held["raw_segmentation", scan.key] = words
        else:
            self._incoming.observations.append(_observation("raw_segmentation", scan.key, ABSENT))

    def _records(self, asset: str) -> Mapping[str | None, Record]:
        if asset not in self._seen:
            self._seen[asset] = self._index.records(asset)
        return self._seen[asset]

    def _fingerprint(self, source: Input) -> str:
        return self._cache.fingerprint(source, self._quiet_s)

    def _table_fingerprint(self, source: Input) -> str:
        return self._fingerprint(source) if is_there(source) else ABSENT


def is_there(source: Input) -> bool:
    """Whether there is a file, or a folder that is not empty."""
    return source.exists() and not (source.is_folder() and source.is_empty())


def clinical_version(workspace: Workspace) -> str:
    """Version of the clinical files as they are now, as a look gives it."""
    files = workspace.clinical_inputs().items()
    return json_digest({name: source.fingerprint() if is_there(source) else ABSENT for name, source in files})


def _observation(asset: str, key: str | None, version: str) -> dg.AssetObservation | dg.AssetMaterialization:
    tags = {DATA_VERSION_TAG: version, "dagster/data_version_is_user_provided": "true"}
    if key is None:
        # An observed input without partitions has no version for Dagster: its UI would call the table made from
        # it out of date for ever.
        return dg.AssetMaterialization(asset, tags=tags)
    scan = Scan.from_key(key)
    metadata = {"exam": scan.exam, "participant": scan.participant}
    return dg.AssetObservation(asset, partition=key, metadata=metadata, tags=tags)


def take_in(incoming: Incoming, instance: dg.DagsterInstance) -> tuple[StudyError, ...]:
    """Write what was found into the instance; returns the problems of folders that are no scans."""
    if incoming.added:
        instance.add_dynamic_partitions(SCANS.name or "", incoming.added)
    for key in incoming.gone:
        instance.delete_dynamic_partition(SCANS.name or "", key)
    for observation in incoming.observations:
        instance.report_runless_asset_event(observation)
    return incoming.problems
