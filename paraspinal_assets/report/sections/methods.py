"""How the numbers came about, and the reporting checklists with what is still for the authors to fill."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import pandas as pd
import yaml

from paraspinal_assets.report.blocks import Paragraph, Section, Source, table

PROBLEM_TABLES: Final = (
    *("problems", "quartile_problems", "table_one_problems", "regression_problems", "fracture_problems"),
    *("subgroup_problems", "longitudinal_problems"),
)
"""Of the analysis of a flat table, and of the parts of a study's."""


IMPUTATIONS: Final = {
    "predictors": "numbers among the predictors are replaced by their medians, outcomes and categories are not",
    "original": "all numbers are replaced by their medians, outcomes too, as in the original study",
    "multiple": "chained equations with predictive mean matching, pooled by Rubin's rules",
    "none": "participants with a missing value are left out of the models that use it",
}


def methods(source: Source) -> Section:
    """Methods paragraph, formulas, versions, weights and digests."""
    section = Section("methods", "Methods")
    info = source.info
    section.add(*(Paragraph(paragraph) for paragraph in info.get("methods", default_methods(info))))
    models = [
        (model, of, terms) for of, own in info.get("models", {}).items() for model, terms in own.items()
    ]
    if models:
        formulas = pd.DataFrame(models, columns=["Model", "Outcome", "Terms"])
        section.add(
            table(
                formulas, {name: name for name in ("Model", "Outcome", "Terms")}, caption="Models", formats={}
            )
        )
    for key, caption, heads in (
        ("versions", "Versions", ("Part", "Version")),
        ("weights", "Weights of the networks", ("Network", "Digest")),
        ("digests", "What the numbers were made from", ("Part", "Digest")),
    ):
        values = info.get(key)
        if values:
            rows = pd.DataFrame({"name": list(values), "value": [str(value) for value in values.values()]})
            section.add(table(rows, {"name": heads[0], "value": heads[1]}, caption=caption, formats={}))
        else:
            section.add(Paragraph(f"Not available: {caption.lower()} were not recorded.", "missing"))
    return section


def default_methods(info: Mapping[str, Any]) -> list[str]:
    """The methods paragraph for a study with the default options; only what holds for every study."""
    imaging = (
        "Paraspinal (autochthonous) muscle and vertebrae were segmented on chest CT. Each vertebral level's slab "
        "reaches from the lowest to the highest axial slice with a voxel of that vertebra; muscle volume is the "
        "number of muscle voxels times the voxel volume, attenuation the median of their Hounsfield units, and over "
        "all levels each voxel counts once. Vertebral bone density is a linear calibration of trabecular attenuation."
    )
    statistics = (
        "Quartiles are type 7; the lowest holds values at or below the first cut point. Linear models are least "
        "squares on the participants with complete data after imputation; nested models are compared by F tests. "
        "Sensitivity to unmeasured confounding follows Cinelli and Hazlett (2020). Fracture models are logistic; areas "
        "under the ROC curve are compared by DeLong's test; out-of-fold predictions come from stratified cross-"
        "validation. Intervals are 95 %, tests two-sided."
    )
    paragraphs = [] if info.get("imaging") is False else [imaging]
    if info.get("imputation"):
        words = IMPUTATIONS.get(str(info["imputation"]), "")
        statistics += f" Missing values, imputation “{info['imputation']}”: {words}."
    return [*paragraphs, statistics]


def problems(source: Source) -> Section:
    """What the analysis diagnosed: separation, aliased columns, models that could not be fitted."""
    section = Section("problems", "Diagnosed problems")
    found = [source.get(name, "analysis", "model", "code", "message") for name in PROBLEM_TABLES]
    rows = [frame for frame in found if frame is not None]
    if not rows:
        return section.add(Paragraph("The analysis reported no problem."))
    heads = {"analysis": "Analysis", "model": "Model", "code": "Code", "message": "What was found"}
    return section.add(
        table(
            pd.concat(rows).drop_duplicates(), heads, caption="Problems that the analysis found", formats={}
        )
    )


@cache
def guidelines() -> dict[str, dict[str, Any]]:
    """Name of a reporting guideline -> its `source`, and its `items` as the shipped file explains them."""
    content = (files("paraspinal_assets.report") / "templates" / "checklists.yaml").read_text(
        encoding="utf-8"
    )
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(content)
    return loaded


def checklists(source: Source) -> Section:
    """STROBE, TRIPOD+AI and CLAIM: what the report answers, and what the authors still have to."""
    section = Section("checklists", "Reporting checklists")
    section.add(
        Paragraph(
            "Prefilled where this report has the answer; the last column is what the data cannot tell. The items are "
            "paraphrased: use the published checklists for submission."
        )
    )
    heads = {"item": "Item", "asks": "Asks for", "here": "In this report", "authors": "For the authors"}
    for name, guideline in guidelines().items():
        rows = pd.DataFrame([_answered(item, source) for item in guideline["items"]])
        section.add(table(rows, heads, caption=name, formats={}, note=f"{guideline['source']}."))
    return section


def _answered(item: Mapping[str, Any], source: Source) -> dict[str, str]:
    """The row of an item: where the report answers it, if the table for it is there, and what is left."""
    here, left = item.get("states") or "; ".join(item.get("where", ())), item.get("authors", "")
    needed = item.get("needs")
    if needed and source.get(needed) is None:
        here, left = "", f"all; this report has no {needed.replace('_', ' ')}"
    return {
        "item": str(item["item"]),
        "asks": item["asks"],
        "here": here or "–",
        "authors": left or ("–" if here else "all"),
    }
