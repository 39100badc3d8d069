"""The few numbers that a study is about, beside their truth where the study is synthetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

COVARIATES_ONLY: Final = "model2"
WITH_ATTENUATION: Final = "model4"
DENSITY: Final = "vBMD"
DENSITY_AND_ATTENUATION: Final = "vBMD_Attenuation"


def headline(tables: Mapping[str, pd.DataFrame], truth: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """Label, value, unit and truth of each headline number; numbers whose table is not there are left out.

    Parameters
    ----------
    tables
        quartile_cohort, cohort, linear_fit and auc, as documented in ``table_schemas``.
    truth
        Of a synthetic study: what a perfect measurement of the same participants gives, by name.
    """
    known = truth or {}
    found: list[dict[str, Any]] = []

    def add(name: str, label: str, unit: str, value: float | None) -> None:
        if value is not None and not pd.isna(value):
            found.append({"label": label, "value": float(value), "unit": unit, "truth": known.get(name)})

    for exposed, group in _by_attenuation(tables):
        side = "low_quartile" if exposed else "other_quartiles"
        words = "lowest quartile" if exposed else "quartiles 2 to 4"
        add(f"attenuation_{side}_hu", f"Attenuation, {words}", "HU", group["attenuation"].mean())
        add(f"vbmd_{side}_mg_cm3", f"vBMD at follow-up, {words}", "mg/cm³", group["vbmd"].mean())
    add("adjusted_r2_covariates", "Adjusted R², covariates", "", _fit(tables, COVARIATES_ONLY))
    add("adjusted_r2_with_attenuation", "Adjusted R², with attenuation", "", _fit(tables, WITH_ATTENUATION))
    add("auc_vbmd", "AUC for fracture, vBMD (apparent)", "", _auc(tables, DENSITY))
    add(
        "auc_vbmd_attenuation",
        "AUC, vBMD and attenuation (apparent)",
        "",
        _auc(tables, DENSITY_AND_ATTENUATION),
    )
    return found


def _by_attenuation(tables: Mapping[str, pd.DataFrame]) -> list[tuple[bool, pd.DataFrame]]:
    if "quartile_cohort" not in tables or "cohort" not in tables:
        return []
    quartiles = tables["quartile_cohort"]
    lowest = quartiles[quartiles["measure"] == "attenuation"].set_index("participant")["lowest"]
    people = tables["cohort"][tables["cohort"]["participant"].isin(lowest.dropna().index)]
    low = people["participant"].map(lowest).astype(bool)
    return [(True, people[low]), (False, people[~low])]


def _fit(tables: Mapping[str, pd.DataFrame], model: str) -> float | None:
    return _cell(tables.get("linear_fit"), {"model": model}, "adj_r2")


def _auc(tables: Mapping[str, pd.DataFrame], model: str) -> float | None:
    return _cell(tables.get("auc"), {"model": model, "estimate": "apparent"}, "auc")


def _cell(table: pd.DataFrame | None, where: Mapping[str, str], column: str) -> float | None:
    if table is None:
        return None
    for name, value in where.items():
        table = table[table[name] == value]
    return float(table[column].iloc[0]) if len(table) else None
