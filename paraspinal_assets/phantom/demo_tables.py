"""Clinical tables and review decisions of the demo study, and the truth about its effects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paraspinal_assets.phantom.clinical import (
    CALIBRATION_INTERCEPT,
    CALIBRATION_SLOPE,
    TARGETS,
    Cohort,
    design,
    low_quartile,
)
from paraspinal_assets.phantom.demo_plan import EXAMS, StudyPlan
from paraspinal_assets.phantom.effects import SMALLEST_WITH_AREAS, adjusted_r2, auc, logistic_score


def write_tables(root: Path, plan: StudyPlan) -> None:
    """Write ``clinical/*.csv`` and ``review.csv``, each in one step."""
    tables = {
        "clinical/participants.csv": _joined(plan, _participants),
        "clinical/exams.csv": _joined(plan, _exams).pipe(_without_follow_up, plan),
        "clinical/covariates.csv": _joined(plan, _covariates),
        "clinical/fractures.csv": _joined(plan, _fractures).pipe(_without_follow_up, plan),
        "review.csv": _reviews(plan),
    }
    for name, table in tables.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        table.to_csv(draft, index=False, lineterminator="\n")
        draft.replace(path)


def cohort_truth(plan: StudyPlan, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Effects aimed at, effects in this cohort from the scans' truth, and what is broken on purpose."""
    return {
        "calibration": {"slope": CALIBRATION_SLOPE, "intercept": CALIBRATION_INTERCEPT},
        "effects": {
            "target": dict(TARGETS),
            "achieved": _achieved(plan.sound, records),
            "about": (
                "achieved: from the truth of the scans and complete covariates of the participants with two "
                "sound scans; missing covariates, segmentation error and noise move the study's own a little"
            ),
        },
        "participants": {"sound": len(plan.sound.participants), "with_a_broken_scan": len(plan.breakages)},
        "broken": [
            {
                "participant": participant,
                "exam": breakage.exam,
                "kind": breakage.kind,
                "stage": breakage.stage,
                "reason": breakage.reason,
                "what": breakage.what,
            }
            for participant, breakage in plan.breakages.items()
        ],
    }


def _achieved(cohort: Cohort, records: list[dict[str, Any]]) -> dict[str, float]:
    by_scan = {(r["exam"], r["participant"]): r for r in records}
    attenuation = np.array([by_scan[EXAMS[0], p]["union"]["median_hu"] for p in cohort.participants])
    vbmd = np.array([by_scan[EXAMS[1], p]["vbmd_mg_cm3"] for p in cohort.participants])
    found: dict[str, float] = {
        "participants": len(attenuation),
        "fractures": int(cohort.fracture.sum()),
    }
    low = low_quartile(attenuation)
    if not low.all():
        found |= {
            "attenuation_low_quartile_hu": float(attenuation[low].mean()),
            "attenuation_other_quartiles_hu": float(attenuation[~low].mean()),
            "vbmd_low_quartile_mg_cm3": float(vbmd[low].mean()),
            "vbmd_other_quartiles_mg_cm3": float(vbmd[~low].mean()),
        }
    X = design(cohort.complete)
    if len(vbmd) > X.shape[1] + 2:
        found |= {
            "adjusted_r2_covariates": adjusted_r2(X, vbmd),
            "adjusted_r2_with_attenuation": adjusted_r2(np.column_stack([X, attenuation]), vbmd),
        }
    if len(vbmd) >= SMALLEST_WITH_AREAS:
        score = logistic_score(cohort.fracture, vbmd, attenuation)
        found |= {
            "auc_vbmd": auc(cohort.fracture, -vbmd),
            "auc_vbmd_attenuation": auc(cohort.fracture, score),
        }
    return {name: round(value, 4) for name, value in found.items()}


def _joined(plan: StudyPlan, table: Callable[[Cohort], pd.DataFrame]) -> pd.DataFrame:
    keys = ["participant"]
    joined = pd.concat([table(cohort) for cohort in plan.cohorts], ignore_index=True)
    if "exam" in joined:
        keys.append("exam")
    return joined.sort_values(keys, ignore_index=True)


def _participants(cohort: Cohort) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "participant": cohort.participants,
            "date_of_birth": [day.date().isoformat() for day in cohort.birth],
        }
    )


def _exams(cohort: Cohort) -> pd.DataFrame:
    rows = []
    for exam, days in zip(EXAMS, (cohort.exam5, cohort.exam6), strict=True):
        rows.append(
            pd.DataFrame(
                {
                    "participant": cohort.participants,
                    "exam": exam,
                    "exam_date": [day.date().isoformat() for day in days],
                    "scanner_manufacturer": cohort.complete["manufacturer"],
                    "scanner_model": cohort.complete["model"],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def _covariates(cohort: Cohort) -> pd.DataFrame:
    return pd.concat([pd.Series(cohort.participants, name="participant"), cohort.covariates], axis=1)


def _fractures(cohort: Cohort) -> pd.DataFrame:
    return pd.DataFrame({"participant": cohort.participants, "exam": EXAMS[1], "fracture": cohort.fracture})


def _without_follow_up(table: pd.DataFrame, plan: StudyPlan) -> pd.DataFrame:
    """Leave out the Exam 6 rows of those who did not come."""
    absent = [p for p, breakage in plan.breakages.items() if breakage.kind == "no_follow_up"]
    return table[~(table["participant"].isin(absent) & (table["exam"] == EXAMS[1]))]


def _reviews(plan: StudyPlan) -> pd.DataFrame:
    rows = [(plan.sound.participants[0], EXAMS[0], "accept", "reader-1", "checked: all levels right")]
    for participant, breakage in plan.breakages.items():
        if breakage.kind == "shifted_levels":
            rows.append((participant, breakage.exam, "relabel+1", "reader-1", "T1 is named C7, and so on"))
        if breakage.kind == "reader_rejected":
            rows.append((participant, breakage.exam, "reject", "reader-2", "breathing artefacts"))
    table = pd.DataFrame(rows, columns=["participant", "exam", "decision", "reader", "reason"])
    return table.sort_values(["participant", "exam"], ignore_index=True)
