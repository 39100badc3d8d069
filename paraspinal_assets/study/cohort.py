"""From scans and clinical tables to one row per participant, with everybody who was left out counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.imaging.labels import UNION
from paraspinal_assets.study.schema import schemas
from paraspinal_assets.study.settings import Study

SCANNER_COLUMNS: Final = ("manufacturer", "scanner_model")


@dataclass(frozen=True)
class Cohort:
    """The cohort and how it came about.

    Attributes
    ----------
    participants
        One row per participant: `analysed`, `exclusion`, exposures, outcomes, covariates.
    disposition
        The flow, step by step, as `report.flow` draws it.
    """

    participants: pd.DataFrame
    disposition: pd.DataFrame


def exposures(muscle: pd.DataFrame, exam: str) -> pd.DataFrame:
    """Attenuation (median HU) and volume (mm3) of all levels together, both sides, per participant of an exam."""
    rows = muscle[(muscle["exam"] == exam) & (muscle["level"] == UNION) & (muscle["side"] == "both")]
    return rows.set_index("participant")[["median_hu", "volume_mm3"]].rename(
        columns={"median_hu": "attenuation", "volume_mm3": "volume"}
    )


def mean_vbmd(bone: pd.DataFrame, exam: str) -> pd.Series[Any]:
    """Mean calibrated density over the levels per participant of an exam.

    Null if any level has none, and for whole vertebrae where other scans have bodies: the two differ by some 15 %.
    """
    # In the order of ids: the last digit of pandas' sums depends on which rows come between those of a group.
    of_exam = bone[bone["exam"] == exam].sort_values("participant", kind="stable")
    rows = of_exam.groupby("participant")["vbmd_mg_cm3"]
    mean = rows.mean().where(rows.count() == rows.size())
    return mean.mask(mean.index.isin(without_bodies(bone, exam)))


def without_bodies(bone: pd.DataFrame, exam: str) -> list[str]:
    """Participants of an exam whose bone is of whole vertebrae although other scans of the study have bodies."""
    regions = bone["region"]
    if not (regions == "body").any():
        return []
    return sorted(bone.loc[(bone["exam"] == exam) & (regions == "vertebra"), "participant"].unique())


def measures_at(exam: str, *, scans: pd.DataFrame, muscle: pd.DataFrame, bone: pd.DataFrame) -> pd.DataFrame:
    """Attenuation (HU), volume (mm3) and vbmd (mg/cm3) per participant of an exam; null without an accepted scan."""
    frame = exposures(muscle, exam).assign(vbmd=mean_vbmd(bone, exam))
    accepted = scans.loc[(scans["exam"] == exam) & (scans["status"] == "measured"), "participant"]
    return frame[frame.index.isin(accepted)].reindex(frame.index)


def build_cohort(
    study: Study,
    *,
    scans: pd.DataFrame,
    muscle: pd.DataFrame,
    bone: pd.DataFrame,
    clinical: pd.DataFrame,
    exams: pd.DataFrame,
    outcomes: pd.DataFrame,
) -> Cohort:
    """Join everything by participant and apply the inclusion rules in order.

    A participant is analysed with an accepted baseline scan whose muscle was measured, clinical data, and vBMD at
    follow-up. The first rule that is broken is the participant's exclusion code.
    """
    everybody = sorted({*clinical["participant"], *scans["participant"]})
    table = pd.DataFrame(index=pd.Index(everybody, name="participant"))
    table = table.join(exposures(muscle, study.baseline))
    table["vbmd_baseline"] = mean_vbmd(bone, study.baseline)
    follow_up = study.follow_up
    covariates = clinical.set_index("participant").drop(columns=["fracture"], errors="ignore")
    if study.clinical.vbmd == "measured":
        table["vbmd"] = mean_vbmd(bone, follow_up) if follow_up else pd.NA
    elif "vbmd" in exams.columns:
        # In a table by exam, the clinical data hold the baseline's value; the outcome is the follow-up's.
        table["vbmd"] = exams[exams["exam"] == follow_up].set_index("participant")["vbmd"]
        covariates = covariates.drop(columns=["vbmd"], errors="ignore")
    table["years"] = _years(exams, follow_up)
    table = table.join(outcomes.set_index("participant")["fracture"])
    table = table.join(covariates)
    baseline_scans = scans[scans["exam"] == study.baseline].set_index("participant")
    for column in SCANNER_COLUMNS:
        if column not in table.columns:
            table[column] = baseline_scans[column]
    steps = [
        ("Participants with clinical data or a scan", pd.Series(pd.NA, index=table.index, dtype="string"))
    ]
    unmeasured = _scan_exclusion(table.index, baseline_scans, "no_baseline_scan")
    unmeasured = unmeasured.fillna(_where(table["attenuation"].isna(), "no_attenuation"))
    steps.append(("Baseline scan measured", unmeasured))
    unknown = pd.Series(_absent(table.index, covariates.index), index=table.index)
    steps.append(("Clinical data at baseline", _where(unknown, "no_clinical_data")))
    if follow_up is not None and study.clinical.vbmd == "measured":
        follow_up_scans = scans[scans["exam"] == follow_up].set_index("participant")
        steps.append(
            ("Follow-up scan measured", _scan_exclusion(table.index, follow_up_scans, "no_follow_up_scan"))
        )
    density = _where(table["vbmd"].isna(), "no_vbmd")
    if follow_up is not None and study.clinical.vbmd == "measured":
        other = table.index.isin(without_bodies(bone, follow_up))
        density = density.mask(density.notna() & other, "vbmd_of_vertebra")
    steps.append(("vBMD known at follow-up", density))
    exclusion = pd.Series(pd.NA, index=table.index, dtype="string")
    disposition: list[dict[str, Any]] = []
    whose = table.index.get_indexer(pd.Index(scans["participant"]))
    for number, (label, broken) in enumerate(steps):
        lost = broken[exclusion.isna() & broken.notna()]
        for reason, count in lost.value_counts().sort_index().items():
            disposition.append(_row(number, label, int(count), reason=str(reason)))
        exclusion = exclusion.fillna(broken)
        remaining = exclusion.isna().to_numpy()
        count = int(remaining[whose].sum())
        disposition.append(_row(number, label, int(remaining.sum()), scans=count))
    table.insert(0, "exclusion", exclusion)
    table.insert(0, "analysed", exclusion.isna())
    return Cohort(table.reset_index(), pd.DataFrame(disposition))


def columns_made_from(
    study: Study, people: pd.DataFrame, *, clinical: pd.DataFrame, exams: pd.DataFrame
) -> dict[str, list[str]]:
    """Columns of other tables, as ``table.column``, that each column of a cohort of `build_cohort` is made from."""
    sources = {name: list(known) for name, known in schemas()["cohort"].made_from.items()}
    if study.clinical.vbmd != "measured":
        given = "exams.vbmd" if "vbmd" in exams.columns else "clinical.vbmd"
        measured = sources["vbmd"]
        for name in ("analysed", "exclusion", "vbmd"):
            sources[name] = [given if source in measured else source for source in sources[name]]
    if "years_from_baseline" not in exams.columns:
        del sources["years"]
    for name in people.columns.difference([*sources, "years"]):
        sources[name] = [f"{'clinical' if name in clinical.columns else 'scans'}.{name}"]
    return sources


def _row(
    number: int, label: str, participants: int, *, reason: str | None = None, scans: int | None = None
) -> dict[str, Any]:
    return {"step": number, "label": label, "participants": participants, "scans": scans, "reason": reason}


def _where(condition: pd.Series[Any], code: str) -> pd.Series[Any]:
    return pd.Series(pd.NA, index=condition.index, dtype="string").mask(condition.astype(bool), code)


def _scan_exclusion(people: pd.Index[Any], scans: pd.DataFrame, absent: str) -> pd.Series[Any]:
    """Code of what is wrong with each participant's scan: absent, or not measured for the scan's reason."""
    reasons = scans["reason"].mask(scans["status"] == "measured", pd.NA).astype("string")
    found = reasons.reindex(people)
    return found.mask(_absent(people, scans.index), absent)


def _absent(people: pd.Index[Any], among: pd.Index[Any]) -> NDArray[np.bool_]:
    """Who is not in an index (`isin` takes the strings of pandas one by one)."""
    return np.asarray(among.get_indexer(people) < 0)


def _years(exams: pd.DataFrame, follow_up: str | None) -> pd.Series[Any] | None:
    if follow_up is None or "years_from_baseline" not in exams.columns:
        return None
    return exams[exams["exam"] == follow_up].set_index("participant")["years_from_baseline"]
