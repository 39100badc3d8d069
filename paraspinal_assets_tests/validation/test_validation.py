"""docs/validation.md is what `make validation` writes, and a number that is off would show on it."""

import pytest

from paraspinal_assets_tests.validation.comparison import Comparison
from paraspinal_assets_tests.validation.page import PAGE, text


@pytest.mark.slow
def test_the_page_is_current_and_everything_agrees():
    page = PAGE.read_text(encoding="utf-8")
    assert page == text()
    assert page.count("differs") == 1  # in the explanation


@pytest.mark.parametrize(
    ("ours", "within", "unit", "holds"),
    [
        (1000.001, 1e-6, "", True),
        (1000.01, 1e-6, "", False),
        (1001.0, 2, "HU", True),
        (1003.0, 2, "HU", False),
        (1000.0, 0, "", True),
        (1000.0000001, 0, "", False),
    ],
)
def test_tolerances_are_relative_or_in_a_unit(ours, within, unit, holds):
    comparison = Comparison.of("x", "y", [(ours, 1000.0)], within, unit)
    assert comparison.holds is holds
    assert ("**differs**" in comparison.row()) is not holds
