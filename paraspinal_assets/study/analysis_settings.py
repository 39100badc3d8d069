"""Settings of the analysis: imputation, folds and the model formulas of the study."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from paraspinal_assets.study.settings_base import Settings

_BASE = (
    "age + sex + race_ethnicity + site + bmi + steroids + bisphosphonates + alcohol + alcohol_amount"
    " + tobacco + pack_years"
)
_EXPANDED = (
    "age + sex + race_ethnicity + site + bmi + hypertension + diabetes + liver_disease + kidney_disease"
    " + creatinine + cancer + steroids + bisphosphonates + warfarin + thyroid + alcohol + alcohol_amount"
    " + tobacco + pack_years"
)
_ACTIVITY = "moderate_activity + vigorous_activity + agatston"
LINEAR_MODELS = {
    "model1": _BASE,
    "model2": f"{_EXPANDED} + {_ACTIVITY}",
    "model3": f"{_EXPANDED} + {_ACTIVITY} + volume",
    "model4": f"{_EXPANDED} + {_ACTIVITY} + attenuation",
    "model5": f"{_EXPANDED} + {_ACTIVITY} + volume + attenuation",
    "model6": f"{_EXPANDED} + manufacturer + scanner_model + {_ACTIVITY} + volume + attenuation",
}
FRACTURE_MODELS = {
    "FRAXnb": _BASE,
    "Expanded": LINEAR_MODELS["model2"],
    "Volume": LINEAR_MODELS["model3"],
    "Attenuation": LINEAR_MODELS["model4"],
    "vBMD": "vbmd",
    "vBMD_Volume": "vbmd + volume",
    "vBMD_Attenuation": "vbmd + attenuation",
}


class AnalysisSettings(Settings):
    """How the cohort is analysed."""

    imputation: Literal["predictors", "original", "multiple", "none"] = Field(
        "predictors",
        description="`predictors`: median, outcomes stay observed. `original`: medians of outcomes too, as "
        "in the original scripts. `multiple`: chained equations. `none`: complete cases.",
    )
    imputations: int = Field(
        5,
        ge=0,
        description="Completed copies for multiple imputation, shown beside the others; 0 leaves it out.",
    )
    folds: int = Field(10, ge=2, description="Folds of the out-of-fold predictions, stratified on fracture.")
    bootstrap: int = Field(
        200, ge=0, description="Bootstrap replicates of the optimism correction; 0 leaves it out."
    )
    seed: int = Field(20250101, description="Seed of folds, imputation and bootstrap.")
    exposure: str = Field("attenuation", description="Column whose effect the sensitivity analysis examines.")
    benchmark: str = Field(
        "bisphosphonates", description="Covariate that the sensitivity analysis compares with."
    )
    sensitivity_model: str = Field("model5", description="Linear model of the sensitivity analysis.")
    reference_levels: dict[str, str] = Field(
        default_factory=dict,
        description="Category -> level that the others are compared with, such as `sex: Female`. Absent: the "
        "first in alphabetical order, as in R.",
    )
    risk_cuts: tuple[float, ...] = Field(
        (0.03, 0.10), description="Cut points of the risk classes of the NRI."
    )
    subgroups: tuple[str, ...] = Field(
        ("sex", "race_ethnicity", "site", "manufacturer"), description="Columns whose groups are compared."
    )
    subgroup_covariates: tuple[str, ...] = Field(
        ("age", "sex", "race_ethnicity", "bmi"), description="What the effect within a group is adjusted for."
    )

    @model_validator(mode="after")
    def _copies_for_multiple(self) -> AnalysisSettings:
        if self.imputation == "multiple" and self.imputations < 2:
            raise ValueError(f"imputation: multiple needs imputations of at least 2, not {self.imputations}")
        return self


class ModelSettings(Settings):
    """Model formulas, R style, without the outcome. Defaults are those of the original study."""

    linear: dict[str, str] = Field(
        default_factory=lambda: dict(LINEAR_MODELS), description="Models of vBMD at follow-up."
    )
    fracture: dict[str, str] = Field(
        default_factory=lambda: dict(FRACTURE_MODELS), description="Models of new fracture."
    )
