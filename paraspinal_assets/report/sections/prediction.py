"""Fracture models: discrimination, calibration and decision curves, apparent and out of fold."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from paraspinal_assets.report.blocks import Block, Paragraph, Section, Source, figure, table
from paraspinal_assets.report.figures.prediction import calibration_curves, decision_curves, roc_curves
from paraspinal_assets.report.numbers import count, digits, intervals, p_value, significant
from paraspinal_assets.report.sections.terms import (
    model_contents,
    per_shown_unit,
    reference_levels,
    term_words,
)
from paraspinal_assets.statistics.calibration import calibration_curve
from paraspinal_assets.statistics.models import RECLASSIFICATION_PAIRS

ESTIMATES: Final = {
    "apparent": "apparent",
    "out_of_fold": "out of fold",
    "optimism_corrected": "optimism corrected",
}


def fracture(source: Source) -> Section:
    """Odds ratios, AUC of every model and estimate, DeLong tests and reclassification."""
    section = Section("fracture", "Models of vertebral fracture")
    needed = ("model", "estimate", "auc", "ci_low", "ci_high", "n_cases", "n_controls")
    auc = source.get("auc", *needed)
    if auc is None:
        return section.add(source.absent("auc", *needed))
    section.add(
        Paragraph(
            "Apparent areas are measured on the participants the models were fitted to and flatter them; "
            "out-of-fold and optimism-corrected areas do not."
        ),
        table(
            _named(auc).assign(ci=intervals(auc["ci_low"], auc["ci_high"], digits(3))),
            {
                "model": "Model",
                "estimate": "Estimate",
                "auc": "AUC",
                "ci": "95 % CI",
                "n_cases": "Fractures",
                "n_controls": "No fracture",
            },
            caption="Area under the ROC curve",
            formats={"auc": digits(3), "ci": str, "n_cases": count, "n_controls": count},
            note=model_contents(source, -1, auc["model"]),
        ),
    )
    curves = source.get("roc_curve", "model", "estimate", "sensitivity", "specificity")
    if curves is not None:
        bands = source.get("roc_band", "model", "estimate", "specificity", "ci_low", "ci_high")
        no_bands = pd.DataFrame(columns=["model", "estimate", "specificity", "ci_low", "ci_high"])
        for estimate in _estimates(curves):
            models = _models(curves, estimate)
            shown = no_bands if bands is None else bands
            section.add(figure(roc_curves(curves, shown, auc, models=models, estimate=estimate)))
    else:
        section.add(source.absent("roc_curve", "model", "estimate", "sensitivity", "specificity"))
    return section.add(_delong(source), _reclassification(source), _odds_ratios(source))


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(estimate=frame["estimate"].map(lambda name: ESTIMATES.get(name, name)))


def _estimates(frame: pd.DataFrame) -> list[str]:
    """Estimates to draw: out of fold where it is there, else what is there."""
    there = [name for name in ESTIMATES if name in set(frame["estimate"])]
    return ["out_of_fold"] if "out_of_fold" in there else there[:1]


def _models(frame: pd.DataFrame, estimate: str) -> list[str]:
    return list(dict.fromkeys(frame.loc[frame["estimate"] == estimate, "model"]))


def _delong(source: Source) -> Block | None:
    needed = ("model_a", "model_b", "estimate", "difference", "ci_low", "ci_high", "z", "p")
    pairs = source.get("auc_comparison", *needed)
    if pairs is None:
        return source.absent("auc_comparison", *needed)
    wanted = pd.MultiIndex.from_tuples(RECLASSIFICATION_PAIRS)
    chosen = pairs[pd.MultiIndex.from_frame(pairs[["model_a", "model_b"]]).isin(wanted)]
    shown = chosen if len(chosen) else pairs
    # The table gives a minus b; the reader wants what the larger model adds.
    rows = _named(shown).assign(
        gain=-shown["difference"],
        ci=intervals(-shown["ci_high"], -shown["ci_low"], digits(3)),
    )
    return table(
        rows,
        {
            "model_a": "Reference",
            "model_b": "Model",
            "estimate": "Estimate",
            "gain": "Gain in AUC",
            "ci": "95 % CI",
            "p": "p",
        },
        caption="DeLong tests of paired areas",
        formats={"gain": digits(3), "ci": str, "p": p_value},
        note="All pairs are in the table auc_comparison." if len(chosen) else "",
    )


def _reclassification(source: Source) -> Block | None:
    needed = ("model_a", "model_b", "estimate", "measure", "part", "value", "ci_low", "ci_high", "p")
    found = source.get("reclassification", *needed)
    if found is None:
        return None
    total = found[found["part"] == "total"]
    rows = _named(total).assign(
        measure=total["measure"].str.replace("_", " ").str.replace("nri", "NRI").str.replace("idi", "IDI"),
        ci=intervals(total["ci_low"], total["ci_high"]),
    )
    return table(
        rows,
        {
            "model_a": "Reference",
            "model_b": "Model",
            "estimate": "Estimate",
            "measure": "Measure",
            "value": "Value",
            "ci": "95 % CI",
            "p": "p",
        },
        caption="Net reclassification and integrated discrimination improvement",
        formats={"value": significant, "ci": str, "p": p_value},
        note=_risk_classes(found),
    )


def _risk_classes(found: pd.DataFrame) -> str:
    cuts = sorted(set(found["cutoffs"].dropna())) if "cutoffs" in found.columns else []
    limits = " and ".join(f"{100 * float(cut):g} %" for cut in cuts[0].split()) if cuts else ""
    return f"Risk classes of the categorical NRI are cut at {limits}." if limits else ""


def _odds_ratios(source: Source) -> Block | None:
    needed = ("model", "term", "log_odds", "ci_low", "ci_high", "p")
    found = source.get("logistic_coefficients", *needed)
    if found is None:
        return None
    model = "Attenuation" if "Attenuation" in set(found["model"]) else str(found["model"].iloc[-1])
    rows = found[(found["model"] == model) & (found["term"] != "(Intercept)")]
    reference = reference_levels(source, rows["term"])
    rows = per_shown_unit(rows.rename(columns={"log_odds": "estimate"}))
    rows = rows.assign(
        odds_ratio=np.exp(rows["estimate"]),
        ci=intervals(np.exp(rows["ci_low"]), np.exp(rows["ci_high"])),  # the table's are of the log odds
        term=rows["term"].map(term_words(source)),
    )
    infinite = rows.loc[rows["odds_ratio"].isna(), "term"]
    why = (
        f"Without a finite estimate (see Diagnosed problems): {', '.join(infinite)}." if len(infinite) else ""
    )
    return table(
        rows,
        {"term": "Term", "odds_ratio": "Odds ratio", "ci": "95 % CI", "p": "p"},
        caption=f"Odds ratios of the model {model}",
        formats={"odds_ratio": significant, "ci": str, "p": p_value},
        note=f"Intervals and p are Wald's. {reference} {why}".replace("  ", " ").strip(),
    )


def calibration(source: Source) -> Section:
    """Calibration measures and curves, and decision curves."""
    section = Section("calibration", "Calibration and clinical use")
    needed = ("model", "estimate", "intercept", "slope", "ici", "e50", "e90", "brier", "hosmer_lemeshow_p")
    found = source.get("calibration", *needed)
    if found is None:
        section.add(source.absent("calibration", *needed))
    else:
        section.add(
            table(
                _named(found),
                {
                    "model": "Model",
                    "estimate": "Estimate",
                    "intercept": "Intercept",
                    "slope": "Slope",
                    "ici": "ICI",
                    "e50": "E50",
                    "e90": "E90",
                    "brier": "Brier",
                    "hosmer_lemeshow_p": "Hosmer-Lemeshow p",
                },
                caption="Calibration",
                formats={
                    **dict.fromkeys(("intercept", "slope"), digits(2)),
                    **dict.fromkeys(("ici", "e50", "e90", "brier"), digits(4)),
                    "hosmer_lemeshow_p": p_value,
                },
                note="Apparent intercepts and slopes of a logistic model are 0 and 1 by construction.",
            )
        )
    curves = observed_risks(source)
    if curves is not None:
        for estimate in _estimates(curves):
            section.add(
                figure(calibration_curves(curves, models=_models(curves, estimate), estimate=estimate))
            )
    drawn = ("model", "estimate", "threshold", "net_benefit", "treat_all")
    benefit = source.get("decision_curve", *drawn)
    if benefit is None:
        return section.add(source.absent("decision_curve", *drawn))
    for estimate in _estimates(benefit):
        section.add(figure(decision_curves(benefit, models=_models(benefit, estimate), estimate=estimate)))
    return section


def observed_risks(source: Source) -> pd.DataFrame | None:
    """Smooth observed risk of every model, from the predictions and the fractures of the same participants."""
    predictions = source.get("predictions", "participant", "model", "apparent", "out_of_fold")
    cohort = source.get("cohort", "participant", "fracture")
    if predictions is None or cohort is None:
        return None
    fracture = predictions["participant"].map(cohort.set_index("participant")["fracture"]).astype(float)
    parts = []
    for estimate in ("apparent", "out_of_fold"):
        rows = predictions.assign(outcome=fracture, risk=predictions[estimate]).dropna(
            subset=["outcome", "risk"]
        )
        for model, own in rows.groupby("model", sort=False):
            if own["outcome"].nunique() == 2:
                curve = calibration_curve(own["outcome"].to_numpy(), own["risk"].to_numpy(dtype=float))
                parts.append(curve.assign(model=model, estimate=estimate))
    return pd.concat(parts, ignore_index=True) if parts else None
