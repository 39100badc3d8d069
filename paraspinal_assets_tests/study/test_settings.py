"""Settings that other parts of the program take over."""

import re

import pytest
from pydantic import ValidationError

from paraspinal_assets.imaging.dicom import SeriesRule
from paraspinal_assets.imaging.dicom_codes import REMEDIES
from paraspinal_assets.statistics.formula import parse_terms
from paraspinal_assets.study.analysis_settings import FRACTURE_MODELS, LINEAR_MODELS
from paraspinal_assets.study.exam_settings import SeriesSettings
from paraspinal_assets_tests.study.builders import study


def test_the_series_rule_is_the_readers():
    assert SeriesSettings().rule() == SeriesRule()
    assert SeriesSettings(kernel=["B35f"], choose="thinnest").rule().kernel == ("B35f",)


def test_remedies_of_the_dicom_reader_name_settings_that_there_are():
    named = re.findall(r"`([a-z_]+)(?:: true)?`", " ".join(REMEDIES.values()))
    assert set(named) == {"acquisition", "allow_lossy"} <= set(SeriesSettings.model_fields)


@pytest.mark.parametrize("formula", [*LINEAR_MODELS.values(), *FRACTURE_MODELS.values()])
def test_the_models_of_the_original_study_are_formulas(formula):
    assert parse_terms(formula)


def test_levels_are_a_range_or_a_list_in_the_order_of_the_spine():
    assert study(levels="T11-L2").levels == ("T11", "T12", "L1", "L2")
    assert study(levels="T4").levels == ("T4",)
    assert study(levels=["T3", "T1", "T3"]).levels == ("T1", "T3")


def test_a_study_does_not_change_after_reading():
    with pytest.raises(ValidationError):
        study().name = "Another"
