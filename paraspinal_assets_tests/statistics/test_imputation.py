import numpy as np
import pandas as pd
import pytest
from scipy import stats

from paraspinal_assets.statistics.imputation import impute_median
from paraspinal_assets.statistics.linear import linear_model
from paraspinal_assets.statistics.multiple_imputation import chained_imputations, pool
from paraspinal_assets_tests.statistics.r_reference import cohort, reference

OUTCOMES = ("vBMD", "VFx")


def test_medians_and_counts_match_mlr():
    want = reference("A")["imputation"]
    filled, table = impute_median(cohort(), "original", outcomes=OUTCOMES)
    assert dict(zip(table["column"], table["n_missing"], strict=True)) == want["n_missing"]
    medians = table.set_index("column")["median"].dropna().to_dict()
    assert medians == want["medians"]
    sums = {column: filled[column].sum() for column in want["column_sums_after"]}
    assert sums == pytest.approx(want["column_sums_after"], rel=1e-12)


def test_outcomes_stay_observed_by_default():
    filled, _ = impute_median(cohort(), outcomes=OUTCOMES)
    assert filled["vBMD"].isna().sum() == 24
    assert filled["BMI"].notna().all()


def test_text_stays_missing_and_an_even_count_can_give_one_half():
    want = reference("edge/edge")["missing"]
    raw = cohort("edge/missing")
    filled, _ = impute_median(raw, "original")
    assert {c: int(filled[c].isna().sum()) for c in filled} == want["n_missing_after"]
    assert set(filled.loc[raw["HalfMedian"].isna(), "HalfMedian"]) == {want["half_median_fill"]}


def test_none_fills_nothing():
    filled, table = impute_median(cohort(), "none")
    pd.testing.assert_frame_equal(filled, cohort())
    assert table["median"].notna().sum() == 23


def test_chained_imputations_draw_values_that_occur():
    raw = cohort("edge/missing")
    copies = list(chained_imputations(raw, 3, outcomes=OUTCOMES, seed=4))
    for copy in copies:
        for column in raw:
            if column in OUTCOMES:
                pd.testing.assert_series_equal(copy[column], raw[column])
            else:
                assert copy[column].notna().all()
                assert set(copy[column]) <= set(raw[column].dropna())
                observed = raw[column].notna()
                pd.testing.assert_series_equal(copy.loc[observed, column], raw.loc[observed, column])
    assert not copies[0].equals(copies[1])


def test_chained_imputations_are_repeatable_and_extend():
    raw = cohort("edge/missing")
    two = list(chained_imputations(raw, 2, seed=4))
    three = list(chained_imputations(raw, 3, seed=4))
    pd.testing.assert_frame_equal(two[1], three[1])


def test_chained_imputation_corrects_what_the_median_distorts():
    """Missing at random given another column: the median biases the slope, chained equations do not."""
    generator = np.random.default_rng(7)
    a = generator.normal(size=4000)
    b = a + generator.normal(size=4000)
    y = b + generator.normal(size=4000)
    table = pd.DataFrame({"a": a, "b": np.where(a > 0.3, np.nan, b), "y": y})
    fits = [linear_model(copy, "y ~ a + b") for copy in chained_imputations(table, 5, outcomes=["y"], seed=1)]
    pooled = pool(
        fits[0].design.names,
        np.array([fit.coefficients for fit in fits]),
        np.array([fit.std_error for fit in fits]),
        fits[0].df_residual,
    ).set_index("term")
    median_fill, _ = impute_median(table, outcomes=["y"])
    plain = linear_model(median_fill, "y ~ a + b").coefficient_table().set_index("term")
    assert pooled.loc["b", "ci_low"] < 1 < pooled.loc["b", "ci_high"]
    assert pooled.loc["a", "estimate"] == pytest.approx(0, abs=0.1)
    assert plain.loc["a", "estimate"] > 0.2
    assert pooled.loc["b", "fraction_missing"] > 0.2


def test_rubin_s_rules_by_hand():
    """Of ``x`` 4/7 of the variance lies between the copies, of ``z`` nothing; formulas of mice's ``pool``."""
    estimates = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    pooled = pool(("x", "z"), estimates, np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]), 100.0)
    df = np.array([1 / ((4 / 7) ** 2 / 2 + 1 / (101 / 103 * 100 * 3 / 7)), 101 / 103 * 100])
    error = np.sqrt([7 / 3, 14 / 3])
    assert list(pooled["estimate"]) == [2, 5]
    assert list(pooled["std_error"]) == pytest.approx(error)
    assert list(pooled["df"]) == pytest.approx(df)
    assert list(pooled["ci_high"]) == pytest.approx([2, 5] + stats.t(df).ppf(0.975) * error)
    assert list(pooled["p"]) == pytest.approx(2 * stats.t(df).sf([2, 5] / error))
    missing = [(4 / 3 + 2 / (df[0] + 3)) / (7 / 3), 2 / (df[1] + 3)]
    assert list(pooled["fraction_missing"]) == pytest.approx(missing)


def test_one_copy_pools_to_itself():
    pooled = pool(("x",), np.array([[1.5]]), np.array([[0.5]]), 10.0).iloc[0]
    assert (pooled["estimate"], pooled["std_error"]) == (1.5, 0.5)


def test_truth_values_and_numeric_categories_inform_the_others():
    flag = np.tile([True, False], 200)
    x = np.where(np.arange(400) < 100, np.nan, np.where(flag, 10.0, 0.0))
    for coded in (pd.Series(flag), pd.Series(pd.Categorical(np.where(flag, 2.0, 1.0)))):
        (copy,) = chained_imputations(pd.DataFrame({"coded": coded, "x": x}), 1)
        assert copy["x"].tolist() == np.where(flag, 10.0, 0.0).tolist()
