"""New vertebral fractures by follow-up, from the grades of both exams."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from paraspinal_assets.imaging.deformity import incident_deformity

FEWEST_COMPARED: Final = 0.8
"""Share of a spine's levels that must have a grade at both exams. Below it nothing is known of the participant, also
where one level is newly deformed: to count that one and not its like without a deformity would raise the risk."""


def incident_fractures(
    deformity: pd.DataFrame, scans: pd.DataFrame, baseline: str, follow_up: str
) -> pd.DataFrame:
    """Whether any vertebra is newly deformed, per participant with an accepted scan at both exams.

    Parameters
    ----------
    deformity
        Table of that name: one row per scan and level.
    scans
        Table of that name; only scans with the status ``measured`` count.
    baseline, follow_up
        The two exams.

    Returns
    -------
    DataFrame
        Index ``participant``; ``fracture`` (Int64: 1 if any compared level is newly deformed, 0 if none, null with
        fewer than `FEWEST_COMPARED` of the levels compared) and ``levels_compared`` (Int64).
    """
    accepted = scans.loc[scans["status"] == "measured", ["exam", "participant"]]
    grades = deformity.merge(accepted, on=["exam", "participant"])
    before = dict(list(grades[grades["exam"] == baseline].groupby("participant")))
    found: dict[str, dict[str, Any]] = {}
    for participant, after in grades[grades["exam"] == follow_up].groupby("participant"):
        if participant in before:
            incident = incident_deformity(before[participant], after)["incident"]
            compared = int(incident.notna().sum())
            known = compared >= FEWEST_COMPARED * len(incident)
            found[str(participant)] = {
                "fracture": int(incident.any()) if known else None,
                "levels_compared": compared,
            }
    table = pd.DataFrame.from_dict(found, orient="index", columns=["fracture", "levels_compared"])
    return table.astype("Int64").rename_axis("participant")
