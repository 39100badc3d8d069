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


LABELS = {"autochthon_left": 1, "autochthon_right": 2, "vertebrae_T4": 3, "vertebrae_body": 4}


def test_a_label_map_may_name_more_than_the_study_needs():
    assert study(levels="T4", segmentation={"label_map": LABELS}).segmentation.label_map == LABELS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"autochthon_right": 0}, "0 is the background"),
        ({"autochthon_right": -1}, "labels are 1 to 65535"),
        ({"autochthon_right": 1}, "autochthon_left and autochthon_right have the same value 1"),
    ],
)
def test_a_label_map_that_would_measure_something_else_is_refused(change, said):
    with pytest.raises(ValidationError, match=said):
        study(levels="T4", segmentation={"label_map": LABELS | change})


def test_a_label_map_without_a_level_of_the_study_is_refused():
    with pytest.raises(ValidationError, match=r"label_map has no vertebrae_T5"):
        study(levels="T4-T5", segmentation={"label_map": LABELS | {"vertebra_T5": 5}})
