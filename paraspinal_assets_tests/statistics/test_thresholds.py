from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.roc import roc_curve
from paraspinal_assets.statistics.thresholds import (
    RULES,
    confusion_at,
    confusion_by_rule,
    rule_threshold,
    thresholds_table,
)
from paraspinal_assets_tests.statistics.r_reference import cohort, reference, vector
from paraspinal_assets_tests.statistics.test_roc import MODELS, scores

BY_CLASS = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Pos Pred Value",
    "npv": "Neg Pred Value",
    "f1": "F1",
    "balanced_accuracy": "Balanced Accuracy",
}


def same(value, want):
    """R writes NA and NaN for what cannot be computed; here it is None."""
    if want is None or want != want:
        return value is None
    return value == pytest.approx(want, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("group", "estimate", "rule"),
    [
        ("at_0.5", "apparent", "0.5"),
        ("at_prevalence", "apparent", "prevalence"),
        ("at_youden", "apparent", "youden"),
        ("oof_at_prevalence", "oof_10fold", "prevalence"),
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_cells_and_metrics_match_caret(group, estimate, rule, model):
    want = reference("A")["confusion"][group][model]
    got = confusion_by_rule(vector("y"), scores(estimate, model), rule)
    assert got.threshold == pytest.approx(want["threshold"], rel=1e-12)
    assert (got.tp, got.fp, got.tn, got.fn) == (want["tp"], want["fp"], want["tn"], want["fn"])
    for mine, theirs in BY_CLASS.items():
        assert same(getattr(got, mine), want["byClass"][theirs]), mine
    assert same(got.accuracy, want["overall"]["Accuracy"])
    assert same(got.kappa, want["overall"]["Kappa"])


@pytest.mark.parametrize("model", MODELS)
def test_the_original_scripts_class_0_numbers_are_an_option(model):
    want = reference("A")["confusion"]["at_0.5"][model]["repo_script_default_positive"]
    risk = scores("apparent", model)
    row = thresholds_table(
        vector("y"), model, risk, estimate="apparent", rules=["0.5"], positive_class="no_fracture"
    )[0].iloc[0]
    assert (row.ppv, row.sensitivity, row.f1) == pytest.approx(
        (want["precision"], want["recall"], want["F1"]), rel=1e-12
    )


@pytest.mark.parametrize("estimate", ["apparent", "oof_10fold"])
@pytest.mark.parametrize("model", MODELS)
def test_best_points_match_proc(estimate, model):
    want = reference("A")["roc"][estimate][model]
    for rule in ("youden", "closest_topleft"):
        got = confusion_by_rule(vector("y"), scores(estimate, model), rule)
        assert got.threshold == pytest.approx(want[rule]["threshold"], rel=1e-12)
        assert got.sensitivity == pytest.approx(want[rule]["sensitivity"], rel=1e-12)
        assert got.specificity == pytest.approx(want[rule]["specificity"], rel=1e-12)


@pytest.mark.parametrize(("column", "key"), [("s", "s_auto"), ("t", "t_auto")])
def test_youden_follows_a_reversed_score(column, key):
    want, frame = reference("edge/edge")["reversed"][key]["youden"], cohort("edge/reversed")
    got = confusion_by_rule(frame["y"], frame[column], "youden")
    assert (got.threshold, got.sensitivity, got.specificity) == pytest.approx(
        (want["threshold"], want["sensitivity"], want["specificity"]), rel=1e-12
    )


def test_rate_rules_take_the_best_threshold_that_keeps_the_rate():
    y, p = vector("y"), scores("apparent", "vBMD")
    curve = roc_curve(y, p)
    for rule, kept, other in (
        ("sensitivity_0.8", "sensitivity", "specificity"),
        ("specificity_0.9", "specificity", "sensitivity"),
    ):
        got = confusion_by_rule(y, p, rule)
        rate = float(rule.partition("_")[2])
        assert getattr(got, kept) >= rate
        rates = {"sensitivity": curve.sensitivities, "specificity": curve.specificities}
        assert getattr(got, other) == rates[other][rates[kept] >= rate].max()


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        ("sensitivity_0.5", 0.35),
        ("sensitivity_1", 0.15),
        ("specificity_0.5", 0.15),
        ("specificity_0.9", 0.35),
    ],
)
def test_rate_rules_of_four_people(rule, threshold):
    assert confusion_by_rule([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], rule).threshold == pytest.approx(threshold)


def test_a_score_on_the_threshold_of_a_curve_is_positive():
    above = np.nextafter(0.5, 1)
    got = confusion_by_rule([0, 1], [0.5, above], "youden")
    assert (got.tp, got.fp, got.threshold) == (1, 0, above)


def test_cases_alone_have_no_balanced_accuracy():
    got = confusion_at([1, 1], [0.2, 0.7], 0.5)
    assert (got.sensitivity, got.specificity, got.balanced_accuracy) == (0.5, None, None)


def test_one_class_confusion_matches_caret():
    want, frame = reference("edge/edge")["oneclass"]["confusion"], cohort("edge/oneclass")
    got = confusion_at(frame["y"], frame["s1"], 0)
    assert same(got.accuracy, want["Accuracy"])
    assert same(got.kappa, want["Kappa"])
    for mine, theirs in (BY_CLASS | {"ppv": "Precision"}).items():
        if mine != "npv":  # caret takes it from Bayes' rule, which has no answer without cases
            assert same(getattr(got, mine), want[theirs]), mine
    assert got.npv == 1


def test_every_rule_has_a_row_and_what_is_undefined_is_empty():
    table, diagnoses = thresholds_table(
        vector("y"), "FRAXnb", scores("apparent", "FRAXnb"), estimate="apparent"
    )
    assert list(table["rule"]) == list(RULES)
    assert diagnoses == ()
    nobody = table.iloc[0]
    assert (nobody.tp, nobody.fp) == (0, 0)
    assert pd.isna(nobody.ppv)
    assert pd.isna(nobody.f1)
    assert nobody.kappa == 0


def test_constant_score_is_diagnosed():
    frame = cohort("edge/constant")
    table, diagnoses = thresholds_table(
        frame["y"], "flat", frame["const"], estimate="apparent", rules=["youden"]
    )
    assert pd.isna(table.threshold[0])
    assert [(d.model, d.code) for d in diagnoses] == [("flat", "E-STAT-CONSTANT")]


def test_unknown_rule_is_refused():
    with pytest.raises(StatisticsError, match="E-STAT-RULE"):
        rule_threshold(roc_curve([0, 1], [0.1, 0.2]), "best_guess")
