"""The linear half of an analysis: the tables of bone density models, their comparison, and sensitivity."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.anova import compare_nested, drop_one, type_one_anova
from paraspinal_assets.statistics.benchmark import benchmark_bounds
from paraspinal_assets.statistics.diagnostics import design_problems, row_diagnostics, variance_inflation
from paraspinal_assets.statistics.linear import LinearFit, fit_linear
from paraspinal_assets.statistics.problems import NO_ANSWER, Problem
from paraspinal_assets.statistics.sensitivity import Treatment
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets.statistics.tables import stack

Tables = dict[str, pd.DataFrame]


def linear_tables(fits: Mapping[str, LinearFit], spec: AnalysisSpec) -> tuple[Tables, list[Problem]]:
    """Coefficients, fit, comparison, tests of terms, diagnostics and sensitivity of fitted models."""
    problems: list[Problem] = []
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in _PER_MODEL}
    for model, fit in fits.items():
        problems += design_problems("linear", model, fit.design, fit.kept, fit.aliased)
        rows = row_diagnostics(fit)
        rows["row"] += 1
        tests = [
            type_one_anova(fit).assign(test="sequential"),
            drop_one(fit).assign(test="drop_one").iloc[1:],
        ]
        made = {
            "linear_coefficients": fit.coefficient_table(),
            "linear_fit": pd.DataFrame([fit.fit_statistics()]),
            "linear_terms": pd.concat(tests),
            "diagnostics": pd.concat([rows, variance_inflation(fit.design, fit.kept)]),
        }
        for name, part in made.items():
            parts[name].append(part.assign(model=model))
    tables = {name: stack(name, some) for name, some in parts.items()}
    tables["diagnostics"] = tables["diagnostics"].astype({"row": "Int64", "df": "Int64"})
    tables["linear_comparison"], more = _comparisons(fits)
    sensitivity, evenmore = _sensitivity(fits, spec)
    return tables | sensitivity, [*problems, *more, *evenmore]


_PER_MODEL = ("linear_coefficients", "linear_fit", "linear_terms", "diagnostics")


def _comparisons(fits: Mapping[str, LinearFit]) -> tuple[pd.DataFrame, list[Problem]]:
    """Every pair; where their rows differ, both refitted on the rows that they share."""
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    for a, b in combinations(fits, 2):
        first, second = fits[a], fits[b]
        if first.rank > second.rank:
            a, b, first, second = b, a, second, first
        try:
            if not np.array_equal(first.design.rows, second.design.rows):
                shared = np.intersect1d(first.design.rows, second.design.rows)
                message = (
                    f"Compared on the {len(shared)} rows complete in both ({first.n} and {second.n} alone)."
                )
                problems.append(Problem("linear_comparison", f"{a} against {b}", "W-STAT-ROWS", message))
                first, second = (fit_linear(fit.design.on_rows(shared)) for fit in (first, second))
            rows.append({"model_a": a, "model_b": b, **compare_nested(first, second)})
        except NO_ANSWER as error:
            problems.append(Problem.from_error("linear_comparison", f"{a} against {b}", error))
    return stack("linear_comparison", [pd.DataFrame(rows)]), problems


def _sensitivity(fits: Mapping[str, LinearFit], spec: AnalysisSpec) -> tuple[Tables, list[Problem]]:
    """One row on the treatment, and the bounds of the benchmark."""
    empty = {name: stack(name, []) for name in ("sensitivity", "sensitivity_bounds")}
    model = spec.sensitivity_model
    if model not in fits:
        if not spec.linear_models or spec.density is None:
            return empty, []
        others = f" `sensitivity_model` may name one of these: {', '.join(fits)}." if fits else ""
        why = f"The model {model!r} of the sensitivity analysis was not fitted.{others}"
        return empty, [Problem("sensitivity", model, "E-STAT-MODEL", why)]
    fit, problems = fits[model], []
    tables = dict(empty)
    try:
        values = Treatment.of(fit, spec.treatment).statistics()
        row = {"model": model, "treatment": spec.treatment, **values}
        tables["sensitivity"] = stack("sensitivity", [pd.DataFrame([row])])
        tables["sensitivity_bounds"] = stack(
            "sensitivity_bounds",
            [
                benchmark_bounds(
                    fit,
                    spec.treatment,
                    {spec.benchmark: coefficients_of(fit, spec.benchmark)},
                    kd=spec.benchmark_strengths,
                )
            ],
        )
    except NO_ANSWER as error:
        problems.append(Problem.from_error("sensitivity", model, error))
    return tables, problems


def coefficients_of(fit: LinearFit, column: str) -> list[str]:
    """Estimated coefficients of a column: itself, or those of its levels.

    Raises
    ------
    StatisticsError
        ``E-STAT-TERM`` if the model has no estimated coefficient of that column.
    """
    terms = fit.design.formula.terms
    position = terms.index((column,)) + 1 if (column,) in terms else 0
    names = [fit.design.names[k] for k in fit.kept if position and fit.design.assign[k] == position]
    if not names:
        raise StatisticsError(
            "E-STAT-TERM",
            f"The benchmark {column!r} has no estimated coefficient in '{fit.design.formula}'.",
            "Name another covariate of the model as the benchmark.",
        )
    return names
