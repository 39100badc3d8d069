"""Incoming scans, and the checked NIfTI that everything else is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from paraspinal_assets.defs.provenance import UNKNOWN
from paraspinal_assets.defs.results import ScanOutcome, ScanResult, shown
from paraspinal_assets.defs.scan_asset import external_scan_asset, one_by_one, scan_asset
from paraspinal_assets.defs.table_asset import external_table
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import MachineError, ParaspinalError
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import json_digest

if TYPE_CHECKING:
    from paraspinal_assets.imaging.dicom import HeaderIndex
    from paraspinal_assets.imaging.volume import Volume

raw_scan = external_scan_asset(
    "raw_scan",
    "Incoming CT of one participant at one exam: a DICOM series or a NIfTI file. Its data version is a "
    "fingerprint of its content.",
    "ingest",
    {"dicom"},
)
raw_segmentation = external_scan_asset(
    "raw_segmentation",
    "Segmentation of a scan that exists already, for studies that import them.",
    "ingest",
    {"nifti"},
)
clinical_files = external_table(
    "clinical_files", "Clinical tables as the study delivers them.", "ingest", {"csv"}
)
reader_masks = external_table("reader_masks", "Manual segmentations by readers.", "ingest", {"nifti"})


HEADERS_KEPT: Final = 4000
"""Slices whose headers a batch remembers, about 80 MB: a participant's exams in one folder tree."""
YEARS: Final = "years_since_baseline"


def convert_batch(scans: Sequence[Scan], workspace: Workspace) -> Iterator[ScanOutcome]:
    """Convert scans, those that lie in one folder tree in turn, so that its headers are read once."""
    from paraspinal_assets.imaging.dicom import HeaderIndex

    index = HeaderIndex(limit=HEADERS_KEPT)

    def convert_one(scan: Scan, workspace: Workspace) -> ScanResult:
        return convert(scan, workspace, index)

    yield from one_by_one(convert_one)(
        sorted(scans, key=lambda scan: str(workspace.scan_source(scan))), workspace
    )


def convert(scan: Scan, workspace: Workspace, index: HeaderIndex) -> ScanResult:
    """One incoming scan to NIfTI and sidecar; an excluded scan becomes a record of why.

    The interval since baseline is no part of the data version: nothing is measured with it, and a corrected
    exam date must not segment a scan again.
    """
    from paraspinal_assets.imaging.volume_io import content_digest, write_volume

    store = workspace.store
    excluded = workspace.exclusion(scan)
    if excluded is not None:
        store.remove_artifact(scan, "ct")
        record = {"reason": "excluded_by_study", "detail": excluded}
        store.write_record(scan, "ct_sidecar", record)
        return ScanResult(json_digest(record), record, not_measurable="excluded_by_study")
    try:
        volume, sidecar = _read(scan, workspace, index)
    except (ParaspinalError, OSError) as error:
        if workspace.scan_source(scan).exists():
            raise
        raise MachineError(
            "E-STUDY-15",
            f"{scan.key} was found when the run began and is not there any more",
            "connect its disk, or leave it: a scan that is gone leaves the study when the next run looks",
        ) from error
    store.write_artifact(scan, "ct", lambda path: write_volume(path, volume))
    store.write_record(scan, "ct_sidecar", sidecar)
    settings = {name: value for name, value in sidecar.items() if name != YEARS}
    version = json_digest([content_digest(volume), settings])
    size = " x ".join(map(str, volume.data.shape))
    spacing = " x ".join(f"{edge:.3g}" for edge in volume.spacing)
    settings.pop("spacing_mm", None)
    about = {"voxels": size, "spacing (mm)": spacing, **settings, YEARS: sidecar.get(YEARS)}
    return ScanResult(version, shown(about))


def _read(scan: Scan, workspace: Workspace, index: HeaderIndex) -> tuple[Volume, dict[str, Any]]:
    from paraspinal_assets.imaging.dicom import read_series, series_date
    from paraspinal_assets.imaging.volume_io import read_volume
    from paraspinal_assets.study.clinical import years_between

    years = workspace.years_since_baseline(scan)
    with workspace.scan_source(scan).on_disk() as source:
        if source.is_file():
            volume = read_volume(source)
            return volume, {"spacing_mm": [round(edge, 5) for edge in volume.spacing], YEARS: years}
        rule = workspace.study.exams[scan.exam].series.rule()
        series = read_series(source, series_rule=rule, index=index)
    if years is None and series.acquisition_date is not None and _baseline_headers(scan, workspace):
        start = Scan(workspace.study.baseline, scan.participant)
        rule = workspace.study.exams[start.exam].series.rule()
        with workspace.scan_source(start).on_disk() as source:
            began = series_date(source, series_rule=rule, index=index)
        years = years_between(began, series.acquisition_date)
    return series.volume, {**series.sidecar, YEARS: years}


def _baseline_headers(scan: Scan, workspace: Workspace) -> bool:
    """Whether the participant's baseline exam is there as DICOM, with dates of its own."""
    start = Scan(workspace.study.baseline, scan.participant)
    if start == scan or not workspace.scan_source(start).is_folder():
        return False
    return workspace.has_incoming(start)


def _interval(scan: Scan, workspace: Workspace) -> float | str | None:
    """What the interval since baseline follows from: the study's dates, or else the headers of both exams."""
    years = workspace.years_since_baseline(scan)
    if years is None and workspace.is_away(Scan(workspace.study.baseline, scan.participant)):
        return UNKNOWN
    return "headers" if years is None and _baseline_headers(scan, workspace) else years


ct_nifti = scan_asset(
    name="ct_nifti",
    batch_function=convert_batch,
    description="The CT as NIfTI in Hounsfield units, RAS+, with a sidecar of allow-listed acquisition settings.",
    group="ingest",
    inputs=["raw_scan"],
    code_version="3",
    batch=40,
    kinds={"nifti", "python"},
    scan_settings=lambda workspace, scan: {
        "series": workspace.study.exams[scan.exam].series,
        "exclude": workspace.exclusion(scan),
        "years since baseline": _interval(scan, workspace),
    },
)

assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
    raw_scan,
    raw_segmentation,
    clinical_files,
    reader_masks,
    ct_nifti,
]
