"""Finding muscle and vertebrae, and judging whether they can be believed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import dagster as dg

from paraspinal_assets.defs.results import ScanOutcome, ScanResult, shown
from paraspinal_assets.defs.scan_asset import one_by_one, scan_asset
from paraspinal_assets.defs.segmentation.segmenter import (
    make_segmenter,
    names_are_off_by,
    segmenter_version,
    uses_network,
)
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import MachineError
from paraspinal_assets.imaging.labels import label_table, shift_levels
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.segmenters.base import ScanInput, Segmentation
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore, json_digest

if TYPE_CHECKING:
    from paraspinal_assets.imaging.volume import Volume


def segment(scans: Sequence[Scan], workspace: Workspace) -> Iterator[ScanOutcome]:
    """Segment a batch, the networks loaded once for all scans that need them."""
    store = workspace.store
    wanted: dict[tuple[bool, int], list[Scan]] = {}
    for scan in scans:
        try:
            reason = store.read_record(scan, "ct_sidecar").get("reason")
            unusable = None if reason is None else _not_measurable(scan, str(reason), workspace)
        except Exception as error:  # noqa: BLE001 - as for any asset of a scan, the others go on
            yield ScanOutcome(scan, error=error)
            continue
        if unusable is not None:
            yield ScanOutcome(scan, result=unusable)
        else:
            kind = (uses_network(workspace.study, scan), names_are_off_by(workspace, scan))
            wanted.setdefault(kind, []).append(scan)
    for (network, off_by), chosen in wanted.items():
        by_key = {scan.key: scan for scan in chosen}
        fetched = _Fetched(chosen, workspace, masks=not network)
        try:
            for item in make_segmenter(workspace, network=network, off_by=off_by).segment(fetched):
                scan = by_key.pop(item.key)
                if isinstance(item, Segmentation):
                    try:
                        _check_weights(scan, item, workspace)
                        yield ScanOutcome(scan, result=_store(scan, item, off_by, workspace))
                    except Exception as error:  # noqa: BLE001 - the others of the batch go on
                        yield ScanOutcome(scan, error=error)
                else:
                    yield ScanOutcome(scan, error=item.error)
        except Exception as error:  # noqa: BLE001 - none of the batch may be left without an outcome
            # The segmenter itself cannot work (weights, device): the same error for each scan that is left.
            for scan in by_key.values():
                yield ScanOutcome(scan, error=fetched.errors.pop(scan, error))
        for scan, problem in fetched.errors.items():
            yield ScanOutcome(scan, error=problem)


class _Fetched:
    """CT and existing segmentation of each scan; what is in a bucket is fetched when its turn comes.

    Attributes
    ----------
    errors
        Scans of which something could not be fetched; they are left out.
    """

    def __init__(self, scans: Sequence[Scan], workspace: Workspace, *, masks: bool) -> None:
        self.errors: dict[Scan, Exception] = {}
        self._scans = scans
        self._workspace = workspace
        self._masks = masks

    def __iter__(self) -> Iterator[ScanInput]:
        with ExitStack() as kept:
            for scan in self._scans:
                try:
                    ct = self._workspace.store.fetch(scan, "ct")
                    source = self._workspace.segmentation_source(scan) if self._masks else None
                    if self._masks and source is None and self._workspace.segmentations_are_away(scan.exam):
                        raise MachineError(
                            "E-STUDY-15",
                            f"{scan.exam}: no segmentation of any scan is there",
                            "connect their disk, and run again",
                        )
                    masks = None if source is None else kept.enter_context(source.on_disk())
                except Exception as error:  # noqa: BLE001 - the others of the batch go on
                    self.errors[scan] = error
                else:
                    yield ScanInput(scan.key, ct, masks)


def _check_weights(scan: Scan, item: Segmentation, workspace: Workspace) -> None:
    """Refuse what other weights made than those from which this run decided what is stale."""
    recorded, used = segmenter_version(workspace, scan).get("weights"), item.model.get("weights")
    if used != recorded:
        raise MachineError(
            "E-SEG-06",
            f"{scan.key}: weights {used} made this segmentation, weights {recorded} were there when the run began",
            "let nobody replace weights during a run, and run again",
        )


def _store(scan: Scan, item: Segmentation, off_by: int, workspace: Workspace) -> ScanResult:
    from paraspinal_assets.imaging.volume_io import content_digest, write_volume

    store = workspace.store
    labels = shift_levels(item.labels, off_by)
    store.write_artifact(scan, "labels", lambda path: write_volume(path, labels))
    record: dict[str, Any] = {
        "labels": label_table(workspace.study.levels),
        "model": item.model,
        "names moved by": off_by,
        "findings": list(item.findings),
        "reason": item.reason,
    }
    store.write_record(scan, "segmentation", record)
    about: dict[str, Any] = {"findings": ", ".join(item.findings) or "none", **item.model, **item.performance}
    if item.reason is not None:
        about["why not"] = REASONS[item.reason]
    version = json_digest([content_digest(labels), record])
    return ScanResult(version, shown(about), item.reason)


def _not_measurable(scan: Scan, reason: str, workspace: Workspace) -> ScanResult:
    store = workspace.store
    store.remove_artifact(scan, "labels")
    record = {"reason": reason, "model": {}, "findings": [], "labels": {}}
    store.write_record(scan, "segmentation", record)
    return ScanResult(json_digest(record), {"why not": REASONS[reason]}, reason)


def judge(scan: Scan, workspace: Workspace) -> ScanResult:
    """Automatic verdict and QC picture of one scan; a reader's decision overrides the verdict."""
    from paraspinal_assets.imaging.quality import assess

    store, study = workspace.store, workspace.study
    record = store.read_record(scan, "segmentation")
    accepted, reasons, measures, profile = False, [str(record["reason"])], {}, {}
    seen = _around_labels(scan, store) if store.has(scan, "labels") else None
    if seen is not None and record["reason"] is None:
        verdict = assess(*seen, study.levels)
        accepted, reasons, measures = verdict.accepted, list(verdict.reasons), dict(verdict.measures)
        profile = verdict.profile
    review = workspace.reviews.get(scan)
    if review is not None and record["reason"] is None:
        if review.decision == "reject":
            accepted, reasons = False, ["reader_rejected", *reasons]
        elif review.decision == "accept":
            accepted = True
    content = {
        "accepted": accepted,
        "reasons": reasons,
        "measures": measures,
        "profile": profile,
        "reader": None
        if review is None
        else {"decision": review.decision, "reader": review.reader, "reason": review.reason},
    }
    store.write_record(scan, "quality", content)
    metadata: dict[str, Any] = {
        "verdict": "accepted" if accepted else "rejected",
        "reasons": "; ".join(REASONS[reason] for reason in reasons) or "none",
    }
    picture = b""
    if seen is None:
        store.remove_artifact(scan, "qc")
    else:
        picture = _picture(scan, *seen, content, record["model"], workspace)
        store.write_artifact(scan, "qc", lambda path: path.write_bytes(picture))
        metadata["picture"] = dg.MetadataValue.md(_inline(picture))
        metadata["full picture"] = dg.MetadataValue.path(store.address(scan, "qc"))
    version = json_digest([content, hashlib.sha256(picture).hexdigest()])
    return ScanResult(version, metadata, None if accepted else (reasons or ["reader_rejected"])[0])


def _around_labels(scan: Scan, store: StudyStore) -> tuple[Volume, Volume]:
    """CT and labels as far as rules and picture look; the whole scan where nothing is labelled."""
    from paraspinal_assets.imaging.volume_io import read_region, read_volume
    from paraspinal_assets.report.qc_planes import REACH_MM

    ct, labels = read_region(store.fetch(scan, "ct"), store.fetch(scan, "labels"), margin_mm=REACH_MM)
    if labels.data.any():
        return ct, labels
    return read_volume(store.fetch(scan, "ct")), read_volume(store.fetch(scan, "labels"))


def _picture(
    scan: Scan,
    ct: Volume,
    labels: Volume,
    content: Mapping[str, Any],
    model: Mapping[str, Any],
    workspace: Workspace,
) -> bytes:
    from paraspinal_assets.imaging.muscle import measure_muscle
    from paraspinal_assets.report.qc_picture import qc_picture

    study = workspace.study
    notes = ["accepted" if content["accepted"] else "rejected"]
    notes += [f"{reason}: {REASONS[reason]}" for reason in content["reasons"]]
    if content["reader"]:
        notes.append(f"reader: {content['reader']['decision']}")
    # What a shift of all names is found by, when the study's scans are compared.
    landmarks = {"lungs end": "lung_apex_level", "first rib": "first_rib_level"}
    seen = {words: content["measures"].get(name) for words, name in landmarks.items()}
    known = [f"{words} at {level:.1f}" for words, level in seen.items() if level is not None]
    if known:
        notes.append(f"{', '.join(known)} (1 is T1)")
    if model.get("note"):
        notes.append(str(model["note"]))
    muscle = measure_muscle(ct, labels, study.levels, slab=study.measurement.slab)
    return qc_picture(ct, labels, study.levels, title=scan.key, notes=notes, muscle=muscle)


def _inline(picture: bytes) -> str:
    from paraspinal_assets.report.qc_picture import thumbnail

    small = base64.b64encode(thumbnail(picture)).decode()
    return f"![quality picture](data:image/jpeg;base64,{small})"


def _decision(workspace: Workspace, scan: Scan) -> list[str] | None:
    review = workspace.reviews.get(scan)
    return None if review is None else [review.decision, review.reader, review.reason]


assets = [
    scan_asset(
        name="segmentation",
        batch_function=segment,
        description="Autochthonous muscle left and right, and each vertebra as body and rest, in one label volume.",
        group="segmentation",
        inputs=["ct_nifti", "raw_segmentation"],
        optional=["raw_segmentation"],
        code_version="1",
        batch=20,
        kinds={"pytorch", "nifti"},
        pool="gpu",
        settings=lambda study: {"levels": study.levels},
        scan_settings=lambda workspace, scan: {
            "segmenter": segmenter_version(workspace, scan),
            "relabelling": names_are_off_by(workspace, scan),
        },
        failure_settings=lambda study: {
            "device": study.segmentation.device,
            "time_limit_s": study.segmentation.time_limit_s,
            "synthetic": study.synthetic,
        },
    ),
    scan_asset(
        name="quality",
        batch_function=one_by_one(judge),
        description="Automatic verdict with reasons and a picture to check it by; readers' decisions override it.",
        group="segmentation",
        inputs=["ct_nifti", "segmentation"],
        code_version="5",
        batch=30,
        kinds={"python", "png"},
        settings=lambda study: {"levels": study.levels, "slab": study.measurement.slab},
        scan_settings=lambda workspace, scan: {"review": _decision(workspace, scan)},
    ),
]
