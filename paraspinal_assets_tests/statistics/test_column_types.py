import numpy as np
import pandas as pd

from paraspinal_assets.statistics.column_types import coerce_columns, infer_kind
from paraspinal_assets.statistics.design import build_design
from paraspinal_assets.statistics.factors import column_levels
from paraspinal_assets.statistics.models import MESA_COLUMNS


def test_text_among_numbers_is_named_and_taken_out():
    table = pd.DataFrame({"Age": ["61", "sixty", "NA"], "HTN": ["0", "1", "2"], "BMI": ["", "27.5", "30"]})
    typed = coerce_columns(table, MESA_COLUMNS)
    assert typed.unreadable["Age"] == "'sixty' in row 2 (1 of 3 rows)"
    assert typed.unreadable["HTN"].startswith("'2' in row 3")
    assert list(typed.table.columns) == ["BMI"]
    assert typed.table["BMI"].isna().tolist() == [True, False, False]


def test_numeric_codes_of_a_category_become_levels():
    typed = coerce_columns(pd.DataFrame({"Race": [1.0, 2.0, None], "Site": [3, 4, 5]}), MESA_COLUMNS)
    assert typed.table["Race"].tolist()[:2] == ["1", "2"]
    assert typed.table["Race"].isna().tolist() == [False, False, True]
    assert typed.table["Site"].tolist() == ["3", "4", "5"]


def test_kinds_of_undescribed_columns_are_inferred():
    assert infer_kind(pd.Series(["1", "2", "x", "NA", "4"])) == "number"
    assert infer_kind(pd.Series(["Siemens", "GE", "2000"])) == "category"
    assert infer_kind(pd.Series([True, False])) == "category"
    assert infer_kind(pd.Series([1, 2])) == "number"


def test_numeric_codes_have_r_s_reference_and_text_codes_too():
    # R: levels(factor(c(2, 3, 10))) is "2" "3" "10"; levels(factor(c("2", "3", "10"))) is "10" "2" "3".
    table = pd.DataFrame({"code": [10, 2, 3, 10, np.nan], "y": [1.0, 2, 3, 5, 4]})
    for values, levels in (
        (table["code"], ("2", "3", "10")),
        (["10", "2", "3", "10", None], ("10", "2", "3")),
    ):
        typed = coerce_columns(table.assign(code=values), {"code": "category"}).table
        assert column_levels(typed["code"]) == levels
        design = build_design(typed, "y ~ code")
        assert design.names == ("(Intercept)", f"code{levels[1]}", f"code{levels[2]}")
        assert design.x[:, 1].tolist() == [float(f"{c:g}" == levels[1]) for c in table["code"].dropna()]
