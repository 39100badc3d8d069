"""Settings of the clinical tables: files, column maps, types, units and allowed ranges."""

from __future__ import annotations

import codecs
from typing import Final, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from paraspinal_assets.study.settings_base import Settings

ColumnType = Literal["number", "integer", "binary", "category", "text", "date"]

RESERVED: Final = frozenset(
    {
        *("participant", "exam", "analysed", "exclusion", "attenuation", "volume", "vbmd_baseline", "years"),
        "years_from_baseline",
    }
)
"""Columns that the cohort has of its own."""


class ColumnSettings(Settings):
    """One column of a clinical table."""

    model_config = ConfigDict(populate_by_name=True)

    source: str | None = Field(
        None, alias="from", description="Name of the column in the file; the same name when absent."
    )
    type: ColumnType = Field(
        "number",
        description="What the cells must be; `binary` is 0/1, yes/no or true/false, dates are like 2012-07-31.",
    )
    unit: str | None = Field(None, description="Printed in the data dictionary.")
    meaning: str | None = Field(None, description="Printed in the data dictionary.")
    range: tuple[float, float] | None = Field(
        None, description="Values outside are an error, with the row named."
    )
    values: tuple[str, ...] | dict[str, str] | None = Field(
        None, description="Allowed values of a category, or a map from the file's codes to labels."
    )
    missing: tuple[str, ...] = Field(
        (), description="Codes that mean missing, besides an empty cell, NA, N/A, NaN and a dot."
    )

    @model_validator(mode="after")
    def _fits_its_type(self) -> ColumnSettings:
        if self.range is not None and self.type not in {"number", "integer"}:
            raise ValueError(f"a range needs type number or integer, not {self.type}")
        if self.values is not None and self.type != "category":
            raise ValueError(f"values need type category, not {self.type}")
        return self


class ClinicalTable(Settings):
    """One file: CSV, Parquet, Stata .dta, or SAS .sas7bdat / .xpt."""

    file: str = Field(description="Path relative to the study file.")
    encoding: str = Field("utf-8", description="Text encoding of a CSV file.")
    separator: str = Field(
        ",", min_length=1, max_length=1, description="Character between the cells of a CSV file."
    )
    decimal: Literal[".", ","] = Field(".", description="Decimal mark of the numbers of a CSV file.")
    participant: str = Field("participant", description="Column with the participant id.")
    exam: str | None = Field(
        None, description="Column with the exam, for files with one row per participant and exam."
    )
    columns: dict[str, ColumnSettings] = Field(
        description="Name in the study -> column. `date_of_birth` and `exam_date` become intervals, not kept."
    )

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError("is no text encoding; latin-1, cp1252 and utf-8 are common ones") from error
        return value

    @model_validator(mode="after")
    def _dates_are_intervals(self) -> ClinicalTable:
        for name, column in self.columns.items():
            if column.type == "date" and name not in {"date_of_birth", "exam_date"}:
                raise ValueError(
                    f"column {name}: only date_of_birth and exam_date can be dates; dates are not kept"
                )
        if "exam_date" in self.columns and self.exam is None:
            raise ValueError(
                "exam_date needs a table with one row per exam: name its exam column with `exam:`"
            )
        return self


class ClinicalSettings(Settings):
    """All clinical tables and where the outcomes come from."""

    tables: dict[str, ClinicalTable] = Field(
        min_length=1, description="The files, each with a name of its own."
    )
    fracture: Literal["column", "deformity", "none"] = Field(
        "column",
        description="New vertebral fracture: binary column `fracture`, or incident deformity on CT, or none.",
    )
    vbmd: Literal["measured", "column"] = Field(
        "measured",
        description="vBMD at follow-up: measured from the follow-up CT, or column `vbmd` of a table.",
    )

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> ClinicalSettings:
        seen: dict[str, str] = {}
        for table_name, table in self.tables.items():
            for column in table.columns:
                if column.lower() in RESERVED or (column.lower() == "vbmd" and self.vbmd == "measured"):
                    raise ValueError(
                        f"column {column} of table {table_name} has a name that the study makes itself; "
                        f"give it another one, with `from: {column}`"
                    )
                if column.lower() in seen:
                    raise ValueError(
                        f"column {column} is in table {seen[column.lower()]} and in table {table_name}; "
                        "name it once, capitals do not count"
                    )
                seen[column.lower()] = table_name
        for outcome, source in (("fracture", self.fracture), ("vbmd", self.vbmd)):
            if source == "column" and outcome not in seen:
                raise ValueError(f"{outcome}: column, but no table has a column named {outcome}")
        return self
