"""The statistics against R on the synthetic cohort of 1,316 participants in `data/statistics`."""

from __future__ import annotations

from itertools import product

from paraspinal_assets.statistics.anova import compare_nested
from paraspinal_assets.statistics.benchmark import benchmark_bounds
from paraspinal_assets.statistics.calibration import (
    brier,
    calibration_curve,
    calibration_distances,
    calibration_line,
)
from paraspinal_assets.statistics.delong import auc_estimate, compare_auc_paired
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.logistic import logistic_model
from paraspinal_assets.statistics.models import FRACTURE_MODELS, LINEAR_MODELS
from paraspinal_assets.statistics.profile import profile_intervals
from paraspinal_assets.statistics.quartiles import cut_points
from paraspinal_assets.statistics.reclassification import idi, nri_categorical, nri_continuous
from paraspinal_assets.statistics.sensitivity import Treatment
from paraspinal_assets_tests.statistics.r_reference import imputed, reference, vector
from paraspinal_assets_tests.statistics.test_linear import COEFFICIENTS, FIT
from paraspinal_assets_tests.statistics.test_reclassification import PAIRS
from paraspinal_assets_tests.statistics.test_roc import MODELS, scores
from paraspinal_assets_tests.statistics.test_sensitivity import BISPHOSPHONATES, BOUNDS
from paraspinal_assets_tests.validation.comparison import Comparison, pairs

R = reference("A")
"""What R gave for the cohort."""
ESTIMATES = ("apparent", "oof_10fold")


def comparisons() -> list[Comparison]:
    """Every comparison with R, in the order of the analysis."""
    return [*_linear(), *_sensitivity(), *_logistic(), *_discrimination(), *_calibration(), _quartiles()]


def _linear() -> list[Comparison]:
    models = {name: linear_model(imputed(), f"vBMD ~ {formula}") for name, formula in LINEAR_MODELS.items()}
    coefficients, fits, tests = [], [], []
    for name, model in models.items():
        want = R["linear"][name]
        table = model.coefficient_table().query("not aliased")
        for ours, theirs in COEFFICIENTS.items():
            coefficients += pairs(table[ours], want["coefficients"][theirs])
        got = model.fit_statistics()
        fits += [(got[ours], want[theirs]) for ours, theirs in FIT.items()]
    for pair, want in R["anova_pairs"].items():
        small, large = pair.split("_")
        got = compare_nested(models[small], models[large])
        tests += [(got["f"], want["F"][1]), (got["p"], want["p"][1])]
    return [
        Comparison.of("Estimates, errors, t, p, intervals of six models", "`lm`", coefficients, 1e-9),
        Comparison.of("σ, R², F, log-likelihood, AIC, BIC, errors", "`lm`", fits, 1e-9),
        Comparison.of("F and p of nested pairs", "`anova`", tests, 1e-9),
    ]


def _sensitivity() -> list[Comparison]:
    want = R["sensemakr"]["model5_bisphosphonates"]
    model = linear_model(imputed(), f"vBMD ~ {LINEAR_MODELS['model5']}")
    got = Treatment.of(model, "Median").statistics(q=1, alpha=0.05)
    bounds = benchmark_bounds(model, "Median", BISPHOSPHONATES)
    names = {"rv_q": "rv_q", "rv_qa": "rv_qa", "partial_r2": "r2yd.x", "partial_f2": "f2yd.x"}
    strengths = [(got[ours], want["stats"][theirs]) for ours, theirs in names.items()]
    limits = [pair for ours, theirs in BOUNDS.items() for pair in pairs(bounds[ours], want["bounds"][theirs])]
    return [
        Comparison.of("Robustness values, partial R² and f²", "`sensemakr`", strengths, 1e-9),
        Comparison.of("Bounds by benchmark covariate", "`sensemakr`", limits, 1e-9),
    ]


def _logistic() -> list[Comparison]:
    odds, fits, profiles = [], [], []
    for name, formula in FRACTURE_MODELS.items():
        model = logistic_model(imputed(), f"VFx ~ {formula}")
        table = model.coefficient_table().set_index("term")["log_odds"]
        tight, loose = R["logistic_tight_convergence"][name], R["logistic"][name]
        odds += [(table[term], value) for term, value in tight["coef"].items()]
        fits += [(model.deviance, tight["deviance"]), (model.aic, loose["AIC"]), (model.bic, loose["BIC"])]
        limits = profile_intervals(model)
        profiles += pairs(limits[:, 0], loose["profile_ci"]["lower"])
        profiles += pairs(limits[:, 1], loose["profile_ci"]["upper"])
    return [
        Comparison.of("Log odds of seven fracture models", "`glm`, tight convergence", odds, 1e-8),
        Comparison.of("Deviance, AIC, BIC", "`glm`", fits, 1e-10),
        Comparison.of("Profile likelihood intervals", "`confint` of MASS", profiles, 1e-6),
    ]


def _discrimination() -> list[Comparison]:
    y = vector("y")
    areas, tests = [], []
    for estimate, model in product(ESTIMATES, MODELS):
        want = R["roc"][estimate][model]
        got = auc_estimate(y, scores(estimate, model))
        areas += pairs(
            (got.auc, got.variance, got.ci_low), (want["auc"], want["delong_var"], want["delong_ci"][0])
        )
    for estimate in ESTIMATES:
        for pair, want in R["delong"][estimate].items():
            a, b = pair.split("__")
            got = compare_auc_paired(y, scores(estimate, a), scores(estimate, b))
            tests += pairs((got.z, got.p), (want["statistic"], want["p_value"]))
    return [
        Comparison.of("AUC, its variance and lower limit, apparent and out of fold", "`pROC`", areas, 1e-9),
        Comparison.of("DeLong's z and p of every pair of models", "`pROC`", tests, 1e-9),
        Comparison.of(
            "NRI (continuous, by class) and IDI", "`improveProb` of Hmisc", _reclassification(), 1e-9
        ),
    ]


def _reclassification() -> list[tuple[float, float]]:
    y, found = vector("y"), []
    for estimate, (a, b) in product(ESTIMATES, PAIRS):
        want = R["reclassification"][estimate][f"{a}__{b}"]
        first, second = scores(estimate, a), scores(estimate, b)
        found += [
            (nri_continuous(y, first, second).total.value, want["continuous"]["nri"]),
            (nri_categorical(y, first, second, (0.03, 0.1)).total.value, want["categorical"]["nri"]),
            (idi(y, first, second).value, want["continuous"]["idi"]),
        ]
    return found


def _calibration() -> list[Comparison]:
    y = vector("y")
    lines, smooth, briers = [], [], []
    for estimate, model in product(ESTIMATES, MODELS):
        want = R["calibration"][estimate][model]
        line = calibration_line(y, scores(estimate, model))
        lines.append((line.slope, want["slope"]))
        if estimate != "apparent":  # 0 by construction
            lines.append((line.intercept, want["intercept_with_slope"]))
        briers.append((brier(y, scores(estimate, model))["brier"], want["brier"]))
        distances = calibration_distances(calibration_curve(y, scores(estimate, model)))
        rms = want["rms_val_prob"]
        smooth += pairs((distances["ici"], distances["e90"]), (rms["Eavg"], rms["E90"]))
    return [
        Comparison.of("Calibration slope and intercept", "`glm` on the log odds", lines, 1e-5),
        Comparison.of("Brier score", "formula in R", briers, 1e-9),
        Comparison.of("Smooth calibration: mean and 90 % distance", "`val.prob` of rms", smooth, 1e-6),
    ]


def _quartiles() -> Comparison:
    found = []
    for name in ("Median", "Shape"):
        want = R["quartiles"][f"{name}_imputed"]["quantiles_type7"]
        found += pairs(cut_points(imputed()[name]), list(want.values()))
    return Comparison.of("Quartiles of attenuation and volume", "`quantile`, type 7", found, 0)
