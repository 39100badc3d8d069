"""Levels named one vertebra too high or too low: found by comparing scans, since one scan alone looks sound.

The top of the lungs and the first rib, on the scale of the named levels (`quality_landmarks`), move by exactly one
when all names do; a person keeps them from exam to exam. The muscle's area and attenuation and the distances of the
vertebrae go through the spine in a way that people share; under wrong names a scan has the neighbouring level's values
everywhere (`spine_profile`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.imaging.labels import SPINE
from paraspinal_assets.imaging.spine_profile import QUANTITIES, Profile

COLUMNS: Final = ("participant", "exam", "against_other_exam", "against_cohort", "evidence", "shifted")
OTHER_EXAM_LIMIT: Final = 0.5
"""Vertebrae between a participant's exams; breathing and repositioning move the lungs by about 0.1."""
EVIDENCE_LIMIT: Final = 3.0
"""Log likelihood ratio of names off by one against right ones. A ratio above x has, of sound scans, at most a share of
2 * Phi(-sqrt(2 x)), 1.4 % here, however much or little the quantities tell levels apart (both normal, one covariance).
"""
MIN_COHORT: Final = 10
"""Scans that a cohort needs before anyone is compared with it."""
MIN_PROFILES: Final = 300
"""Complete profiles that a cohort needs before they count beside the lungs."""
LEAST_SD: Final = {"lungs": 0.15, "rib": 0.15, "area_mm2": 0.05, "median_hu": 2.0, "spacing_mm": 0.05}
"""What one value is uncertain by, whatever the cohort says: slices are a few millimetres thick, and a small cohort may
be more alike than people are. In vertebrae, in HU, and for `LOGARITHMS` as a share."""
LOGARITHMS: Final = ("area_mm2", "spacing_mm")
"""Quantities of the profile in which people differ by a factor."""
LARGEST: Final = 3.0
"""Robust standard deviations at which a value of the profile is cut off: metal at one level is no other level."""
RIB_LIMIT: Final = float(np.log(1000))
"""Most that the rib alone can say, in log likelihood: what was taken for it may be the shoulder blade, or a rib of C7,
which one person in a few hundred has. Lungs that clearly say otherwise outweigh it."""
SURE: Final = 2 * EVIDENCE_LIMIT
"""Evidence beyond which a scan is taken under other names before the covariance is estimated again."""
ROUNDS: Final = 5
"""After so many estimates of the covariance nobody changes sides any more."""

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Quantities:
    """What scans are compared in: one column for the lungs and for each quantity and level.

    Attributes
    ----------
    values
        Shape ``(scans, columns)``; NaN where unknown.
    expected
        Shape ``(3, columns)``: the cohort's medians under names one too high (-1), right, and one too low (+1).
    least_sd
        Shape ``(columns,)``.
    """

    values: _Array
    expected: _Array
    least_sd: _Array


def flag_level_shifts(scans: pd.DataFrame, profiles: pd.DataFrame | None = None) -> pd.DataFrame:
    """Compare every scan with the participant's other exam and with the cohort.

    Of two exams that disagree both are flagged: the cohort says which is likelier wrong, but not surely
    enough to let the other one pass unseen.

    Parameters
    ----------
    scans
        participant, exam, lung_apex_level, first_rib_level (null where not in view); one row per scan.
    profiles
        Table of `profile_columns`, rows as in `scans`.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, rows as given. ``against_other_exam`` (mean of the others) and
        ``against_cohort`` are differences in vertebrae, null where there is nothing to compare with. At -1
        every vertebra bears the name of the one above it (T2 is called T1), at +1 that of the one below.
        ``evidence`` is the larger of the two log likelihood ratios of names that are off by one against
        right ones, given the cohort: of lungs and profile, and, taken as independent of them, of the first rib.
    """
    rows = scans[["participant", "exam"]].reset_index(drop=True)
    apex = pd.Series(scans["lung_apex_level"].to_numpy(dtype=float, na_value=np.nan))
    known = apex.dropna()
    other = _from_other_exams(rows["participant"], apex)
    rib = pd.Series(scans["first_rib_level"].to_numpy(dtype=float, na_value=np.nan))
    evidence = _both(_of_lungs_and_profile(apex, profiles), _of_rib(rib))
    return rows.assign(
        against_other_exam=other,
        against_cohort=apex - known.median() if len(known) >= MIN_COHORT else np.nan,
        evidence=evidence,
        shifted=(evidence > EVIDENCE_LIMIT) | (other.abs() > OTHER_EXAM_LIMIT).to_numpy(),
    )


def profile_columns(profiles: Sequence[Profile]) -> pd.DataFrame:
    """Profiles of `spine_profile` as a table: a row per scan, columns (quantity, level) from head to foot."""
    tables = {}
    for quantity in QUANTITIES:
        table = pd.DataFrame([profile.get(quantity, {}) for profile in profiles], dtype=float)
        tables[quantity] = table[sorted(table.columns, key=SPINE.index)]
    return pd.concat(tables, axis=1, names=["quantity", "level"])


def _from_other_exams(participant: pd.Series[str], apex: pd.Series[float]) -> pd.Series[float]:
    """Difference of each scan from the mean of the participant's other scans."""
    groups = apex.groupby(participant)
    others = groups.transform("count") - apex.notna()
    total = groups.transform("sum") - apex.fillna(0.0)
    return apex - (total / others).where(others > 0)


def _both(evidence: _Array, of_rib: _Array) -> _Array:
    """Larger of the two sums, shape ``(scans,)``; NaN where there is neither."""
    largest = (np.nan_to_num(evidence) + np.nan_to_num(of_rib)).max(axis=1)
    return np.where(np.isnan(evidence).all(axis=1) & np.isnan(of_rib).all(axis=1), np.nan, largest)


def _of_rib(rib: pd.Series[float]) -> _Array:
    """As `_of_lungs_and_profile`, within `RIB_LIMIT`."""
    if rib.count() < MIN_COHORT:
        return np.full((len(rib), 2), np.nan)
    quantities = _landmark(rib, LEAST_SD["rib"])
    return np.clip(_ratios(quantities, np.ones((1, 1)), _scale(quantities)), -RIB_LIMIT, RIB_LIMIT)


def _of_lungs_and_profile(apex: pd.Series[float], profiles: pd.DataFrame | None) -> _Array:
    """Log likelihood ratios of names one too high and one too low, shape ``(scans, 2)``.

    NaN where a scan or the cohort has too little to compare.
    """
    if apex.count() < MIN_COHORT:
        return np.full((len(apex), 2), np.nan)
    lungs = _landmark(apex, LEAST_SD["lungs"])
    if profiles is not None and not profiles.empty:
        both = _with_profiles(lungs, profiles)
        complete = both.values[~np.isnan(both.values).any(axis=1)]
        if len(complete) >= MIN_PROFILES:
            scale = _scale(both)
            return _ratios(both, _covariance(complete - both.expected[1], both, scale), scale)
    return _ratios(lungs, np.ones((1, 1)), _scale(lungs))


def _scale(quantities: _Quantities) -> _Array:
    """Robust standard deviation of each column (1.4826 times the median deviation), not below the least one."""
    deviations = np.abs(quantities.values - quantities.expected[1])
    return np.asarray(np.maximum(quantities.least_sd, 1.4826 * np.nanmedian(deviations, axis=0)))


def _landmark(level: pd.Series[float], least_sd: float) -> _Quantities:
    median = float(level.median())
    expected = np.array([[median - 1], [median], [median + 1]])
    return _Quantities(np.asarray(level, dtype=np.float64)[:, None], expected, np.array([least_sd]))


def _with_profiles(lungs: _Quantities, profiles: pd.DataFrame) -> _Quantities:
    """The lungs and every quantity at the levels whose neighbours on both sides are known."""
    values, expected, least = [lungs.values[:, 0]], [lungs.expected[:, 0]], [lungs.least_sd[0]]
    for quantity in profiles.columns.unique(0):
        columns = pd.DataFrame(profiles.xs(quantity, axis=1, level=0))
        if quantity in LOGARITHMS:
            columns = columns.where(columns > 0).transform(np.log)
        medians = columns.median().where(columns.count() >= MIN_PROFILES)
        for level in columns.columns:
            place = SPINE.index(level)
            # Under names one too high (-1), the level below is what bears this name.
            around = [
                medians.get(SPINE[i], np.nan) for i in (place + 1, place, place - 1) if 0 <= i < len(SPINE)
            ]
            if len(around) == 3 and np.isfinite(around).all():
                values.append(columns[level].to_numpy(dtype=float))
                expected.append(np.array(around))
                least.append(LEAST_SD[quantity])
    profile = _Quantities(np.column_stack(values), np.column_stack(expected), np.array(least))
    furthest = LARGEST * _scale(profile)
    furthest[0] = np.inf  # of the lungs nothing is cut off
    middle = profile.expected[1]
    return replace(profile, values=np.clip(profile.values, middle - furthest, middle + furthest))


def _covariance(deviations: _Array, quantities: _Quantities, scale: _Array) -> _Array:
    """Of standardised deviations, shrunken (Ledoit and Wolf, J Multivar Anal 2004;88:365), and the least uncertainty.

    Wrong names are spread just as names can be wrong, and would hide each other. So scans that are surely found
    are taken under the names that fit them, and the covariance is estimated again.
    """
    from sklearn.covariance import ledoit_wolf

    expected = quantities.expected
    under_names = (deviations[:, None, :] + expected[1] - expected[None]) / scale
    own = np.diag((quantities.least_sd / scale) ** 2)
    own[0, 0] = 0.0  # the lungs' is in their scale
    names = _better(under_names[:, :, 0] ** 2, EVIDENCE_LIMIT)  # the lungs alone, to begin with
    for _ in range(ROUNDS):
        best = under_names[np.arange(len(names)), names]
        shrunken, _ = ledoit_wolf(best, assume_centered=True)
        covariance = shrunken + own
        distance = _distances(under_names, np.linalg.inv(covariance))
        names = _better(distance, SURE)
    return np.asarray(covariance)


def _better(distance: _Array, limit: float) -> NDArray[np.intp]:
    """Index of the names that fit each scan: others than its own only if the log likelihood ratio is above a limit."""
    found = (distance[:, 1] - distance.min(axis=1)) / 2 > limit
    return np.where(found, distance.argmin(axis=1), 1)


def _distances(deviations: _Array, precision: _Array) -> _Array:
    """Squared Mahalanobis distances, shape ``(scans, 3)``, of deviations of shape ``(scans, 3, columns)``."""
    return np.asarray(((deviations @ precision) * deviations).sum(axis=2))


def _ratios(quantities: _Quantities, covariance: _Array, scale: _Array) -> _Array:
    """Log likelihood ratios of each scan over the quantities that it has, shape ``(scans, 2)``; NaN if it has none."""
    deviations = (quantities.values[:, None, :] - quantities.expected[None]) / scale
    known = ~np.isnan(quantities.values)
    ratios = np.full((len(known), 2), np.nan)
    keys = np.packbits(known, axis=1)
    for key in np.unique(keys, axis=0):
        rows = (keys == key).all(axis=1)
        pattern = known[rows][0]
        if not pattern.any():
            continue
        precision = np.asarray(np.linalg.inv(covariance[np.ix_(pattern, pattern)]), dtype=np.float64)
        distance = _distances(deviations[rows][:, :, pattern], precision)
        ratios[rows] = (distance[:, [1]] - distance[:, [0, 2]]) / 2
    return ratios
