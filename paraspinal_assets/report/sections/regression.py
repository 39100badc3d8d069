"""Linear models of vBMD: coefficients, comparison, diagnostics and sensitivity to confounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from paraspinal_assets.report.blocks import Block, Formats, Paragraph, Section, Source, figure, table
from paraspinal_assets.report.figures.linear import coefficient_forest, lm_plots
from paraspinal_assets.report.figures.sensitivity import extreme_scenario_plot, sensitivity_contour
from paraspinal_assets.report.measures import measure
from paraspinal_assets.report.numbers import count, digits, intervals, p_value, significant
from paraspinal_assets.report.sections.cohort import analysed
from paraspinal_assets.report.sections.terms import (
    adjustment,
    model_contents,
    per_shown_unit,
    reference_levels,
    term_words,
    with_interval,
)
from paraspinal_assets.statistics.sensitivity import Treatment

EXPOSURES: Final = ("volume", "attenuation", "Shape", "Median")
"""Names of the muscle measures in the study's tables and in the original study's."""
MAIN_MODEL: Final = "model5"
MIN_DISTINCT: Final = 6
"""A numeric column with fewer distinct values is a code, and is not shown per standard deviation."""
TESTS: Final = {
    "anova": "ANOVA",
    "welch_anova": "Welch's ANOVA",
    "kruskal_wallis": "Kruskal-Wallis",
    "chi_squared": "chi-squared",
    "cochran_armitage": "Cochran-Armitage",
}
COEFFICIENTS: Final = ("model", "term", "estimate", "ci_low", "ci_high", "p", "aliased")


def main_model(source: Source, models: pd.Series) -> str:
    """The model that is shown in full: given, that of the sensitivity analysis, model 5, or the last."""
    known = list(dict.fromkeys(models))
    sensitivity = source.get("sensitivity", "model")
    wanted = [
        source.info.get("main_model"),
        None if sensitivity is None else sensitivity["model"].iloc[0],
        MAIN_MODEL,
    ]
    return str(next((model for model in wanted if model in known), known[-1]))


def regression(source: Source) -> Section:
    """Fit statistics of every model, the main model's coefficients, and its diagnostics."""
    section = Section("regression", "Regression of vBMD")
    needed = ("model", "n", "r2", "adj_r2", "aic", "bic", "rmse")
    fits = source.get("linear_fit", *needed)
    if fits is None:
        section.add(source.absent("linear_fit", *needed))
    else:
        section.add(
            table(
                fits,
                {
                    "model": "Model",
                    "n": "n",
                    "r2": "R²",
                    "adj_r2": "Adjusted R²",
                    "aic": "AIC",
                    "bic": "BIC",
                    "rmse": "RMSE",
                },
                caption="Fit of the linear models",
                formats={
                    "n": count,
                    "r2": digits(3),
                    "adj_r2": digits(3),
                    "aic": digits(1),
                    "bic": digits(1),
                    "rmse": digits(2),
                },
                note=model_contents(source, 0, fits["model"]),
            )
        )
    coefficients = source.get("linear_coefficients", *COEFFICIENTS)
    if coefficients is None:
        return section.add(source.absent("linear_coefficients", *COEFFICIENTS))
    model = main_model(source, coefficients["model"])
    section.add(
        figure(
            coefficient_forest(
                coefficients,
                model=model,
                exposures=EXPOSURES,
                scale=_scale(source),
                words=term_words(source),
            )
        ),
        _exposure_table(source, coefficients),
        _coefficient_table(source, coefficients, model),
    )
    diagnostics = source.get("diagnostics", "row", "fitted", "residual", "hat", "rstandard", "cooks_distance")
    if diagnostics is not None:
        own = diagnostics
        if "model" in diagnostics.columns:
            chosen = model if model in set(diagnostics["model"]) else str(diagnostics["model"].iloc[0])
            own, model = diagnostics[diagnostics["model"] == chosen], chosen
        own = own.dropna(subset=["row", "fitted", "residual"])
        own = own.assign(row=own["row"].astype(int))
        if len(own):
            section.add(figure(lm_plots(own, model=model)))
    return section


def _scale(source: Source) -> Mapping[str, float]:
    """Standard deviation of each measurement, of the analysed participants or else as Table 1 has it."""
    cohort = analysed(source)
    if cohort is not None:
        numeric = cohort.select_dtypes("number")
        spread = {name: numeric[name].std() for name in numeric if numeric[name].nunique() >= MIN_DISTINCT}
        return {str(name): float(sd) for name, sd in spread.items()}
    described = source.get("table_one", "variable", "level", "overall")
    if described is None:
        return {}
    rows = described[described["level"] == "sd"]
    return dict(zip(rows["variable"].astype(str), rows["overall"].astype(float), strict=True))


_COEFFICIENT_FORMATS: Final[Formats] = {"estimate": significant, "ci": str, "p": p_value}


def _exposure_table(source: Source, coefficients: pd.DataFrame) -> Block | None:
    """The muscle measures in every model, per unit and per standard deviation."""
    rows = coefficients[coefficients["term"].isin(EXPOSURES)]
    if rows.empty:
        return None
    sd = rows["term"].map(dict(_scale(source))).astype(float)
    sd_ci = intervals(rows["ci_low"] * sd, rows["ci_high"] * sd)
    rows = with_interval(per_shown_unit(rows)).assign(
        per_sd=rows["estimate"] * sd,
        sd_ci=sd_ci,
        term=rows["term"].map(term_words(source)),
    )
    heads = {"model": "Model", "term": "Exposure", "estimate": "Per unit", "ci": "95 % CI"}
    if sd.notna().any():
        heads |= {"per_sd": "Per SD", "sd_ci": "95 % CI"}
    formats: Formats = {**_COEFFICIENT_FORMATS, "per_sd": significant, "sd_ci": str}
    return table(rows, {**heads, "p": "p"}, caption="Muscle in every model", formats=formats)


def _coefficient_table(source: Source, coefficients: pd.DataFrame, model: str) -> Block | None:
    rows = with_interval(per_shown_unit(coefficients[coefficients["model"] == model]))
    reference = reference_levels(source, rows["term"])
    rows = rows.assign(term=rows["term"].map(term_words(source)))
    aliased = rows.loc[rows["aliased"].fillna(False).astype(bool), "term"]
    why = f"Without a coefficient, as a combination of others: {', '.join(aliased)}." if len(aliased) else ""
    note = f"{reference} {why}".strip()
    heads = {"term": "Term", "estimate": "Per unit", "ci": "95 % CI", "p": "p"}
    return table(rows, heads, caption=f"Coefficients of {model}", formats=_COEFFICIENT_FORMATS, note=note)


def comparison(source: Source) -> Section:
    """F tests of nested pairs."""
    section = Section("comparison", "Comparison of the linear models")
    needed = ("model_a", "model_b", "nested", "df_difference", "ss_difference", "f", "p")
    pairs = source.get("linear_comparison", *needed)
    if pairs is None:
        return section.add(source.absent("linear_comparison", *needed))
    nested = pairs[pairs["nested"].astype(bool)]
    heads = {
        "model_a": "Smaller",
        "model_b": "Larger",
        "df_difference": "df",
        "ss_difference": "Sum of squares",
        "f": "F",
        "p": "p",
    }
    formats = {"df_difference": count, "ss_difference": significant, "f": digits(2), "p": p_value}
    section.add(table(nested, heads, caption="F tests of nested models", formats=formats))
    left = len(pairs) - len(nested)
    if left:
        section.add(
            Paragraph(
                f"{left} pair(s) are not nested and have no F test; compare their AIC, where n is the same.",
                "note",
            )
        )
    return section


def dose_response(source: Source) -> Section:
    """Outcomes across the quartiles of muscle, and the tests for a trend."""
    section = Section("dose-response", "Outcomes across the quartiles")
    needed = (
        *("exposure", "outcome", "quartile", "n", "value", "ci_low", "ci_high"),
        *("effect", "effect_scale", "effect_ci_low", "effect_ci_high", "effect_p"),
    )
    found = source.get("dose_response", *needed)
    if found is None:
        return section.add(source.absent("dose_response", *needed))
    effect_ci = intervals(found["effect_ci_low"], found["effect_ci_high"])
    rows = _measures_named(with_interval(found)).assign(effect_ci=effect_ci)
    heads = {
        "exposure": "Measure",
        "outcome": "Outcome",
        "quartile": "Quartile",
        "n": "n",
        "value": "Mean or risk",
        "ci": "95 % CI",
        "effect": "Against Q1",
        "effect_ci": "95 % CI",
        "effect_p": "p",
    }
    formats: Formats = {
        **dict.fromkeys(("quartile", "n"), count),
        **dict.fromkeys(("value", "effect"), significant),
        **dict.fromkeys(("ci", "effect_ci"), str),
        "effect_p": p_value,
    }
    note = "Against the first quartile: differences of means and, of fractures, odds ratios."
    caption = "Outcomes by quartile of muscle, adjusted effects"
    section.add(
        table(rows, heads, caption=caption, formats=formats, note=f"{note} {adjustment(source)}".strip())
    )
    tests = source.get("dose_response_tests", "exposure", "outcome", "test", "statistic", "p")
    if tests is None:
        return section
    heads = {"exposure": "Measure", "outcome": "Outcome", "test": "Test", "statistic": "Statistic", "p": "p"}
    shown = _measures_named(tests).assign(test=tests["test"].replace(TESTS))
    formats = {"statistic": significant, "p": p_value}
    note = "The trend over the quartile's number is adjusted as the effects are; the other tests are not."
    return section.add(table(shown, heads, caption="Tests across the quartiles", formats=formats, note=note))


def _measures_named(rows: pd.DataFrame) -> pd.DataFrame:
    """Exposure and outcome under the names by which they are shown, short: both exposures are of muscle."""
    names = {name: [measure(str(own)).name for own in rows[name]] for name in ("exposure", "outcome")}
    return rows.assign(**names).replace({"exposure": r"^Muscle "}, "", regex=True)


def sensitivity(source: Source) -> Section:
    """How strong an unmeasured confounder would have to be."""
    section = Section("sensitivity", "Sensitivity to unmeasured confounding")
    needed = ("treatment", "estimate", "std_error", "t", "df", "partial_r2", "rv_q", "rv_qa")
    found = source.get("sensitivity", *needed)
    if found is None:
        return section.add(source.absent("sensitivity", *needed))
    exposures = [measure(str(name)) for name in found["treatment"]]
    factors = np.array([exposure.factor for exposure in exposures])
    found = found.assign(estimate=found["estimate"] / factors, std_error=found["std_error"] / factors)
    heads = {
        "treatment": "Exposure",
        "estimate": "Estimate",
        "t": "t",
        "df": "df",
        "partial_r2": "Partial R²",
        "rv_q": "Robustness value",
        "rv_qa": "Robustness value, α = 0.05",
    }
    formats = {
        "estimate": significant,
        "t": digits(2),
        "df": count,
        "partial_r2": digits(3),
        "rv_q": digits(3),
        "rv_qa": digits(3),
    }
    shown = found.assign(treatment=[exposure.label for exposure in exposures])
    section.add(table(shown, heads, caption="Robustness of the exposure", formats=formats))
    first, name = shown.iloc[0], exposures[0].name.lower()
    section.add(
        Paragraph(
            f"A confounder that explains less than {100 * first['rv_q']:.1f} % of what is left of both the exposure "
            f"({name}) and the outcome could not bring the estimate to zero; less than "
            f"{100 * first['rv_qa']:.1f} % could not make it insignificant at 5 %."
        )
    )
    columns = ("bound_label", "r2dz_x", "r2yz_dx", "adjusted_estimate", "adjusted_t")
    bounds = source.get("sensitivity_bounds", *columns)
    if bounds is None:
        return section.add(source.absent("sensitivity_bounds", *columns))
    bounds = bounds.assign(adjusted_estimate=bounds["adjusted_estimate"] / factors[0])
    heads = {
        "bound_label": "Confounder as strong as",
        "r2dz_x": "R² with exposure",
        "r2yz_dx": "R² with outcome",
        "adjusted_estimate": "Adjusted estimate",
        "adjusted_t": "Adjusted t",
    }
    formats = {name: significant for name in heads if name != "bound_label"}
    section.add(table(bounds, heads, caption="Benchmarks", formats=formats))
    subject = Treatment(float(first["estimate"]), float(first["std_error"]), int(first["df"]))
    return section.add(
        figure(sensitivity_contour(subject, bounds, treatment=name)),
        figure(sensitivity_contour(subject, bounds, treatment=name, of="t")),
        figure(extreme_scenario_plot(subject, bounds, treatment=name)),
    )
