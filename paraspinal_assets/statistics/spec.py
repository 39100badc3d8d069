"""What an analysis consists of: outcomes, models and options."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from paraspinal_assets.errors import StatisticsError
from paraspinal_assets.statistics.column_types import ColumnKind
from paraspinal_assets.statistics.formula import parse_terms
from paraspinal_assets.statistics.imputation import ImputationMode
from paraspinal_assets.statistics.models import (
    ATTENUATION,
    DENSITY,
    FRACTURE,
    FRACTURE_MODELS,
    LINEAR_MODELS,
    MESA_COLUMNS,
    RECLASSIFICATION_PAIRS,
    VOLUME,
)
from paraspinal_assets.statistics.profile import ProfileMethod
from paraspinal_assets.statistics.reclassification import CUTOFFS

IDENTIFIERS = ("participant", "participant_id", "id", "idno", "subject", "subject_id")
"""Column names, in lower case, that hold one participant per row unless the analysis names another."""


@dataclass(frozen=True)
class AnalysisSpec:
    """Everything that `analysis.analyze` does to a table. The defaults are the original study's.

    Parameters
    ----------
    density, fracture
        Outcome columns of the linear and of the logistic models; None leaves these models out.
    linear_models, fracture_models
        Model name to right-hand side (see `formula`).
    columns
        Kind of each column; those not named are numbers if they look so, else categories.
    references
        Category to the level that the others are compared with; default: R's, the first of its order.
    identifier
        Column with one value per row; default: the first of `IDENTIFIERS` that the table has.
    treatment, benchmark, benchmark_strengths, sensitivity_model
        Coefficient, benchmark column, its multiples, and linear model of the sensitivity analysis.
    imputation
        How predictors are completed; see `imputation` and `multiple_imputation`.
    imputations
        Completed copies for multiple imputation, which is shown beside the others; 0 leaves it out.
    imputation_columns
        Columns that inform the multiple imputation; default: all columns of the models. A part of an analysis
        names those of the whole, so that the same model has the same pooled estimates in both.
    folds, bootstrap, seed
        Folds of the out-of-fold predictions, replicates of the optimism (0: none), seed of everything.
    reclassification_pairs, risk_cuts
        Reference and extended models, where no pair has both its models all nested ones; inner cut points of the
        risk classes.
    quartile_measures
        Measures cut at their quartiles; Table 1 compares the lowest quartile of each with the rest.
    table_one_variables
        Variables of Table 1; default: all columns of the models.
    subgroups, subgroup_covariates
        Columns whose levels are compared, and what the treatment's effect in them is adjusted for.
    profile
        Method of the profile-likelihood intervals.
    """

    density: str | None = DENSITY
    fracture: str | None = FRACTURE
    linear_models: Mapping[str, str] = field(default_factory=lambda: dict(LINEAR_MODELS))
    fracture_models: Mapping[str, str] = field(default_factory=lambda: dict(FRACTURE_MODELS))
    columns: Mapping[str, ColumnKind] = field(default_factory=lambda: dict(MESA_COLUMNS))
    references: Mapping[str, str] = field(default_factory=dict)
    identifier: str | None = None
    treatment: str = ATTENUATION
    benchmark: str = "Bisphosphonates"
    benchmark_strengths: Sequence[float] = (1, 2, 3)
    sensitivity_model: str = "model5"
    imputation: ImputationMode = "predictors"
    imputations: int = 5
    imputation_columns: Sequence[str] = ()
    folds: int = 10
    bootstrap: int = 200
    seed: int = 20250101
    reclassification_pairs: Sequence[tuple[str, str]] = RECLASSIFICATION_PAIRS
    risk_cuts: Sequence[float] = CUTOFFS
    quartile_measures: Sequence[str] = (ATTENUATION, VOLUME)
    table_one_variables: Sequence[str] = ()
    subgroups: Sequence[str] = ("Gender", "Race", "Site", "Manufacturer")
    subgroup_covariates: Sequence[str] = ("Age", "Gender", "Race", "BMI")
    profile: ProfileMethod = "auto"

    def __post_init__(self) -> None:
        for name, least in (("imputations", 0), ("bootstrap", 0), ("folds", 2)):
            if getattr(self, name) < least:
                raise StatisticsError(
                    "E-STAT-OPTION",
                    f"The option {name} is {getattr(self, name)}; it must be at least {least}.",
                    "Correct the option.",
                )
        if self.imputation == "multiple" and self.imputations < 2:
            raise StatisticsError(
                "E-STAT-OPTION",
                f"Multiple imputation needs at least 2 copies, not {self.imputations}.",
                "Raise imputations, or choose another imputation.",
            )

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Outcome columns."""
        return tuple(name for name in (self.density, self.fracture) if name is not None)

    def formulas(self) -> dict[tuple[str, str], str]:
        """(``linear`` or ``logistic``, model) to formula; a name with other characters is in backticks."""
        found: dict[tuple[str, str], str] = {}
        if self.density is not None:
            found |= {("linear", m): f"`{self.density}` ~ {rhs}" for m, rhs in self.linear_models.items()}
        if self.fracture is not None:
            found |= {
                ("logistic", m): f"`{self.fracture}` ~ {rhs}" for m, rhs in self.fracture_models.items()
            }
        return found

    def model_columns(self) -> tuple[str, ...]:
        """Columns of any model, predictors first, outcomes last; formulas that do not parse are skipped."""
        used: dict[str, None] = {}
        for right in (*self.linear_models.values(), *self.fracture_models.values()):
            try:
                terms = parse_terms(right)
            except StatisticsError:
                continue
            used |= dict.fromkeys(name for term in terms for name in term if name not in self.outcomes)
        return (*used, *self.outcomes)

    def reclassified(self) -> list[tuple[str, str]]:
        """Pairs of fracture models to compare: those named, or each model with all that have its terms and more."""
        named = [pair for pair in self.reclassification_pairs if set(pair) <= set(self.fracture_models)]
        if named or not self.reclassification_pairs:
            return named
        terms: dict[str, set[frozenset[str]]] = {}
        for model, right in self.fracture_models.items():
            with suppress(StatisticsError):
                terms[model] = {frozenset(term) for term in parse_terms(right)}
        return [(a, b) for a in terms for b in terms if terms[a] < terms[b]]

    def find_identifier(self, available: Collection[str]) -> str | None:
        """The identifier column of a table with these columns."""
        if self.identifier is not None:
            return self.identifier
        used = set(self.model_columns())
        return next((c for c in available if c.lower() in IDENTIFIERS and c not in used), None)
