"""One row per scan: what became of it and how it was acquired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from paraspinal_assets.imaging.level_shift import flag_level_shifts
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore

STEPS: Final = {
    "ct_nifti": "read_error",
    "segmentation": "segmentation_failed",
    "quality": "measurement_failed",
    "paraspinal_levels": "measurement_failed",
    "scan_muscle": "measurement_failed",
    "scan_bone": "measurement_failed",
}
"""The steps that a scan must pass, and the reason code if one fails."""


@dataclass(frozen=True)
class StepStanding:
    """How one step of one scan stands: done, failed with a message, or not there yet."""

    done: bool
    message: str | None = None


def scan_table(
    store: StudyStore,
    scans: Sequence[Scan],
    standings: Mapping[Scan, Mapping[str, StepStanding]],
    verdicts: pd.DataFrame,
) -> pd.DataFrame:
    """The table `scans` (columns in ``table_schemas``).

    A scan is `measured` if every step is done and its quality is accepted, `rejected` if its quality is not,
    `not_measurable` if its segmentation or the study file says so, `failed`, or `pending`.

    Parameters
    ----------
    store
        Where the scans' artifacts lie.
    scans
        The scans, in the order of the rows.
    standings
        How each of `STEPS` stands, for each scan.
    verdicts
        The table `quality`, with a row for every scan whose quality was judged.
    """
    judged = {(row["exam"], row["participant"]): row for row in verdicts.to_dict("records")}
    rows = store.for_each(
        lambda scan: _row(store, scan, standings[scan], judged.get((scan.exam, scan.participant))), scans
    )
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS: Final = [
    "exam",
    "participant",
    "status",
    "reason",
    "detail",
    "failed_step",
    "reader",
    "segmenter",
    "manufacturer",
    "scanner_model",
    "kernel",
    "kvp",
    "slice_thickness_mm",
    "contrast_agent",
]


def _row(
    store: StudyStore, scan: Scan, steps: Mapping[str, StepStanding], verdict: Mapping[Any, Any] | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"exam": scan.exam, "participant": scan.participant}
    if steps["ct_nifti"].done:
        sidecar = store.read_record(scan, "ct_sidecar")
        row |= {name: sidecar.get(name) for name in ("manufacturer", "kernel", "kvp", "slice_thickness_mm")}
        row |= {"scanner_model": sidecar.get("model"), "contrast_agent": sidecar.get("contrast_agent")}
    for step, code in STEPS.items():
        if steps[step].message is not None:
            return row | {
                "status": "failed",
                "reason": code,
                "failed_step": step,
                "detail": steps[step].message,
            }
    if verdict is None or not all(steps[step].done for step in STEPS):
        return row | {"status": "pending", "reason": "pending"}
    segmentation = store.read_record(scan, "segmentation")
    row |= {
        "segmenter": segmenter_name(segmentation["model"]),
        "reader": verdict["reader_decision"],
        "detail": verdict["reasons"],
    }
    if segmentation["reason"] is not None:
        return row | {"status": "not_measurable", "reason": segmentation["reason"]}
    if not verdict["accepted"]:
        return row | {"status": "rejected", "reason": str(verdict["reasons"]).split(", ")[0]}
    return row | {"status": "measured"}


def segmenter_name(model: Mapping[str, Any]) -> str | None:
    """What made a segmentation, so that scans with the same name can be compared over time."""
    parts = [model.get(name) for name in ("segmenter", "TotalSegmentator", "task", "weights", "note")]
    return ", ".join(str(part) for part in parts if part) or None


def reject_shifted(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Verdicts after comparing scans with each other: names of vertebrae that are off by a level.

    One scan alone cannot show it. A reader who accepted or relabelled the scan has the last word.
    """
    if verdicts.empty:
        return verdicts
    shifted = flag_level_shifts(verdicts)["shifted"].to_numpy(dtype=bool)
    undecided = verdicts["reader_decision"].isna().to_numpy(dtype=bool)
    reasons = verdicts["reasons"].astype("string")
    found = shifted & undecided & verdicts["accepted"].to_numpy(dtype=bool)
    return verdicts.assign(
        accepted=verdicts["accepted"].astype(bool) & ~found,
        reasons=reasons.mask(found, ("level_shift, " + reasons).fillna("level_shift")),
    )


QUALITY_MEASURES: Final = (
    "levels_found",
    "min_spacing_mm",
    "max_spacing_mm",
    "lung_apex_level",
    "wrong_side_fraction",
    "asymmetry",
    "muscle_median_hu",
    "vertebra_p90_hu",
    "bright_vessel_fraction",
    "metal_mm3",
)
"""What the quality rules measured, as columns of the table `quality`."""


def quality_table(store: StudyStore, scans: Sequence[Scan]) -> pd.DataFrame:
    """Verdict of each scan with what it rests on (columns in ``table_schemas``)."""
    rows = []
    for scan, record in zip(
        scans, store.for_each(lambda scan: store.read_record(scan, "quality"), scans), strict=True
    ):
        reader = record["reader"] or {}
        rows.append(
            {
                "exam": scan.exam,
                "participant": scan.participant,
                "accepted": record["accepted"],
                "reasons": ", ".join(record["reasons"]) or None,
                "reader": reader.get("reader"),
                "reader_decision": reader.get("decision"),
                "reader_reason": reader.get("reason"),
                **{name: record["measures"].get(name) for name in QUALITY_MEASURES},
            }
        )
    names = ["exam", "participant", "accepted", "reasons", "reader", "reader_decision", "reader_reason"]
    return pd.DataFrame(rows, columns=[*names, *QUALITY_MEASURES])
