"""The tables of a whole study, made from the synthetic cohort of the statistics' fixtures."""

import io
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from paraspinal_assets.report.blocks import PictureBlock
from paraspinal_assets.statistics.anova import compare_nested
from paraspinal_assets.statistics.auc_tables import auc_table, band_table, comparison_table, curve_table
from paraspinal_assets.statistics.benchmark import benchmark_bounds
from paraspinal_assets.statistics.calibration import calibration_table
from paraspinal_assets.statistics.column_types import coerce_columns
from paraspinal_assets.statistics.decision import decision_table
from paraspinal_assets.statistics.diagnostics import row_diagnostics
from paraspinal_assets.statistics.dose_response import dose_response
from paraspinal_assets.statistics.imputation import impute_median
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.logistic import logistic_model
from paraspinal_assets.statistics.longitudinal import annual_change, change_summary
from paraspinal_assets.statistics.models import FRACTURE_MODELS, LINEAR_MODELS, MESA_COLUMNS
from paraspinal_assets.statistics.quartiles import low_quartile
from paraspinal_assets.statistics.sensitivity import Treatment
from paraspinal_assets.statistics.subgroups import subgroup_effects
from paraspinal_assets.statistics.table_one import table_one

LEVELS = tuple(f"T{i}" for i in range(1, 11))
COHORT_CSV = Path(__file__).parent.parent / "data" / "statistics" / "A.csv"


@cache
def source():
    table = coerce_columns(pd.read_csv(COHORT_CSV), MESA_COLUMNS).table
    return impute_median(table, "original")[0]


def cohort():
    table = source()
    return pd.DataFrame(
        {
            "participant": [f"demo{i:04d}" for i in range(len(table))],
            "sex": table["Gender"],
            "age": table["Age"],
            "attenuation": table["Median"],
            "volume": table["Shape"],
            "vbmd": table["vBMD"],
            "fracture": table["VFx"],
        }
    )


def muscle(participants=120):
    rng = np.random.default_rng(3)
    people = cohort().head(participants)
    rows = []
    for person in people.itertuples():
        for place, level in enumerate(LEVELS):
            for side in ("left", "right", "both"):
                rows.append(
                    {
                        "participant": person.participant,
                        "exam": "exam5",
                        "level": level,
                        "side": side,
                        "median_hu": person.attenuation + 1.5 * place + rng.normal(0, 4),
                        "volume_mm3": person.volume
                        * 0.1
                        * (1 + 0.08 * place)
                        * (1 if side == "both" else 0.5),
                        "fat_fraction": float(np.clip(0.3 - person.attenuation / 120, 0, 1)),
                        "area_mm2": 900.0,
                        "reason": None,
                    }
                )
    return pd.DataFrame(rows)


def disposition():
    rows = [
        ("raw", "Scans found", 164, 322, None),
        ("segmentation", None, 1, 1, "no_vertebrae"),
        ("quality", None, 2, 2, "touches_fov_border"),
        ("quality", None, 1, 1, "missing_level"),
        ("measured", "Both exams measured", 160, 318, None),
        ("cohort", "Follow-up missing", 4, 4, "follow-up missing"),
        ("analysed", "Analysed", 156, 312, None),
    ]
    return pd.DataFrame(rows, columns=["step", "label", "participants", "scans", "reason"])


@cache
def linear_fits():
    return {name: linear_model(source(), f"vBMD ~ {formula}") for name, formula in LINEAR_MODELS.items()}


@cache
def treatment():
    return Treatment.of(linear_fits()["model5"], "Median")


@cache
def _risks():
    risks = {
        name: logistic_model(source(), f"VFx ~ {f}").probabilities for name, f in FRACTURE_MODELS.items()
    }
    rng = np.random.default_rng(1)
    shaken = {
        name: np.clip(p * np.exp(rng.normal(0, 0.35, p.size)), 1e-6, 0.999) for name, p in risks.items()
    }
    return {"apparent": risks, "out_of_fold": shaken}


def predictions():
    risks = _risks()
    people = cohort()["participant"]
    parts = [
        pd.DataFrame(
            {
                "participant": people,
                "model": model,
                "apparent": risk,
                "out_of_fold": risks["out_of_fold"][model],
            }
        )
        for model, risk in risks["apparent"].items()
    ]
    return pd.concat(parts, ignore_index=True)


@cache
def study_tables():
    table, fits, outcome = source(), linear_fits(), source()["VFx"].to_numpy()
    coefficients = pd.concat([fit.coefficient_table().assign(model=name) for name, fit in fits.items()])
    parts = {
        "auc": [],
        "auc_comparison": [],
        "roc_curve": [],
        "roc_band": [],
        "calibration": [],
        "decision_curve": [],
    }
    for estimate, risks in _risks().items():
        for model, risk in risks.items():
            of = {"estimate": estimate}
            parts["auc"].append(auc_table(outcome, model, risk, **of)[0])
            parts["roc_curve"].append(curve_table(outcome, model, risk, max_points=200, **of))
            parts["roc_band"].append(band_table(outcome, model, risk, **of))
            parts["calibration"].append(calibration_table(outcome, model, risk, **of)[0])
            parts["decision_curve"].append(decision_table(outcome, model, risk, **of))
        for a, b in combinations(risks, 2):
            found, _ = comparison_table(outcome, (a, b), risks[a], risks[b], estimate=estimate)
            parts["auc_comparison"].append(found)
    pairs = list(combinations(fits, 2))
    bounds = benchmark_bounds(fits["model5"], "Median", {"Bisphosphonates": ["Bisphosphonates"]})
    low = low_quartile(table["Median"])
    return {
        "disposition": disposition(),
        "cohort": cohort(),
        "muscle_metrics": muscle(),
        "table_one": table_one(table, low, ["Age", "Gender", "BMI", "Diabetes", "vBMD"])[0],
        "linear_coefficients": coefficients,
        "linear_fit": pd.DataFrame([{"model": n, **f.fit_statistics()} for n, f in fits.items()]),
        "linear_comparison": pd.DataFrame(
            [{"model_a": a, "model_b": b, **compare_nested(fits[a], fits[b])} for a, b in pairs]
        ),
        "diagnostics": row_diagnostics(fits["model5"]).assign(model="model5"),
        "sensitivity": pd.DataFrame([{"model": "model5", "treatment": "Median", **treatment().statistics()}]),
        "sensitivity_bounds": bounds.assign(model="model5"),
        "predictions": predictions(),
        "dose_response": dose_response(cohort(), "attenuation", "vbmd").groups,
        **{name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()},
        "longitudinal": change_summary(change()),
        "longitudinal_change": change(),
        "subgroup_effects": subgroups().effects,
        "subgroup_interactions": subgroups().interactions,
        "quality": quality(),
        "reader_agreement": agreement(),
    }


@cache
def change():
    rng = np.random.default_rng(5)
    before = cohort()[["participant", "attenuation", "volume"]].assign(segmentation_version="a")
    after = before.assign(
        attenuation=before["attenuation"] + rng.normal(-2, 3, len(before)),
        volume=before["volume"] * rng.normal(0.98, 0.03, len(before)),
        years=rng.uniform(4, 6, len(before)),
    )
    return annual_change(before, after, ["attenuation", "volume"])


@cache
def subgroups():
    return subgroup_effects(cohort(), "vbmd", "attenuation", ["age"], ["sex", "fracture"])


def quality():
    return pd.DataFrame(
        {
            "participant": ["demo0007", "demo0011", "demo0013"],
            "exam": ["exam5", "exam5", "exam6"],
            "accepted": [False, False, True],
            "reasons": ["missing_level,touches_fov_border", "no_vertebrae", ""],
        }
    )


def agreement():
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "participant": [f"demo{i:04d}" for i in range(20)],
            "exam": "exam5",
            "structure": "muscle_both",
            "dice": rng.uniform(0.9, 0.97, 20),
            "iou": rng.uniform(0.82, 0.94, 20),
            "surface_distance_mean_mm": rng.uniform(0.4, 0.9, 20),
            "surface_distance_p95_mm": rng.uniform(1.0, 2.5, 20),
            "volume_mm3": rng.normal(400_000, 50_000, 20).round(),
        }
    )
    return table.assign(reader_volume_mm3=table["volume_mm3"] + rng.normal(4000, 6000, 20))


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (600, 300), 128).save(buffer, "JPEG")
    return buffer.getvalue()


INFO = {
    "study": "demo",
    "synthetic": True,
    "phantom_network": True,
    "versions": {"paraspinal_assets": "0.1.0", "TotalSegmentator": "2.18.0"},
    "weights": {"Dataset292": "3f2a9c1b", "Dataset294": "77aa01de"},
    "digests": {"study file": "91c3e4", "cohort": "ab12f0"},
    "generated_from": "5e884898da280471",
    "contact_sheets": [
        PictureBlock(
            "overview-rejected",
            "Rejected scans: 2",
            "Contact sheet of two scans.",
            _jpeg(),
            ("contact_sheets/rejected-1.png",),
        )
    ],
    "headline": [
        {"label": "Attenuation, lowest quartile", "value": 4.12, "unit": "HU", "truth": 4.0},
        {"label": "vBMD, lowest quartile", "value": 176.4, "unit": "mg/cm³", "truth": 176.0},
        {"label": "Adjusted R², model 5", "value": 0.268, "unit": "", "truth": 0.27},
        {"label": "AUC with attenuation", "value": 0.817, "unit": "", "truth": None},
    ],
}
