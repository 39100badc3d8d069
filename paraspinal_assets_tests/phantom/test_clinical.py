import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.metrics import roc_auc_score

from paraspinal_assets.phantom.clinical import TARGETS, make_cohort
from paraspinal_assets.phantom.demo_plan import plan_study
from paraspinal_assets.phantom.effects import adjusted_r2, auc, logistic_score


@pytest.fixture(scope="module", params=[(160, 2024), (120, 7)])
def cohort(request):
    n, seed = request.param
    return make_cohort(tuple(str(1001 + i) for i in range(n)), np.random.default_rng(seed))


def test_quartile_means_are_the_targets(cohort):
    low = cohort.attenuation5 <= np.quantile(cohort.attenuation5, 0.25)
    assert cohort.attenuation5[low].mean() == pytest.approx(TARGETS["attenuation_low_quartile_hu"])
    assert cohort.attenuation5[~low].mean() == pytest.approx(TARGETS["attenuation_other_quartiles_hu"])
    assert cohort.vbmd6[low].mean() == pytest.approx(TARGETS["vbmd_low_quartile_mg_cm3"])
    assert cohort.vbmd6[~low].mean() == pytest.approx(TARGETS["vbmd_other_quartiles_mg_cm3"])


def test_adjusted_r2_by_statsmodels(cohort):
    X = pd.get_dummies(cohort.complete.drop(columns=["manufacturer", "model"]), drop_first=True).astype(float)
    base = sm.OLS(cohort.vbmd6, sm.add_constant(X)).fit()
    full = sm.OLS(cohort.vbmd6, sm.add_constant(X.assign(attenuation=cohort.attenuation5))).fit()
    assert base.rsquared_adj == pytest.approx(TARGETS["adjusted_r2_covariates"], abs=1e-6)
    assert full.rsquared_adj == pytest.approx(TARGETS["adjusted_r2_with_attenuation"], abs=1e-6)
    assert full.params["attenuation"] > 0
    assert full.pvalues["attenuation"] < 0.01


def test_auc_by_statsmodels_and_sklearn(cohort):
    X = sm.add_constant(np.column_stack([cohort.vbmd6, cohort.attenuation5]))
    fitted = sm.Logit(cohort.fracture, X).fit(disp=0).predict(X)
    assert roc_auc_score(cohort.fracture, -cohort.vbmd6) == pytest.approx(TARGETS["auc_vbmd"], abs=0.02)
    assert roc_auc_score(cohort.fracture, fitted) == pytest.approx(TARGETS["auc_vbmd_attenuation"], abs=0.02)


def test_own_effects_agree_with_statsmodels_and_sklearn(cohort):
    y, x = cohort.vbmd6, cohort.attenuation5
    X = sm.add_constant(x)
    assert adjusted_r2(X, y) == pytest.approx(sm.OLS(y, X).fit().rsquared_adj, abs=1e-12)
    fitted = sm.Logit(cohort.fracture, np.column_stack([X, y])).fit(disp=0)
    score = logistic_score(cohort.fracture, x, y)
    assert score == pytest.approx(fitted.fittedvalues, abs=1e-6)
    assert auc(cohort.fracture, score) == pytest.approx(roc_auc_score(cohort.fracture, score), abs=1e-12)


def test_missing_values_are_few_and_never_in_what_defines_a_person(cohort):
    share = cohort.covariates.isna().mean()
    assert (share[["age", "sex", "race_ethnicity", "site", "manufacturer", "model"]] == 0).all()
    assert 0.01 < share[share > 0].mean() < 0.06


def test_dates_agree_with_age(cohort):
    age = [(exam - birth).days / 365.25 for exam, birth in zip(cohort.exam5, cohort.birth, strict=True)]
    assert np.array_equal(np.floor(age), cohort.complete["age"])
    assert ((cohort.years > 5) & (cohort.years < 7.5)).all()


def test_fractures_are_seen_as_new_deformities():
    plan = plan_study(80, 3, broken=False)
    drawn = {(s.exam, s.participant): set(s.parameters.deformities) for s in plan.scans}
    for participant, fracture in zip(plan.sound.participants, plan.sound.fracture, strict=True):
        new = drawn["exam6", participant] - drawn["exam5", participant]
        assert bool(new) == bool(fracture)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_participants_is_a_cohort_too(n):
    cohort = make_cohort(tuple(str(i) for i in range(n)), np.random.default_rng(0))
    assert np.isfinite(cohort.vbmd6).all()
    assert len(cohort.covariates) == n
