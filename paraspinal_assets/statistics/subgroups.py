"""Effect of a treatment within subgroups (sex, race/ethnicity, site, scanner), with interaction tests.

Source for reading them: Wang et al., N Engl J Med 2007;357:2189 (test the interaction, not the strata).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.anova import compare_nested
from paraspinal_assets.statistics.design import Design, build_design
from paraspinal_assets.statistics.factors import column_levels, level_name
from paraspinal_assets.statistics.formula import Formula, Term
from paraspinal_assets.statistics.linear import fit_linear
from paraspinal_assets.statistics.logistic import fit_logistic, likelihood_ratio
from paraspinal_assets.statistics.multiplicity import benjamini_hochberg
from paraspinal_assets.statistics.problems import Problem

EFFECT_COLUMNS: Final = (
    "outcome", "treatment", "subgroup", "level", "n", "n_events", "estimate", "std_error", "ci_low", "ci_high",
    "p", "p_adjusted",
)  # fmt: skip
INTERACTION_COLUMNS: Final = (
    "outcome", "treatment", "subgroup", "n", "test", "statistic", "df", "df_residual", "p", "p_adjusted",
)  # fmt: skip

SMALL_GROUP: Final = 20
"""A level with fewer participants (events, for a 0/1 outcome) is diagnosed; its effect is kept."""

Family = Literal["linear", "logistic"]


@dataclass(frozen=True)
class SubgroupResult:
    """``effects`` with `EFFECT_COLUMNS`, ``interactions`` with `INTERACTION_COLUMNS`, and problems.

    Estimates are differences (linear) or log odds ratios (logistic) per unit of the treatment.
    """

    effects: pd.DataFrame
    interactions: pd.DataFrame
    problems: tuple[Problem, ...]


def subgroup_effects(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    subgroups: Sequence[str],
    *,
    family: Family = "linear",
) -> SubgroupResult:
    """Effect of a treatment at each level of each subgroup variable.

    One model per subgroup variable, ``outcome ~ covariates + subgroup + treatment + subgroup:treatment``,
    on the rows complete in it. The effect at a level is the treatment's coefficient with that level as the
    reference: covariates are shared, so that effects and interaction test come from the same model. The
    interaction is tested against the model without it: F (linear) or likelihood ratio (logistic). Both
    sets of p-values are adjusted by Benjamini and Hochberg.

    Parameters
    ----------
    frame
        One row per participant.
    outcome, treatment
        Numeric columns.
    covariates
        Further columns; the subgroup variable and the treatment are left out where they occur.
    subgroups
        Columns whose values are levels; whole numbers are taken as codes.
    family
        ``logistic`` for a 0/1 outcome.

    A variable that cannot be tested is an empty row with a problem; the others come out.
    """
    effects: list[dict[str, object]] = []
    interactions: list[dict[str, object]] = []
    problems: list[Problem] = []
    for subgroup in subgroups:
        names = {"outcome": outcome, "treatment": treatment, "subgroup": subgroup}
        try:
            data, levels = _levels(frame, outcome, treatment, covariates, subgroup)
            others = [c for c in covariates if c not in (subgroup, treatment)]
            main: tuple[Term, ...] = (*((c,) for c in others), (subgroup,), (treatment,))
            # The treatment stands last: it is then aliased at a level exactly where that level's slope is not
            # estimable, instead of taking over the slope of another level.
            whole = Formula(outcome, (*main[:-1], (subgroup, treatment), main[-1]))
            test = _interaction(data, Formula(outcome, main), whole, subgroup, levels, family)
            interactions.append(names | {"n": len(data)} | test)
        except StatisticsError as error:
            problems.append(Problem.from_error("subgroups", subgroup, error))
            interactions.append(dict(names))
            continue
        for value in levels:
            members = data.loc[data[subgroup] == value, outcome]
            row: dict[str, object] = names | {"level": value, "n": len(members)}
            if family == "logistic":
                row["n_events"] = int(members.sum())
            effects.append(row)
            size = len(members) if family == "linear" else min(members.sum(), len(members) - members.sum())
            if size < SMALL_GROUP:
                unit = "participants" if family == "linear" else "participants of one outcome class"
                text = f"{subgroup} = {value} has {int(size)} {unit}: its effect is unreliable"
                problems.append(Problem("subgroups", subgroup, "W-STAT-SMALL-GROUP", text))
            try:
                design = build_design(data, whole, levels={subgroup: _first(levels, value)})
                row |= _effect(design, treatment, family, f"{subgroup} = {value}")
            except StatisticsError as error:
                problems.append(Problem.from_error("subgroups", subgroup, error))
    return SubgroupResult(
        _adjusted(effects, EFFECT_COLUMNS, ("n", "n_events")),
        _adjusted(interactions, INTERACTION_COLUMNS, ("n",)),
        tuple(problems),
    )


def _levels(
    frame: pd.DataFrame, outcome: str, treatment: str, covariates: Sequence[str], subgroup: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Complete rows with the subgroup as text, and its levels."""
    columns = list(dict.fromkeys([outcome, treatment, *covariates, subgroup]))
    absent = [c for c in columns if c not in frame]
    if absent:
        raise StatisticsError(
            "E-STAT-COLUMN", f"The table has no column {absent[0]!r}.", "Correct the name or leave it out."
        )
    data = frame[columns].dropna()
    codes, values = pd.factorize(data[subgroup])
    levels = column_levels(data[subgroup])
    data = data.assign(**{subgroup: np.array([level_name(v) for v in values], dtype=object)[codes]})
    if len(levels) < 2:
        raise StatisticsError(
            "E-STAT-CONSTANT",
            f"{subgroup} has {len(levels)} level in the {len(data)} complete rows.",
            "An interaction needs two levels.",
        )
    if 2 * len(levels) >= len(data):
        raise StatisticsError(
            "E-STAT-SATURATED",
            f"{subgroup} has {len(levels)} levels in {len(data)} complete rows: it is no subgroup.",
            "Merge its levels or leave it out.",
        )
    return data, levels


def _first(levels: tuple[str, ...], value: str) -> tuple[str, ...]:
    return (value, *(other for other in levels if other != value))


def _interaction(
    data: pd.DataFrame, main: Formula, whole: Formula, subgroup: str, levels: tuple[str, ...], family: Family
) -> dict[str, object]:
    fixed = {subgroup: levels}
    small, large = build_design(data, main, levels=fixed), build_design(data, whole, levels=fixed)
    if family == "linear":
        fit = fit_linear(large)
        found = compare_nested(fit_linear(small), fit)
        return {
            "test": "F",
            "statistic": found["f"],
            "df": found["df_difference"],
            "df_residual": fit.df_residual,
            "p": found["p"],
        }
    ratio = likelihood_ratio(fit_logistic(small), fit_logistic(large))
    return {"test": "likelihood ratio", "statistic": ratio["chi2"], "df": ratio["df"], "p": ratio["p"]}


def _effect(design: Design, treatment: str, family: Family, where: str) -> dict[str, object]:
    fit = fit_linear(design) if family == "linear" else fit_logistic(design)
    table = fit.coefficient_table().rename(columns={"log_odds": "estimate"}).set_index("term")
    row = table.loc[treatment]
    if np.isnan(row["estimate"]):
        aliased = design.names.index(treatment) in fit.aliased
        why = "its rows leave no slope to estimate" if aliased else "it separates the outcome"
        raise StatisticsError(
            "E-STAT-TERM" if aliased else "E-STAT-SEPARATED",
            f"{treatment} has no effect on {design.formula.outcome} where {where}: {why}.",
            "Merge small levels.",
        )
    return {name: row[name] for name in ("estimate", "std_error", "ci_low", "ci_high", "p")}


def _adjusted(rows: list[dict[str, object]], columns: Sequence[str], counts: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    table["p"] = table["p"].astype("float64")
    table["p_adjusted"] = benjamini_hochberg(table["p"])
    return table.astype(dict.fromkeys(counts, "Int64"))
