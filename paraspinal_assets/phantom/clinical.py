"""Participants, covariates and outcomes of the synthetic cohort, with effects of known size.

The effects are built, not only drawn: the residual of bone density is made orthogonal to the covariates and
to attenuation, and its size is solved for, so that a cohort of `SMALLEST_TUNED` or more shows exactly the
adjusted R2 and the quartile means of `TARGETS` on complete data. Fractures are the draw whose AUCs come
closest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraspinal_assets.phantom.effects import closest_fractures

Array = NDArray[np.float64]

TARGETS: Final[dict[str, float]] = {
    "attenuation_low_quartile_hu": 4.0,
    "attenuation_other_quartiles_hu": 27.0,
    "vbmd_low_quartile_mg_cm3": 176.0,
    "vbmd_other_quartiles_mg_cm3": 205.0,
    "adjusted_r2_covariates": 0.20,
    "adjusted_r2_with_attenuation": 0.27,
    "auc_vbmd": 0.77,
    "auc_vbmd_attenuation": 0.82,
}
"""Effects that the cohort is built to show: attenuation at baseline; density and fractures at follow-up."""

CALIBRATION_SLOPE: Final = 0.75
CALIBRATION_INTERCEPT: Final = 5.0
"""vBMD in mg/cm3 = slope x trabecular HU + intercept, for every synthetic scan."""

SMALLEST_TUNED: Final = 80
FRACTURE_SHARE: Final = 0.12

_SITES: Final = ("Baltimore", "Chicago", "Forsyth", "Los Angeles", "New York", "St. Paul")
_SCANNERS: Final = (
    ("Siemens", "Sensation 64"),
    ("Siemens", "Definition AS"),
    ("GE", "LightSpeed VCT"),
    ("GE", "Discovery STE"),
    ("Toshiba", "Aquilion"),
)
_MISSING: Final[dict[str, float]] = {
    "bmi": 0.02,
    "hypertension": 0.02,
    "diabetes": 0.03,
    "liver_disease": 0.03,
    "kidney_disease": 0.03,
    "creatinine": 0.04,
    "cancer": 0.02,
    "steroids": 0.02,
    "bisphosphonates": 0.02,
    "warfarin": 0.02,
    "thyroid": 0.02,
    "alcohol": 0.02,
    "alcohol_amount": 0.05,
    "tobacco": 0.02,
    "pack_years": 0.05,
    "moderate_activity": 0.04,
    "vigorous_activity": 0.03,
    "agatston": 0.05,
}
"""Share of values that are missing, per covariate."""


@dataclass(frozen=True)
class Cohort:
    """The synthetic cohort, rows in the order of `participants`.

    Attributes
    ----------
    participants
        Ids.
    complete
        Covariates without missing values, one row per participant.
    covariates
        The same with missing values, as the clinical table has them.
    birth, exam5, exam6
        Dates.
    attenuation5, attenuation6
        Median muscle attenuation in HU at each exam.
    vbmd5, vbmd6
        Bone density in mg/cm3 at each exam.
    muscle_size
        Muscle radius relative to the average.
    fracture
        Vertebral fracture between the exams, 0 or 1.
    """

    participants: tuple[str, ...]
    complete: pd.DataFrame
    covariates: pd.DataFrame
    birth: tuple[pd.Timestamp, ...]
    exam5: tuple[pd.Timestamp, ...]
    exam6: tuple[pd.Timestamp, ...]
    attenuation5: Array
    attenuation6: Array
    vbmd5: Array
    vbmd6: Array
    muscle_size: Array
    fracture: NDArray[np.int64]

    @property
    def years(self) -> Array:
        """Years between the exams."""
        return _years(self.exam5, self.exam6)


def make_cohort(participants: tuple[str, ...], rng: np.random.Generator) -> Cohort:
    """Draw a cohort whose associations are those of `TARGETS`."""
    n = len(participants)
    complete = _covariates(n, rng)
    exam5 = tuple(pd.Timestamp("2010-04-01") + pd.Timedelta(days=int(d)) for d in rng.integers(0, 680, n))
    exam6 = tuple(
        day + pd.Timedelta(days=int(d)) for day, d in zip(exam5, rng.integers(2010, 2560, n), strict=True)
    )
    age_days = [
        int(age * 365.25 + extra)
        for age, extra in zip(complete["age"], rng.integers(20, 340, n), strict=True)
    ]
    birth = tuple(day - pd.Timedelta(days=d) for day, d in zip(exam5, age_days, strict=True))

    male = (complete["sex"] == "Male").to_numpy(float)
    age = complete["age"].to_numpy(float)
    attenuation = (
        21.25 - 0.4 * (age - 67) + 4 * (male - 0.5) - 4 * complete["bisphosphonates"].to_numpy(float)
    )
    attenuation = attenuation + rng.normal(0, 12.5, n)
    means = TARGETS["attenuation_low_quartile_hu"], TARGETS["attenuation_other_quartiles_hu"]
    attenuation = _with_group_means(attenuation, low_quartile(attenuation), *means)
    vbmd6 = _bone_density(complete, attenuation, rng)
    years = _years(exam5, exam6)
    return Cohort(
        participants=participants,
        complete=complete,
        covariates=_with_missing(complete, rng),
        birth=birth,
        exam5=exam5,
        exam6=exam6,
        attenuation5=attenuation,
        attenuation6=attenuation - 0.5 * years + rng.normal(0, 3.5, n),
        vbmd5=vbmd6 + 1.5 * years + rng.normal(0, 7, n),
        vbmd6=vbmd6,
        muscle_size=1 + 0.07 * (male - 0.5) + 0.002 * (attenuation - 21) + rng.normal(0, 0.05, n),
        fracture=closest_fractures(
            vbmd6, attenuation, FRACTURE_SHARE, (TARGETS["auc_vbmd"], TARGETS["auc_vbmd_attenuation"]), rng
        ),
    )


def design(covariates: pd.DataFrame) -> Array:
    """Model matrix of the covariates with an intercept, scanner left out; shape ``(n, columns)``."""
    columns = covariates.drop(columns=["manufacturer", "model"])
    dummies = pd.get_dummies(columns, columns=["sex", "race_ethnicity", "site"], drop_first=True).to_numpy(
        float
    )
    return np.column_stack([np.ones(len(dummies)), dummies])


def low_quartile(values: Array) -> NDArray[np.bool_]:
    """At or below the first quartile."""
    return np.asarray(values <= np.quantile(values, 0.25))


def _years(start: tuple[pd.Timestamp, ...], end: tuple[pd.Timestamp, ...]) -> Array:
    return np.array([(b - a).days / 365.25 for a, b in zip(start, end, strict=True)])


def _covariates(n: int, rng: np.random.Generator) -> pd.DataFrame:
    def yes(share: float) -> NDArray[np.int64]:
        return (rng.random(n) < share).astype(np.int64)

    sex = rng.choice(["Female", "Male"], n, p=[0.53, 0.47])
    scanner = rng.choice(len(_SCANNERS), n, p=[0.26, 0.27, 0.2, 0.19, 0.08])
    alcohol = yes(0.46)
    tobacco = rng.choice([0, 1, 2], n, p=[0.46, 0.45, 0.09])
    return pd.DataFrame(
        {
            "age": rng.normal(67, 8.7, n).clip(53, 94).astype(int),
            "sex": sex,
            "race_ethnicity": rng.choice(
                ["Black", "Chinese", "Hispanic", "White"], n, p=[0.28, 0.15, 0.22, 0.35]
            ),
            "site": rng.choice(_SITES, n, p=[0.12, 0.17, 0.17, 0.23, 0.16, 0.15]),
            "bmi": rng.normal(28.2, 4.9, n).clip(17, 52).round(2),
            "hypertension": yes(0.57),
            "diabetes": yes(0.18),
            "liver_disease": yes(0.03),
            "kidney_disease": yes(0.03),
            "creatinine": (rng.normal(0.72, 0.16, n) + 0.16 * (sex == "Male")).clip(0.35, 1.65).round(2),
            "cancer": yes(0.09),
            "steroids": yes(0.05),
            "bisphosphonates": yes(0.07),
            "warfarin": yes(0.05),
            "thyroid": yes(0.09),
            "alcohol": alcohol,
            "alcohol_amount": (alcohol * rng.gamma(1.2, 4.4, n)).round(1),
            "tobacco": tobacco,
            "pack_years": ((tobacco > 0) * rng.gamma(0.9, 21, n)).round(2),
            "moderate_activity": rng.lognormal(8.3, 0.85, n).clip(100, 50_000).round(0),
            "vigorous_activity": ((rng.random(n) < 0.6) * rng.lognormal(6.6, 1, n)).clip(0, 50_000).round(0),
            "agatston": ((rng.random(n) < 0.48) * rng.lognormal(4.3, 1.6, n)).clip(0, 15_000).round(1),
            "manufacturer": [_SCANNERS[i][0] for i in scanner],
            "model": [_SCANNERS[i][1] for i in scanner],
        }
    )


def _with_missing(complete: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    table = complete.copy()
    for column, share in _MISSING.items():
        lost = rng.random(len(table)) < share
        table[column] = table[column].astype("Float64").mask(lost)
        if pd.api.types.is_integer_dtype(complete[column]):
            table[column] = table[column].astype("Int64")
    return table


def _with_group_means(values: Array, low: NDArray[np.bool_], low_mean: float, other_mean: float) -> Array:
    """Shift and stretch so that the low group and the rest have these means; order is kept."""
    if low.all() or not low.any() or values[low].mean() >= values[~low].mean():
        return values
    stretch = (other_mean - low_mean) / (values[~low].mean() - values[low].mean())
    return np.asarray(low_mean + stretch * (values - values[low].mean()))


def _bone_density(covariates: pd.DataFrame, attenuation: Array, rng: np.random.Generator) -> Array:
    """Bone density that the covariates and attenuation explain to the extent that `TARGETS` says.

    With *C* the covariate part, *A* attenuation and *e* a residual orthogonal to both (and to the quartile
    groups), density is ``i + b (g C + A + s e)``. The gain in adjusted R2 fixes *s*, its level *g*, the
    difference between the groups *b*, and their means *i*.
    """
    n = len(covariates)
    race = covariates["race_ethnicity"].map(
        {"Black": 0.0, "Chinese": -19.0, "Hispanic": -22.0, "White": -31.0}
    )
    explained = (
        -1.4 * (covariates["age"] - 67)
        + 6.0 * (covariates["sex"] == "Male")
        + race
        + 0.9 * (covariates["bmi"] - 28)
        - 28.0 * covariates["bisphosphonates"]
        - 9.0 * covariates["steroids"]
        - 0.4 * covariates["alcohol_amount"]
    ).to_numpy(float)
    noise = rng.normal(0, 1, n)
    if n < SMALLEST_TUNED:
        return np.asarray((215 + explained + 1.0 * (attenuation - 21) + 38 * noise).clip(70, 330))
    low = low_quartile(attenuation)
    X = design(covariates)
    full = np.column_stack([X, attenuation])
    residual = _remainder(np.column_stack([full, low]), noise)
    residual /= np.sqrt(residual @ residual)
    own = _remainder(X, attenuation)
    explained, centred = explained - explained.mean(), attenuation - attenuation.mean()

    df_total, df_base, df_full = n - 1, n - X.shape[1], n - full.shape[1]
    share_base = (1 - TARGETS["adjusted_r2_covariates"]) * df_base / df_total
    share_full = (1 - TARGETS["adjusted_r2_with_attenuation"]) * df_full / df_total
    s2 = (own @ own) / (share_base / share_full - 1)
    # g from the total sum of squares: |g C + A|^2 + s2 = s2 / share_full.
    a, half_b = explained @ explained, explained @ centred
    c = centred @ centred + s2 - s2 / share_full
    g = (-half_b + np.sqrt(max(half_b**2 - a * c, 0.0))) / a
    density = g * explained + centred + np.sqrt(s2) * residual
    means = TARGETS["vbmd_low_quartile_mg_cm3"], TARGETS["vbmd_other_quartiles_mg_cm3"]
    return _with_group_means(density, low, *means)


def _remainder(X: Array, y: Array) -> Array:
    """What of `y` the columns of `X` do not explain."""
    coefficients, *_ = np.linalg.lstsq(X, y, rcond=None)
    return np.asarray(y - X @ coefficients)
