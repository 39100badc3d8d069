"""Documented tables: every column with its type, unit and meaning, and the check that a frame keeps to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml

from paraspinal_assets.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd

TYPES: Final[dict[str, tuple[str, str]]] = {
    "text": ("VARCHAR", "string"),
    "integer": ("BIGINT", "Int64"),
    "number": ("DOUBLE", "Float64"),
    "flag": ("BOOLEAN", "boolean"),
}
"""Column type -> (DuckDB type, pandas type). Each can be null."""

SCHEMA_FILES: Final = ("scans.yaml", "cohort.yaml", "regression.yaml", "fracture.yaml")


@dataclass(frozen=True)
class Column:
    """One column of a documented table."""

    name: str
    type: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class TableSchema:
    """A documented table.

    Attributes
    ----------
    key
        The columns that name a row.
    section
        The table's chapter in the dictionary.
    made_from
        Column -> the columns of other tables that it is made from, as ``table.column``.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    section: str = ""
    made_from: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def columns_sql(self) -> str:
        """Column definitions for CREATE TABLE."""
        return ", ".join(f'"{column.name}" {TYPES[column.type][0]}' for column in self.columns)

    def check(self, frame: pd.DataFrame) -> None:
        """Raise E-STUDY-32 unless the frame has exactly these columns and no row twice."""
        expected = [column.name for column in self.columns]
        if sorted(frame.columns) != sorted(expected):
            missing = sorted(set(expected) - set(frame.columns))
            extra = sorted(set(frame.columns) - set(expected))
            raise StudyError(
                "E-STUDY-32",
                f"table {self.name}: missing columns {missing}, unknown columns {extra}",
                "bring table_schemas and the code that makes the table together",
            )
        if self.key and len(frame) and frame.duplicated(list(self.key)).any():
            first = frame.loc[frame.duplicated(list(self.key)), list(self.key)].iloc[0].to_dict()
            raise StudyError(
                "E-STUDY-33", f"table {self.name}: more than one row for {first}", "report this as a bug"
            )

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with its columns in order and in their nullable types."""
        import pandas as pd

        return pd.DataFrame(
            {column.name: _cast(frame[column.name], column, self.name) for column in self.columns}
        )

    def with_columns(self, extra: Iterable[Column]) -> TableSchema:
        """The schema with more columns at its end."""
        return replace(self, columns=(*self.columns, *extra))

    def computed_from(self, sources: Iterable[str]) -> TableSchema:
        """The schema of a table of which every value, beside the names of its rows, is made from all sources."""
        used = tuple(dict.fromkeys(sources))
        return replace(self, made_from={c.name: used for c in self.columns if c.name not in self.key})


def _cast(values: pd.Series[Any], column: Column, table: str) -> pd.Series[Any]:
    try:
        return values.astype(TYPES[column.type][1])  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError) as error:
        raise StudyError(
            "E-STUDY-34",
            f"table {table}: column {column.name} is not {column.type} ({type(error).__name__})",
            "report this as a bug",
        ) from error


@cache
def schemas() -> Mapping[str, TableSchema]:
    """All documented tables, in the order of the files of ``table_schemas`` beside this module."""
    folder = files("paraspinal_assets.study") / "table_schemas"
    shared = {
        name: Column(name, *definition)
        for name, definition in yaml.safe_load((folder / "shared.yaml").read_text(encoding="utf-8")).items()
    }
    result: dict[str, TableSchema] = {}
    for name in SCHEMA_FILES:
        content = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        section = content.pop("section")
        result |= {table: _schema(table, section, entry, shared) for table, entry in content.items()}
    return result


def _schema(name: str, section: str, entry: Mapping[str, Any], shared: Mapping[str, Column]) -> TableSchema:
    columns = [
        shared[column] if definition is None else Column(column, *definition)
        for column, definition in entry["columns"].items()
    ]
    if name == "radiomics":
        from paraspinal_assets.imaging.radiomics_names import FEATURES

        columns[-1:-1] = [_feature(name) for name in FEATURES]
    made_from = {column: sources.split() for column, sources in entry.get("made_from", {}).items()}
    return TableSchema(name, entry["description"], tuple(entry["key"]), tuple(columns), section, made_from)


_FEATURE_CLASSES: Final = {
    "shape": "Shape",
    "firstorder": "First order",
    "glcm": "Grey-level co-occurrence",
    "glrlm": "Grey-level run length",
    "glszm": "Grey-level size zone",
    "gldm": "Grey-level dependence",
    "ngtdm": "Neighbouring grey-tone difference",
}


def _feature(name: str) -> Column:
    """Documentation of a PyRadiomics feature from its name, ``original_<class>_<Feature>``."""
    _, group, feature = name.split("_", 2)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", feature).lower()
    return Column(name, "number", "", f"{_FEATURE_CLASSES[group]}: {words} (PyRadiomics)")
