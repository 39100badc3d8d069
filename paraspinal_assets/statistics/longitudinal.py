"""Change per year between two exams: of attenuation, volume and vBMD.

Source for adjusting a change for its baseline: Vickers and Altman, BMJ 2001;323:1123.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.arrays import Vector
from paraspinal_assets.statistics.confidence import TAIL
from paraspinal_assets.statistics.formula import Formula
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.problems import Problem

CHANGE_COLUMNS: Final = (
    "participant", "measure", "baseline", "follow_up", "years", "change", "change_per_year", "reason",
)  # fmt: skip
SUMMARY_COLUMNS: Final = (
    "measure", "n", "years_mean", "baseline_mean", "baseline_sd", "follow_up_mean", "follow_up_sd",
    "change_mean", "change_sd", "change_per_year", "ci_low", "ci_high", "percent_per_year", "t", "p",
    "signed_rank_p",
)  # fmt: skip
MODEL_COLUMNS: Final = (
    "measure", "term", "estimate", "std_error", "t", "p", "ci_low", "ci_high", "aliased", "n", "r2",
)  # fmt: skip
EXACT_BELOW: Final = 50
"""Fewer differences than this get the exact signed-rank test, as in R."""

REASONS: Final = {
    "no_baseline": "the measure is missing at baseline",
    "no_follow_up": "the measure is missing at follow-up",
    "segmentation_differs": "the two scans were segmented by different model versions, or one is unknown",
    "no_interval": "the years between the exams are missing or not positive",
}
"""Reason code -> why a participant has no change."""


def annual_change(
    baseline: pd.DataFrame,
    follow_up: pd.DataFrame,
    measures: Sequence[str],
) -> pd.DataFrame:
    """Change per year of each measure, one row per participant of both exams and measure.

    Parameters
    ----------
    baseline, follow_up
        One row per ``participant`` with the measures and ``segmentation_version``, that of the segmentation
        model: a change of model looks like a change of muscle, so such pairs get no change. *follow_up* also
        has ``years``, the interval since baseline.
    measures
        Columns of both tables.

    Returns
    -------
    DataFrame
        Columns `CHANGE_COLUMNS`; what has no change is null with a code of `REASONS`.

    Raises
    ------
    StatisticsError
        E-STAT-COLUMN for an absent column, E-STAT-DUPLICATE for a repeated participant, E-STAT-PAIRS if no
        participant has both exams, E-STAT-VERSION if every pair has different model versions.
    """
    shared = ["participant", *measures, "segmentation_version"]
    _require(baseline, shared, "baseline")
    _require(follow_up, [*shared, "years"], "follow-up")
    pairs = baseline[shared].merge(
        follow_up[[*shared, "years"]], on="participant", suffixes=("_before", "_after")
    )
    if pairs.empty:
        raise StatisticsError(
            "E-STAT-PAIRS",
            f"No participant has both exams ({len(baseline)} at baseline, {len(follow_up)} at follow-up).",
            "Check that both tables write participants in the same way.",
        )
    before, after = pairs["segmentation_version_before"], pairs["segmentation_version_after"]
    same = (before.notna() & after.notna() & (before == after).fillna(False)).to_numpy(bool)
    if not same.any():
        raise StatisticsError(
            "E-STAT-VERSION",
            f"No pair of scans was segmented by one model version: baseline {_listed(before)}, "
            f"follow-up {_listed(after)}.",
            "Segment both exams with the same model, then compute the change.",
        )
    interval = pairs["years"].to_numpy(dtype=np.float64, na_value=np.nan)
    blocks = []
    for measure in measures:
        first = pairs[f"{measure}_before"].to_numpy(dtype=np.float64, na_value=np.nan)
        second = pairs[f"{measure}_after"].to_numpy(dtype=np.float64, na_value=np.nan)
        reason = np.select(
            [~same, np.isnan(first), np.isnan(second), ~(interval > 0)],
            ["segmentation_differs", "no_baseline", "no_follow_up", "no_interval"],
            default="",
        )
        good = reason == ""
        change = np.where(good, second - first, np.nan)
        per_year = np.divide(change, interval, out=np.full(len(pairs), np.nan), where=good)
        block = {
            "participant": pairs["participant"],
            "measure": measure,
            "baseline": first,
            "follow_up": second,
            "years": interval,
            "change": change,
            "change_per_year": per_year,
            "reason": pd.Series(reason, dtype=object).where(~good, None),
        }
        blocks.append(pd.DataFrame(block, columns=list(CHANGE_COLUMNS)))
    return pd.concat(blocks, ignore_index=True)


def no_change() -> pd.DataFrame:
    """The table of `annual_change` without any pair."""
    return pd.DataFrame(columns=list(CHANGE_COLUMNS))


def change_summary(changes: pd.DataFrame) -> pd.DataFrame:
    """Paired summary per measure, with `SUMMARY_COLUMNS`.

    ``t`` and ``p`` test the mean change per year against 0, ``signed_rank_p`` is Wilcoxon's. Tests are
    empty with fewer than two pairs or a change that does not vary.

    Parameters
    ----------
    changes
        From `annual_change`.
    """
    rows = []
    for measure, block in changes.groupby("measure", sort=False):
        used = block[block["reason"].isna()]
        row: dict[str, object] = {"measure": measure, "n": len(used)}
        if len(used):
            rate = used["change_per_year"].to_numpy(dtype=np.float64)
            mean = float(rate.mean())
            row |= {
                "years_mean": used["years"].mean(),
                "baseline_mean": used["baseline"].mean(),
                "baseline_sd": used["baseline"].std(),
                "follow_up_mean": used["follow_up"].mean(),
                "follow_up_sd": used["follow_up"].std(),
                "change_mean": used["change"].mean(),
                "change_sd": used["change"].std(),
                "change_per_year": mean,
            }
            if used["baseline"].mean() != 0:
                row["percent_per_year"] = 100 * mean / abs(used["baseline"].mean())
            if len(used) > 1 and np.ptp(rate) > 0:
                error = float(rate.std(ddof=1)) / rate.size**0.5
                half = float(stats.t.isf(TAIL, rate.size - 1)) * error
                t = mean / error
                row |= {"ci_low": mean - half, "ci_high": mean + half, "t": t}
                row |= {"p": float(2 * stats.t.sf(abs(t), rate.size - 1))}
                row |= {"signed_rank_p": _signed_rank_p(rate)}
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))
    return table.astype(dict.fromkeys(SUMMARY_COLUMNS[2:], "float64"))


def _signed_rank_p(x: Vector) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test of differences, shape ``(n,)``, not all of them 0.

    Exact below 50 differences without ties or zeros; else normal, zeros left out, the variance corrected for
    ties and the statistic for continuity.

    Source: R ``wilcox.test(x)`` with its defaults.
    """
    size = np.abs(x[x != 0])
    exact = size.size == x.size < EXACT_BELOW and np.unique(size).size == size.size
    method = "exact" if exact else "approx"
    return float(stats.wilcoxon(x, zero_method="wilcox", correction=True, method=method).pvalue)


def change_models(
    changes: pd.DataFrame,
    characteristics: pd.DataFrame,
    covariates: Sequence[str],
) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Change per year of each measure on its own baseline and covariates, with `MODEL_COLUMNS`.

    The term ``baseline`` also carries regression to the mean: it is there to adjust, not to be read.

    Parameters
    ----------
    changes
        From `annual_change`.
    characteristics
        One row per ``participant``, with *covariates*; rows that miss one are left out.
    covariates
        Columns, text as categories; those without any value are left out, with a problem.
    """
    _require(characteristics, ["participant", *covariates], "characteristics")
    clash = sorted(set(covariates) & {"baseline", "change_per_year"})
    if clash:
        raise StatisticsError(
            "E-STAT-COLUMN", f"A covariate is called {clash[0]!r}, a name that the model uses.", "Rename it."
        )
    empty = [name for name in covariates if len(characteristics) and characteristics[name].isna().all()]
    covariates = [name for name in covariates if name not in empty]
    wide = characteristics[["participant", *covariates]]
    formula = Formula("change_per_year", (("baseline",), *((name,) for name in covariates)))
    tables = []
    problems = [
        Problem("longitudinal", name, "E-STAT-COLUMN", f"The table has no value of {name!r}: left out.")
        for name in empty
    ]
    for measure, block in changes.groupby("measure", sort=False):
        used = block.loc[block["reason"].isna(), ["participant", "baseline", "change_per_year"]]
        try:
            fit = linear_model(used.merge(wide, on="participant"), formula)
        except StatisticsError as error:
            problems.append(Problem.from_error("longitudinal", str(measure), error))
            continue
        table = fit.coefficient_table()
        tables.append(table.assign(measure=measure, n=fit.n, r2=fit.fit_statistics()["r2"]))
    if not tables:
        return pd.DataFrame(columns=list(MODEL_COLUMNS)), tuple(problems)
    return pd.concat(tables, ignore_index=True)[list(MODEL_COLUMNS)], tuple(problems)


def _require(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    absent = [column for column in columns if column not in frame]
    if absent:
        raise StatisticsError(
            "E-STAT-COLUMN",
            f"The {name} table has no column {', '.join(map(repr, absent))}.",
            f"It has {', '.join(map(str, frame.columns))}.",
        )
    repeated = frame.loc[frame["participant"].duplicated(), "participant"].unique()
    if len(repeated):
        raise StatisticsError(
            "E-STAT-DUPLICATE",
            f"The {name} table repeats {len(repeated)} participants, such as {repeated[0]!r}.",
            "Keep one row per participant.",
        )


def _listed(versions: pd.Series) -> str:
    found = sorted(versions.dropna().astype(str).unique())
    return ", ".join(found) if found else "unknown"
