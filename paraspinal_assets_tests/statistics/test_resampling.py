import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics import optimism
from paraspinal_assets.statistics.logistic import logistic_model
from paraspinal_assets.statistics.models import FRACTURE_MODELS
from paraspinal_assets.statistics.optimism import bootstrap_optimism
from paraspinal_assets.statistics.resampling import out_of_fold, stratified_folds
from paraspinal_assets_tests.statistics.r_reference import imputed, vector


@pytest.mark.parametrize("name", FRACTURE_MODELS)
def test_out_of_fold_predictions_match_r(name):
    fit = logistic_model(imputed(), f"VFx ~ {FRACTURE_MODELS[name]}")
    got = out_of_fold(fit, vector("fold"))
    np.testing.assert_allclose(got.probabilities, vector("oof_probability", name), rtol=0, atol=1e-6)
    assert got.notes == ()


def test_folds_are_stratified_equal_and_repeatable():
    y = (np.arange(1003) % 17 == 0).astype(float)
    folds = stratified_folds(y, 10, seed=5)
    sizes = np.bincount(folds)[1:]
    cases = np.bincount(folds, weights=y)[1:]
    assert np.ptp(sizes) <= 1
    assert np.ptp(cases) <= 1
    np.testing.assert_array_equal(folds, stratified_folds(y, 10, seed=5))
    assert (folds != stratified_folds(y, 10, seed=6)).any()


def test_too_few_cases_for_the_folds_is_refused():
    with pytest.raises(StatisticsError) as error:
        stratified_folds(np.r_[np.ones(4), np.zeros(9)], 10)
    assert error.value.code == "E-STAT-FOLDS"
    assert error.value.remedy == "Use at most 4 folds."
    with pytest.raises(StatisticsError, match="1 rows have the outcome 1"):
        stratified_folds(np.r_[np.ones(1), np.zeros(100)], 10)


def test_a_level_missing_from_training_is_noted():
    table = pd.DataFrame({"y": np.arange(60) % 2 * 1.0, "g": ["rare"] * 3 + ["a", "a", "b"] * 19})
    got = out_of_fold(logistic_model(table, "y ~ g"), np.r_[np.ones(3), np.full(57, 2)])
    assert got.notes[0].startswith("fold 1.0: grare cannot")
    assert np.isfinite(got.probabilities[:3]).all()
    assert got.notes[1].startswith("fold 2.0: ")
    assert list(got.probabilities[3:]) == pytest.approx([1 / 3] * 57)


def test_noise_variables_make_the_optimism():
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(size=(200, 11)), columns=["y", *"abcdefghij"])
    table["y"] = (generator.random(200) < 0.3).astype(float)
    fit = logistic_model(table, "y ~ a + b + c + d + e + f + g + h + i + j")
    got = bootstrap_optimism(fit, replicates=100, seed=1)
    apparent = _auc(fit.probabilities, fit.design.y)
    assert apparent > 0.6
    assert apparent - got.mean == pytest.approx(0.5, abs=0.06)
    assert got == bootstrap_optimism(fit, replicates=100, seed=1)


def _auc(score, y):
    return np.mean((score[y == 1][:, None] > score[y == 0][None, :]) * 1.0)


def test_the_control_variate_does_not_move_the_optimism():
    """Against Harrell's plain estimate from the same number of replicates, within its Monte-Carlo error."""
    fit = logistic_model(imputed(), f"VFx ~ {FRACTURE_MODELS['FRAXnb']}")
    got = bootstrap_optimism(fit, replicates=60, seed=2)
    generator = np.random.default_rng(9)
    plain = []
    for _ in range(60):
        rows = generator.integers(0, len(fit.design.y), len(fit.design.y))
        sample = imputed().iloc[rows]
        refitted = logistic_model(sample, f"VFx ~ {FRACTURE_MODELS['FRAXnb']}")
        here = refitted.predict(fit.design.x)
        plain.append(_auc(refitted.probabilities, refitted.design.y) - _auc(here, fit.design.y))
    assert got.mean == pytest.approx(np.mean(plain), abs=4 * np.std(plain) / np.sqrt(60))


def test_a_separated_model_loses_no_replicate():
    table = imputed().assign(rare=np.arange(1316) == 700)
    fit = logistic_model(table, "VFx ~ rare + vBMD + Shape")
    plain = logistic_model(table, "VFx ~ vBMD + Shape")
    assert len(fit.separated) == 1
    got, want = (bootstrap_optimism(f, replicates=40, seed=3) for f in (fit, plain))
    assert [got.replicates, got.failed] == [40, 0]
    assert got.mean == pytest.approx(want.mean, abs=2e-3)


def test_samples_without_a_rare_level_or_without_cases(monkeypatch):
    """Sample by sample: the optimism is the plain one at zero noise, the intercept of a line through both."""
    generator = np.random.default_rng(3)
    x = pd.DataFrame({"v": generator.normal(size=60), "rare": np.arange(60) < 3}).astype(float)
    table = x.assign(y=np.isin(np.arange(60), [0, 8, 15, 40]) * 1.0)
    fit = logistic_model(table, "y ~ v + rare")
    plain, noise, again = [], [], np.random.default_rng(7)
    for _ in range(100):
        rows = again.integers(0, 60, 60)
        if table["y"][rows].any():
            refitted = logistic_model(table.iloc[rows], "y ~ v + rare")
            score, own = fit.design.x[:, refitted.kept] @ refitted.beta, fit.design.x @ fit.beta
            y = fit.design.y
            plain.append(_auc(score[rows], y[rows]) - _auc(score, y))
            noise.append(_auc(own[rows], y[rows]) - _auc(own, y))
    got = bootstrap_optimism(fit, replicates=100, seed=7)
    assert 0 < got.failed == 100 - len(plain)
    assert got.mean == pytest.approx(np.polyfit(noise, plain, 1)[1], abs=1e-9)
    monkeypatch.setattr(optimism, "BATCH_NUMBERS", 60 * 7)
    by_sevens = bootstrap_optimism(fit, replicates=100, seed=7)
    assert (by_sevens.replicates, by_sevens.mean) == (got.replicates, pytest.approx(got.mean, abs=1e-9))
    assert np.isnan(bootstrap_optimism(fit, replicates=0).mean)
