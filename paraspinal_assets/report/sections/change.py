"""Longitudinal change and subgroups."""

from __future__ import annotations

import pandas as pd

from paraspinal_assets.report.blocks import Formats, Paragraph, Section, Source, figure, table
from paraspinal_assets.report.figures.change import longitudinal_change, subgroup_forest
from paraspinal_assets.report.measures import measure
from paraspinal_assets.report.numbers import count, p_value, significant
from paraspinal_assets.report.sections.terms import adjustment, term_words, with_interval
from paraspinal_assets.statistics.longitudinal import REASONS as CHANGE_REASONS


def longitudinal(source: Source) -> Section:
    """Change per year between the exams, and what it goes with."""
    section = Section("longitudinal", "Change between the exams")
    needed = ("measure", "n", "baseline_mean", "follow_up_mean", "change_per_year", "ci_low", "ci_high", "p")
    found = source.get("longitudinal", *needed)
    if found is None:
        return section.add(source.absent("longitudinal", *needed))
    heads = {
        "measure": "Measure",
        "n": "n",
        "baseline_mean": "Baseline",
        "follow_up_mean": "Follow-up",
        "change_per_year": "Change per year",
        "ci": "95 % CI",
        "p": "p",
    }
    formats: Formats = {
        "n": count,
        **dict.fromkeys(("baseline_mean", "follow_up_mean", "change_per_year"), significant),
        "ci": str,
        "p": p_value,
    }
    section.add(table(_in_shown_units(found), heads, caption="Change per year", formats=formats))
    change = source.get("longitudinal_change", "measure", "change_per_year")
    if change is not None:
        section.add(figure(longitudinal_change(change, measures=list(dict.fromkeys(change["measure"])))))
        if "reason" in change.columns and change["reason"].notna().any():
            section.add(Paragraph(f"Participants without a change: {_without_change(change)}.", "note"))
    models = source.get("longitudinal_models", "measure", "term", "estimate", "ci_low", "ci_high", "p")
    if models is not None:
        heads = {"measure": "Measure", "term": "Term", "estimate": "Estimate", "ci": "95 % CI", "p": "p"}
        formats = {"estimate": significant, "ci": str, "p": p_value}
        caption = "Change per year on baseline and covariates"
        rows = _change_models(models).assign(term=models["term"].map(term_words(source)))
        section.add(table(rows, heads, caption=caption, formats=formats))
    return section


def _without_change(change: pd.DataFrame) -> str:
    """Reasons and how many participants have each, once where they are those of every measure."""
    counts = {
        measure(str(name)).name: "; ".join(
            f"{CHANGE_REASONS.get(str(code), code)}: {n}"
            for code, n in own["reason"].dropna().value_counts().sort_index().items()
        )
        for name, own in change.groupby("measure", sort=False)
    }
    if len(set(counts.values())) == 1:
        return next(iter(counts.values()))
    return ". ".join(f"{name}: {words or 'none'}" for name, words in counts.items())


def _in_shown_units(found: pd.DataFrame) -> pd.DataFrame:
    """The summary with each measure in the unit and under the name it is shown."""
    shown = [measure(name) for name in found["measure"]]
    factors = pd.Series([one.factor for one in shown], index=found.index)
    columns = ["baseline_mean", "follow_up_mean", "change_per_year", "ci_low", "ci_high"]
    scaled = {name: found[name] * factors for name in columns}
    return with_interval(found.assign(measure=[one.label for one in shown], **scaled))


def _change_models(models: pd.DataFrame) -> pd.DataFrame:
    """Coefficients in the unit of the measure; that of the baseline, measure by measure, has none."""
    shown = [measure(str(name)) for name in models["measure"]]
    factors = pd.Series([one.factor for one in shown], index=models.index).where(
        models["term"] != "baseline", 1.0
    )
    scaled = {name: models[name] * factors for name in ("estimate", "ci_low", "ci_high")}
    return with_interval(models.assign(measure=[one.label for one in shown], **scaled))


def subgroups(source: Source) -> Section:
    """Effect in subgroups with interaction tests, one forest plot per outcome."""
    section = Section("subgroups", "Subgroups")
    needed = ("outcome", "treatment", "subgroup", "level", "n", "estimate", "ci_low", "ci_high")
    found = source.get("subgroup_effects", *needed)
    if found is None:
        return section.add(source.absent("subgroup_effects", *needed))
    tests = source.get("subgroup_interactions", "outcome", "subgroup", "p", "p_adjusted")
    for (outcome, treatment), own in found.groupby(["outcome", "treatment"], sort=False):
        rows = own
        if tests is not None:
            p = tests[tests["outcome"] == outcome].drop_duplicates("subgroup").set_index("subgroup")["p"]
            rows = own.assign(p_interaction=own["subgroup"].map(p))
        rows = rows.assign(subgroup=[measure(str(name)).name for name in rows["subgroup"]])
        exposure, effect = measure(str(treatment)), measure(str(outcome))
        unit = effect.unit or "log odds ratio"
        rows = rows.assign(
            **{name: rows[name] / exposure.factor for name in ("estimate", "ci_low", "ci_high")}
        )
        drawing = subgroup_forest(
            rows,
            name=f"{treatment}-on-{outcome}",
            exposure=f"{exposure.name.lower()} on {effect.name}",
            axis_label=f"{effect.name} ({unit}) per {exposure.unit or 'unit'} of {exposure.name.lower()}, 95 % CI",
        )
        section.add(figure(drawing, f"{drawing.description} {adjustment(source)}".strip()))
    if tests is not None:
        heads = {"outcome": "Outcome", "subgroup": "Subgroup", "p": "p", "p_adjusted": "p, adjusted"}
        formats = {"p": p_value, "p_adjusted": p_value}
        note = "Adjusted for the number of subgroups by Benjamini and Hochberg."
        shown = tests.assign(
            **{name: [measure(str(own)).name for own in tests[name]] for name in ("outcome", "subgroup")}
        )
        section.add(table(shown, heads, caption="Tests of interaction", formats=formats, note=note))
    return section
