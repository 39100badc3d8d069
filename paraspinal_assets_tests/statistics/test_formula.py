import pytest

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.formula import Formula


def test_terms_come_in_the_order_of_r():
    formula = Formula.parse("y ~ a*b + c + c:a")
    assert formula.labels == ("a", "b", "c", "a:b", "c:a")
    assert formula.columns == ("a", "b", "c")


def test_crossing_three_columns_gives_all_lower_orders():
    assert Formula.parse("y ~ a*b*c").labels == ("a", "b", "c", "a:b", "a:c", "b:c", "a:b:c")


def test_backticks_allow_any_name():
    assert Formula.parse("`bone density` ~ `L+R area` + Age").columns == ("L+R area", "Age")


def test_repeated_terms_count_once_and_one_is_the_empty_model():
    assert Formula.parse("y ~ a + a + b:a + a:b").labels == ("a", "b:a")
    assert Formula.parse("y ~ 1").terms == ()


@pytest.mark.parametrize("text", ["y", "y ~ log(a)", "y ~ a - b", "y ~ a +", "y ~ ."])
def test_what_is_not_understood_is_named(text):
    with pytest.raises(StatisticsError) as error:
        Formula.parse(text)
    assert error.value.code == "E-STAT-FORMULA"
