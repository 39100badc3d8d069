import numpy as np
import statsmodels.api as sm

from paraspinal_assets.statistics.logistic import logistic_model
from paraspinal_assets.statistics.models import FRACTURE_MODELS
from paraspinal_assets.statistics.reweighting import refit_together
from paraspinal_assets_tests.statistics.r_reference import imputed


def test_refits_are_those_of_weighted_logistic_regression():
    fit = logistic_model(imputed(), f"VFx ~ {FRACTURE_MODELS['Volume']}")
    generator = np.random.default_rng(4)
    n = len(fit.design.y)
    weights = np.column_stack([generator.random(n) < 0.95, generator.random(n) + 0.5]).astype(float)
    x = np.ascontiguousarray(fit.design.x[:, fit.kept])
    betas, settled = refit_together(fit, x, weights, decrement=1e-6)
    assert settled.all()
    for weight, beta in zip(weights.T, betas.T, strict=True):
        family = sm.families.Binomial()
        want = sm.GLM(fit.design.y, x, family=family, freq_weights=weight).fit(tol=1e-12)
        np.testing.assert_allclose(beta / want.bse, want.params / want.bse, atol=2e-3)
