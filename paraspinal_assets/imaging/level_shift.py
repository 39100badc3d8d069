"""Levels named one vertebra too high or too low: found by comparing scans, since one scan alone looks sound.

The top of the lungs, on the scale of the named levels (`lung_apex_level` of the quality verdict), moves by
exactly one when all names do. A person keeps it from exam to exam, and people differ little in it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

COLUMNS: Final = ("participant", "exam", "against_other_exam", "against_cohort", "shifted")
OTHER_EXAM_LIMIT: Final = 0.5
"""Vertebrae between a participant's exams; breathing and repositioning move the lungs by about 0.1."""
COHORT_LIMIT: Final = (0.6, 3.5)
"""Vertebrae, and robust standard deviations, from the cohort's median; both have to be exceeded."""
MIN_COHORT: Final = 10
"""Scans that a cohort needs before anyone is compared with it."""


def flag_level_shifts(scans: pd.DataFrame) -> pd.DataFrame:
    """Compare every scan with the participant's other exam and with the cohort.

    Of two exams that disagree both are flagged: the cohort says which is likelier wrong, but not surely
    enough to let the other one pass unseen.

    Parameters
    ----------
    scans
        participant, exam, lung_apex_level (null where no lung was in view); one row per scan.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, rows as given. ``against_other_exam`` (mean of the others) and
        ``against_cohort`` are differences in vertebrae, null where there is nothing to compare with. At -1
        every vertebra bears the name of the one above it (T2 is called T1), at +1 that of the one below.
    """
    rows = scans[["participant", "exam"]].reset_index(drop=True)
    apex = pd.Series(scans["lung_apex_level"].to_numpy(dtype=float, na_value=np.nan))
    deviation, spread = _from_cohort(apex)
    other = _from_other_exams(rows["participant"], apex)
    floor, factor = COHORT_LIMIT
    outlying = deviation.abs() > max(floor, factor * spread)
    return rows.assign(
        against_other_exam=other,
        against_cohort=deviation,
        shifted=outlying | (other.abs() > OTHER_EXAM_LIMIT),
    )


def _from_cohort(apex: pd.Series[float]) -> tuple[pd.Series[float], float]:
    """Difference from the median, and the robust standard deviation (1.4826 times the median deviation)."""
    known = apex.dropna()
    if len(known) < MIN_COHORT:
        return apex * np.nan, 0.0
    deviation = apex - known.median()
    return deviation, float(1.4826 * deviation.abs().median())


def _from_other_exams(participant: pd.Series[str], apex: pd.Series[float]) -> pd.Series[float]:
    """Difference of each scan from the mean of the participant's other scans."""
    groups = apex.groupby(participant)
    others = groups.transform("count") - apex.notna()
    total = groups.transform("sum") - apex.fillna(0.0)
    return apex - (total / others).where(others > 0)
