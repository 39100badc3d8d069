"""Cutting the spine out once, and measuring muscle, bone, texture and vertebral heights on the cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias

from paraspinal_assets.defs.measurement.summaries import highest_grade, mean_bone, whole_muscle
from paraspinal_assets.defs.results import ScanResult, shown
from paraspinal_assets.defs.scan_asset import one_by_one, scan_asset
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.study.exam_settings import Calibration
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.store import frame_digest, json_digest

if TYPE_CHECKING:
    import pandas as pd

    from paraspinal_assets.imaging.volume import Volume

Measure: TypeAlias = "Callable[[Volume, Volume, Scan, Workspace], pd.DataFrame]"


def cut_levels(scan: Scan, workspace: Workspace) -> ScanResult:
    """The part of the CT around muscle and spine, and the slices of each level in it.

    The measurements read this cut and not the CT again: the muscle and the vertebrae are a small part of it.
    """
    from paraspinal_assets.imaging.levels import level_slabs, slabs_table
    from paraspinal_assets.imaging.volume_io import content_digest, read_region, write_volume

    store, study = workspace.store, workspace.study
    segmentation = store.read_record(scan, "segmentation")
    reason = segmentation["reason"]
    if reason is not None:
        for artifact in ("spine_ct", "spine_labels"):
            store.remove_artifact(scan, artifact)
        record: dict[str, Any] = {"reason": reason, "slabs": []}
        store.write_record(scan, "levels", record)
        return ScanResult(json_digest(record), {"levels": 0}, reason)
    ct, labels = read_region(store.fetch(scan, "ct"), store.fetch(scan, "labels"))
    slabs = slabs_table(level_slabs(labels, study.levels, rule=study.measurement.slab))
    store.write_artifact(scan, "spine_ct", lambda path: write_volume(path, ct))
    store.write_artifact(scan, "spine_labels", lambda path: write_volume(path, labels))
    record = {
        "reason": None,
        "offset": list(ct.offset),
        "image_shape": list(ct.image_shape),
        "slabs": slabs.to_dict("records"),
    }
    store.write_record(scan, "levels", record)
    version = json_digest([content_digest(ct), content_digest(labels), record])
    return ScanResult(version, {"levels": len(slabs), "cut by the image": int(slabs["touches_border"].sum())})


def measured(
    artifact: str, measure: Measure, summary: Callable[[pd.DataFrame], Mapping[str, Any]] = lambda frame: {}
) -> Callable[[Scan, Workspace], ScanResult]:
    """A scan function that reads the cut, measures, and writes one table; the summary is shown in the UI."""

    @wraps(measure)
    def function(scan: Scan, workspace: Workspace) -> ScanResult:
        store = workspace.store
        record = store.read_record(scan, "levels")
        ct, labels = _cut(scan, record, workspace)
        frame = measure(ct, labels, scan, workspace)
        if record["reason"] is not None:
            frame["reason"] = frame["reason"].where(frame["reason"].isna(), record["reason"])
        store.write_scan_frame(scan, artifact, frame)
        missing = int(frame["reason"].notna().sum())
        about = {**summary(frame), "rows": len(frame), "rows without a value": missing}
        return ScanResult(frame_digest(frame), shown(about), record["reason"])

    return function


def _cut(scan: Scan, record: dict[str, Any], workspace: Workspace) -> tuple[Volume, Volume]:
    """The cut as it was written; an empty one where nothing can be measured."""
    from paraspinal_assets.imaging.volume import Volume
    from paraspinal_assets.imaging.volume_io import read_volume

    if record["reason"] is not None:
        return Volume.empty("int16"), Volume.empty("uint8")
    store = workspace.store
    x, y, z = record["offset"]
    width, depth, height = record["image_shape"]
    ct, labels = read_volume(store.fetch(scan, "spine_ct")), read_volume(store.fetch(scan, "spine_labels"))
    return ct.placed((x, y, z), (width, depth, height)), labels.placed((x, y, z), (width, depth, height))


def _muscle(ct: Volume, labels: Volume, scan: Scan, workspace: Workspace) -> pd.DataFrame:
    from paraspinal_assets.imaging.muscle import HuWindows, measure_muscle

    settings = workspace.study.measurement
    windows = HuWindows(settings.fat, settings.low_attenuation, settings.normal)
    return measure_muscle(ct, labels, workspace.study.levels, windows, slab=settings.slab)


def _bone(ct: Volume, labels: Volume, scan: Scan, workspace: Workspace) -> pd.DataFrame:
    from paraspinal_assets.imaging.bone import apply_calibration, measure_bone

    bone = measure_bone(ct, labels, workspace.study.levels, window=workspace.study.measurement.trabecular)
    calibration = _calibration(scan, workspace)
    if calibration is not None:
        return apply_calibration(bone, calibration.slope, calibration.intercept)
    measured = bone["trabecular_mean_hu"].notna()
    return bone.assign(reason=bone["reason"].mask(measured & bone["reason"].isna(), "no_calibration"))


def _calibration(scan: Scan, workspace: Workspace) -> Calibration | None:
    """The first calibration that fits exam, date and scanner."""
    sidecar = workspace.store.read_record(scan, "ct_sidecar")
    for entry in workspace.calibrations(scan):
        if entry.manufacturer in (None, sidecar.get("manufacturer")) and entry.model in (
            None,
            sidecar.get("model"),
        ):
            return entry
    return None


def _radiomics(ct: Volume, labels: Volume, scan: Scan, workspace: Workspace) -> pd.DataFrame:
    from paraspinal_assets.imaging.radiomics import measure_radiomics

    settings = workspace.study.measurement
    return measure_radiomics(
        ct,
        labels,
        workspace.study.levels if settings.radiomics else (),
        bin_width=settings.radiomics_bin_width,
        slab=settings.slab,
    )


def _deformity(ct: Volume, labels: Volume, scan: Scan, workspace: Workspace) -> pd.DataFrame:
    from paraspinal_assets.imaging.deformity import measure_deformity

    return measure_deformity(labels, workspace.study.levels)


assets = [
    scan_asset(
        name="paraspinal_levels",
        batch_function=one_by_one(cut_levels),
        description="Left and right muscle combined and cut into the slabs of the levels; the T1-T10 union.",
        group="measurement",
        inputs=["ct_nifti", "segmentation"],
        code_version="1",
        batch=50,
        kinds={"nifti", "python"},
        settings=lambda study: {"levels": study.levels, "slab": study.measurement.slab},
    ),
    scan_asset(
        name="scan_muscle",
        batch_function=one_by_one(measured("muscle", _muscle, whole_muscle)),
        description="Volume, attenuation, tissue fractions and cross-section of the muscle, per level and side.",
        group="measurement",
        inputs=["paraspinal_levels"],
        code_version="2",
        batch=60,
        kinds={"python", "parquet"},
        table=schemas()["muscle_metrics"],
        settings=lambda study: {
            "levels": study.levels,
            "slab": study.measurement.slab,
            "HU windows": [
                study.measurement.fat,
                study.measurement.low_attenuation,
                study.measurement.normal,
            ],
        },
    ),
    scan_asset(
        name="scan_bone",
        batch_function=one_by_one(measured("bone", _bone, mean_bone)),
        description="Trabecular attenuation of each vertebral body and its calibrated mineral density.",
        group="measurement",
        inputs=["ct_nifti", "paraspinal_levels"],
        code_version="1",
        batch=70,
        kinds={"python", "parquet"},
        table=schemas()["bone_metrics"],
        settings=lambda study: {"levels": study.levels, "trabecular window": study.measurement.trabecular},
        scan_settings=lambda workspace, scan: {"calibration": workspace.calibrations(scan)},
    ),
    scan_asset(
        name="scan_radiomics",
        batch_function=one_by_one(measured("radiomics", _radiomics)),
        description="The 91 PyRadiomics features of the muscle, per level.",
        group="measurement",
        inputs=["paraspinal_levels"],
        code_version="3",
        batch=25,
        kinds={"python", "parquet"},
        table=schemas()["radiomics"],
        settings=lambda study: {
            "levels": study.levels,
            "slab": study.measurement.slab,
            "radiomics": [study.measurement.radiomics, study.measurement.radiomics_bin_width],
        },
    ),
    scan_asset(
        name="scan_deformity",
        batch_function=one_by_one(measured("deformity", _deformity, highest_grade)),
        description="Anterior, middle and posterior height of each vertebral body, and its Genant grade.",
        group="measurement",
        inputs=["paraspinal_levels"],
        code_version="4",
        batch=80,
        kinds={"python", "parquet"},
        table=schemas()["deformity"],
        settings=lambda study: {"levels": study.levels},
    ),
]
