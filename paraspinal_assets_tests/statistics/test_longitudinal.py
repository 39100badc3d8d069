from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.longitudinal import (
    annual_change,
    change_models,
    change_summary,
)

MEASURES = ["attenuation", "volume", "vbmd"]


@pytest.fixture
def exams():
    rng = np.random.default_rng(11)
    n = 60
    first = pd.DataFrame({"participant": [f"p{i:02}" for i in range(n)], "segmentation_version": "2.18/abc"})
    for name, mean, sd in (("attenuation", 30, 8), ("volume", 4e5, 6e4), ("vbmd", 190, 40)):
        first[name] = rng.normal(mean, sd, n)
    second = first.copy()
    second["years"] = rng.uniform(5, 7, n)
    second["attenuation"] -= 0.5 * second["years"] + rng.normal(0, 0.3, n)
    second["vbmd"] -= 1.5 * second["years"] + rng.normal(0, 2, n)
    return first, second.sample(frac=1, random_state=1)


def test_known_slopes_come_back(exams):
    changes = annual_change(*exams, MEASURES)
    assert len(changes) == 180
    summary = change_summary(changes).set_index("measure")
    for measure, slope in (("attenuation", -0.5), ("vbmd", -1.5)):
        row = summary.loc[measure]
        assert row.ci_low < slope < row.ci_high
        rate = changes.loc[changes.measure == measure, "change_per_year"]
        t = stats.ttest_1samp(rate, 0)
        assert (row.t, row.p) == pytest.approx((t.statistic, t.pvalue), rel=1e-9, abs=0)
        assert (row.ci_low, row.ci_high) == pytest.approx(tuple(t.confidence_interval(0.95)), rel=1e-9)
    assert summary.loc["volume", "change_per_year"] == 0
    assert np.isnan(summary.loc["volume", "p"])


def test_missing_pairs_carry_their_reason(exams):
    first, second = exams
    second = second.sort_values("participant").reset_index(drop=True)
    second.loc[0, "segmentation_version"] = "2.19/def"
    second.loc[1, "years"] = 0.0
    second.loc[2, "vbmd"] = np.nan
    first.loc[3, "vbmd"] = np.nan
    second.loc[4, "segmentation_version"] = None
    got = annual_change(first, second, ["vbmd"])
    want = ["segmentation_differs", "no_interval", "no_follow_up", "no_baseline", "segmentation_differs"]
    assert got.reason[:5].tolist() == want
    assert got.change_per_year[:5].isna().all()
    assert got.reason[5:].isna().all()
    assert change_summary(got).n.tolist() == [55]


def test_different_models_are_refused(exams):
    first, second = exams
    with pytest.raises(StatisticsError, match=r"2\.18/abc, follow-up 3\.0/xyz"):
        annual_change(first, second.assign(segmentation_version="3.0/xyz"), MEASURES)


def test_repeated_absent_and_unmatched_participants_are_named(exams):
    first, second = exams
    with pytest.raises(StatisticsError, match="'p00'"):
        annual_change(pd.concat([first, first.head(1)]), second, MEASURES)
    with pytest.raises(StatisticsError, match="'years'"):
        annual_change(first, second.drop(columns="years"), MEASURES)
    with pytest.raises(StatisticsError, match="E-STAT-PAIRS"):
        annual_change(first, second.assign(participant="other" + second.participant), MEASURES)


def test_baseline_adjusted_model_agrees_with_statsmodels(exams):
    changes = annual_change(*exams, MEASURES)
    people = exams[0][["participant", "attenuation"]].assign(sex=np.tile(["F", "M"], 30))
    table, problems = change_models(changes, people, ["attenuation", "sex"])
    assert [(p.model, p.code) for p in problems] == [("volume", "E-STAT-CONSTANT")]
    used = changes[changes.measure == "vbmd"].merge(people, on="participant")
    fit = smf.ols("change_per_year ~ baseline + attenuation + sex", used).fit()
    got = table[table.measure == "vbmd"].set_index("term")
    assert got.loc["baseline", "estimate"] == pytest.approx(fit.params["baseline"], rel=1e-8)
    assert got.loc["sexM", "p"] == pytest.approx(fit.pvalues["sex[T.M]"], rel=1e-8)
    with_empty, problems = change_models(changes, people.assign(none=np.nan), ["attenuation", "sex", "none"])
    pd.testing.assert_frame_equal(with_empty, table)
    assert ("none", "E-STAT-COLUMN") in [(p.model, p.code) for p in problems]
    interval = fit.conf_int(0.05).loc["sex[T.M]"]
    assert got.loc["sexM", ["ci_low", "ci_high"]].tolist() == pytest.approx(list(interval), rel=1e-8)
    # Attenuation is its own baseline: the second copy is aliased, not a number.
    own = table[table.measure == "attenuation"].set_index("term")
    assert own.loc["attenuation", "aliased"]


def test_a_covariate_may_not_take_a_name_of_the_model(exams):
    people = exams[0][["participant"]].assign(baseline=1.0)
    with pytest.raises(StatisticsError, match="'baseline'"):
        change_models(annual_change(*exams, MEASURES), people, ["baseline"])


def signed_rank_p(rates):
    n = len(rates)
    first = pd.DataFrame({"participant": range(n), "vbmd": 100.0, "segmentation_version": "v"})
    second = first.assign(vbmd=100.0 + np.asarray(rates), years=1.0)
    return change_summary(annual_change(first, second, ["vbmd"])).signed_rank_p[0]


def test_signed_rank_is_r_s_default():
    # Exact: of the 2^6 signs of the ranks 1 to 6, two at each end give a sum as far out as this.
    assert signed_rank_p([-1, 2, 3, 4, 5, 6]) == pytest.approx(2 * 2 / 2**6, rel=1e-12)
    assert signed_rank_p([2, 3, 4, 5, 6]) == pytest.approx(2 / 2**5, rel=1e-12)

    def normal(sum_of_ranks, n, ties=()):
        variance = n * (n + 1) * (2 * n + 1) / 24 - sum(t**3 - t for t in ties) / 48
        return 2 * stats.norm.sf((abs(sum_of_ranks - n * (n + 1) / 4) - 0.5) / np.sqrt(variance))

    # A tie or a zero, or 50 differences: R's continuity and tie corrections, zeros left out.
    assert signed_rank_p([-1, 2, 2, 4, 5, 6]) == pytest.approx(normal(20, 6, [2]), rel=1e-12)
    assert signed_rank_p([0, -1, 2, 3, 4, 5, 6]) == pytest.approx(normal(20, 6), rel=1e-12)
    fifty = np.arange(1.0, 51) * np.where(np.arange(50) % 3 == 0, -1, 1)
    assert signed_rank_p(fifty) == pytest.approx(normal(fifty[fifty > 0].sum(), 50), rel=1e-12)
