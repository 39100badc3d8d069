from paraspinal_assets.statistics.column_types import coerce_columns
from paraspinal_assets.statistics.models import FRACTURE_MODELS, LINEAR_MODELS, MESA_COLUMNS
from paraspinal_assets_tests.statistics.r_reference import cohort, reference


def test_linear_formulas_are_the_study_s():
    for name, want in reference("A")["linear"].items():
        assert f"vBMD ~ {LINEAR_MODELS[name]}" == want["formula"]


def test_fracture_models_are_the_study_s():
    assert list(FRACTURE_MODELS) == list(reference("A")["logistic"])


def test_the_preset_has_the_columns_of_the_study_table():
    assert set(MESA_COLUMNS) == set(cohort().columns)
    typed = coerce_columns(cohort(), MESA_COLUMNS)
    assert typed.unreadable == {}
    assert typed.table["BMI"].isna().sum() == 28
