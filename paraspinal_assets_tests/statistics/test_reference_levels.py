"""Reference levels against statsmodels' formulas, which name them in the formula."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from paraspinal_assets.statistics.analysis import analyze
from paraspinal_assets.statistics.reference_levels import with_references
from paraspinal_assets.statistics.spec import AnalysisSpec
from paraspinal_assets_tests.statistics.r_reference import cohort

SPEC = AnalysisSpec(
    linear_models={"m": "Age + Race + BMI"},
    fracture_models={"m": "Age + Race"},
    bootstrap=0,
    imputations=0,
    subgroups=(),
    imputation="none",
)


def test_coefficients_are_those_against_the_named_level():
    table = cohort()
    level = sorted(table["Race"].dropna().unique())[-1]
    made = analyze(table, replace(SPEC, references={"Race": level}))
    names = SPEC.linear_models["m"].replace("Race", f"C(Race, Treatment(reference='{level}'))")
    for frame, want, column in (
        (made["linear_coefficients"], smf.ols(f"{SPEC.density} ~ {names}", table).fit(), "estimate"),
        (
            made["logistic_coefficients"],
            smf.logit(f"{SPEC.fracture} ~ {names.replace(' + BMI', '')}", table).fit(disp=False),
            "log_odds",
        ),
    ):
        got = frame.set_index("term")[column]
        assert f"Race{level}" not in got
        want = want.params.rename(lambda term: term.replace("Intercept", "(Intercept)"))
        want = want.rename(lambda term: f"Race{term.split('[T.')[1][:-1]}" if "[T." in term else term)
        assert got.to_dict() == pytest.approx(want[got.index].to_dict(), rel=1e-6, abs=1e-8)
    described = made["table_one"].query("variable == 'Race'")
    assert described["level"].iloc[0] == level


def test_risks_do_not_depend_on_the_reference_level():
    risks = [
        analyze(cohort(), replace(SPEC, references=references))["predictions"]["apparent"]
        for references in ({}, {"Race": "White"})
    ]
    assert len(risks[0])
    np.testing.assert_allclose(risks[0], risks[1], rtol=1e-7)


def test_other_levels_stay_in_their_order():
    table = pd.DataFrame(
        {
            "site": ["WFU", "COL", None, "JHU"],
            "code": pd.Categorical([10, 9, 2, None]),
        }
    )
    made, problems = with_references(table, {"site": "JHU", "code": "9", "absent": "x"})
    assert list(made["site"].cat.categories) == ["JHU", "COL", "WFU"]
    assert made["site"].isna().tolist() == [False, False, True, False]
    assert list(made["code"].cat.categories) == [9, 2, 10]
    assert problems == []


@pytest.mark.parametrize(
    ("values", "words"), [(["a", "b"], "its levels are a, b"), ([1.0, 2.0], "it is no category")]
)
def test_a_level_that_is_not_there_is_told(values, words):
    table = pd.DataFrame({"x": values})
    made, (problem,) = with_references(table, {"x": "c"})
    pd.testing.assert_frame_equal(made, table)
    assert problem.code == "W-STAT-REFERENCE"
    assert words in problem.message
