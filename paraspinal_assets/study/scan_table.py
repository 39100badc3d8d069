"""One row per scan: what became of it and how it was acquired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from paraspinal_assets.imaging.level_shift import flag_level_shifts, profile_columns
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.scan_records import ScanRecords, StepStanding

STEPS: Final = {
    "ct_nifti": "read_error",
    "segmentation": "segmentation_failed",
    "quality": "measurement_failed",
    "paraspinal_levels": "measurement_failed",
    "scan_muscle": "measurement_failed",
    "scan_bone": "measurement_failed",
}
"""The steps that a scan must pass, and the reason code if one fails."""


def scan_table(
    records: Mapping[Scan, ScanRecords],
    standings: Mapping[Scan, Mapping[str, StepStanding]],
    verdicts: pd.DataFrame,
) -> pd.DataFrame:
    """The table `scans` (columns in ``table_schemas``).

    A scan is `measured` if every step is done and its quality is accepted, `rejected` if its quality is not,
    `not_measurable` if its segmentation or the study file says so, `failed`, or `pending`.

    Parameters
    ----------
    records
        What was read of every scan.
    standings
        How each of `STEPS` stands, for each scan, in the order of the rows.
    verdicts
        The table `quality`, with a row for every scan whose quality was judged.
    """
    # Column by column: row by row, pandas takes each cell of its strings for itself.
    columns = [verdicts[name].to_numpy(dtype=object) for name in ("exam", "participant", *_VERDICT)]
    found = {
        (exam, person): dict(zip(_VERDICT, verdict, strict=True))
        for exam, person, *verdict in zip(*columns, strict=True)
    }
    rows = [
        _row(scan, records[scan], steps, found.get((scan.exam, scan.participant)))
        for scan, steps in standings.items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


_VERDICT: Final = ("accepted", "reasons", "reader_decision")
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
    scan: Scan, records: ScanRecords, steps: Mapping[str, StepStanding], verdict: Mapping[Any, Any] | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"exam": scan.exam, "participant": scan.participant}
    row |= {"scanner_model" if name == "model" else name: value for name, value in records.scanner.items()}
    for step, code in STEPS.items():
        if steps[step].message is not None:
            return row | {
                "status": "failed",
                "reason": steps[step].reason or code,
                "failed_step": step,
                "detail": steps[step].message,
            }
    segmentation = records.segmentation
    if verdict is None or segmentation is None or not all(steps[step].done for step in STEPS):
        return row | {"status": "pending", "reason": "pending"}
    row |= {
        "segmenter": segmentation["segmenter"],
        "reader": verdict["reader_decision"],
        "detail": segmentation["excluded"] or verdict["reasons"],
    }
    if segmentation["reason"] is not None:
        return row | {"status": "not_measurable", "reason": segmentation["reason"]}
    if not verdict["accepted"]:
        return row | {"status": "rejected", "reason": str(verdict["reasons"]).split(", ")[0]}
    return row | {"status": "measured"}


def reject_shifted(verdicts: pd.DataFrame, records: Mapping[Scan, ScanRecords]) -> pd.DataFrame:
    """Verdicts of `quality_table` after comparing scans with each other: names of vertebrae that are off by a level.

    One scan alone cannot show it. A reader who accepted or relabelled the scan has the last word.
    """
    if verdicts.empty:
        return verdicts
    profiles = profile_columns(
        [(found.quality or {}).get("profile", {}) for found in judged(records).values()]
    )
    shifted = flag_level_shifts(verdicts, profiles)["shifted"].to_numpy(dtype=bool)
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
    "stray_mm",
    "lung_apex_level",
    "first_rib_level",
    "wrong_side_fraction",
    "asymmetry",
    "muscle_median_hu",
    "vertebra_p90_hu",
    "bright_vessel_fraction",
    "metal_mm3",
)
"""What the quality rules measured, as columns of the table `quality`."""


def judged(records: Mapping[Scan, ScanRecords]) -> dict[Scan, ScanRecords]:
    """Scans that were segmented and judged: the rows of `quality_table`."""
    return {scan: found for scan, found in records.items() if found.quality and found.segmentation}


def quality_table(records: Mapping[Scan, ScanRecords]) -> pd.DataFrame:
    """Verdict of each scan that was segmented and judged, with what it rests on (columns in ``table_schemas``)."""
    rows = []
    for scan, found in judged(records).items():
        verdict = found.quality or {}
        reader = verdict["reader"] or {}
        rows.append(
            {
                "exam": scan.exam,
                "participant": scan.participant,
                "accepted": verdict["accepted"],
                "reasons": ", ".join(verdict["reasons"]) or None,
                "reader": reader.get("reader"),
                "reader_decision": reader.get("decision"),
                "reader_reason": reader.get("reason"),
                **{name: verdict["measures"].get(name) for name in QUALITY_MEASURES},
            }
        )
    names = ["exam", "participant", "accepted", "reasons", "reader", "reader_decision", "reader_reason"]
    return pd.DataFrame(rows, columns=[*names, *QUALITY_MEASURES])
