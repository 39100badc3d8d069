"""What a report is made of: sections of paragraphs, tables and figures, free of any markup."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pandas as pd

from paraspinal_assets.report.figures.drawing import Drawing

WHERE_TABLES_COME_FROM: Final[Mapping[str, str]] = {
    "disposition": "It is made with the cohort, from the scans and the clinical tables.",
    "cohort": "It needs measured baseline scans and a clinical table.",
    "muscle_metrics": "It needs at least one segmented scan.",
    "quality": "It needs at least one segmented scan.",
    "table_one": "It needs the cohort and an exposure with a lowest quartile.",
    "linear_coefficients": "It needs the cohort and vBMD at follow-up.",
    "linear_fit": "It needs the cohort and vBMD at follow-up.",
    "linear_comparison": "It needs two or more linear models on the same participants.",
    "sensitivity": "It needs the linear models and a benchmark covariate.",
    "sensitivity_bounds": "It needs the linear models and a benchmark covariate.",
    "logistic_coefficients": "It needs a fracture outcome with both classes.",
    "auc": "It needs a fracture outcome with both classes.",
    "auc_comparison": "It needs two or more fracture models.",
    "calibration": "It needs fracture models with predicted risks.",
    "decision_curve": "It needs fracture models with predicted risks.",
    "longitudinal": "It needs both exams of the same participants, segmented by one model version.",
    "subgroup_effects": "It needs the cohort and the subgroup variables of the study file.",
    "dose_response": "It needs the cohort and at least one outcome.",
    "roc_curve": "It needs fracture models with predicted risks.",
    "reader_agreement": "It needs manual masks, which the study file names.",
}
"""Table -> what has to be there for it to exist; printed where it is missing."""


@dataclass(frozen=True)
class Paragraph:
    """Running text; `kind` ``note`` is small print, ``missing`` says what is not there and why."""

    text: str
    kind: Literal["text", "note", "missing"] = "text"


@dataclass(frozen=True)
class Cell:
    """One printed cell; `header` cells name their row."""

    text: str
    header: bool = False
    numeric: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A printed table with its caption, column heads and rows of cells."""

    caption: str
    heads: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class FigureBlock:
    """A figure with title and caption, as SVG markup made by this package and as its drawing."""

    name: str
    title: str
    caption: str
    svg: str
    drawing: Drawing


@dataclass(frozen=True)
class PictureBlock:
    """A JPEG with its title, the sentence that stands for it, and links to files beside the page."""

    name: str
    title: str
    description: str
    jpeg: bytes
    links: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"


@dataclass(frozen=True)
class Headline:
    """One of the numbers on top; `truth` is what a synthetic study was made with."""

    label: str
    value: str
    truth: str = ""


@dataclass(frozen=True)
class Headlines:
    """The numbers on top."""

    items: tuple[Headline, ...]


Block = Paragraph | TableBlock | FigureBlock | PictureBlock | Headlines


@dataclass
class Section:
    """A numbered section; `id` is its anchor."""

    id: str
    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block | None) -> Section:
        """Append the blocks that exist."""
        self.blocks += [block for block in blocks if block is not None]
        return self


def figure(drawing: Drawing, caption: str = "") -> FigureBlock:
    """A drawing as a block."""
    return FigureBlock(drawing.name, drawing.title, caption or drawing.description, drawing.svg(), drawing)


Formats = Mapping[str, Callable[[Any], str]]


def table(
    frame: pd.DataFrame, columns: Mapping[str, str], *, caption: str, formats: Formats, note: str = ""
) -> TableBlock:
    """A data frame as a printed table: first column names the row, formatted columns are numeric.

    Parameters
    ----------
    frame
        Rows in printed order.
    columns
        Column -> its head, in printed order.
    caption
        Says what the table shows.
    formats
        Column -> how to print a value; others are printed as text, missing ones as a dash.
    note
        Small print beneath.
    """
    rows = []
    for record in frame[list(columns)].to_dict("records"):
        cells = []
        for place, column in enumerate(columns):
            value = record[column]
            printed = formats[column](value) if column in formats else plain_text(value)
            cells.append(Cell(printed, header=place == 0, numeric=column in formats))
        rows.append(tuple(cells))
    heads = tuple(Cell(head, header=True, numeric=name in formats) for name, head in columns.items())
    return TableBlock(caption, heads, tuple(rows), note)


def plain_text(value: object) -> str:
    """Text of a value, an en dash where it is missing."""
    return "–" if value is None or (not isinstance(value, Sequence | dict) and pd.isna(value)) else str(value)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Source:
    """The tables and facts a report is written from, and what is missing among them."""

    tables: Mapping[str, pd.DataFrame]
    info: Mapping[str, Any]

    def get(self, name: str, *columns: str) -> pd.DataFrame | None:
        """The table if it is there, has rows and has the columns."""
        frame = self.tables.get(name)
        if frame is None or frame.empty or not set(columns) <= set(frame.columns):
            return None
        return frame

    def absent(self, name: str, *columns: str) -> Paragraph:
        """Says that a table is missing, or which of its columns are, and why."""
        frame = self.tables.get(name)
        why = str(dict(self.info.get("missing", {})).get(name) or WHERE_TABLES_COME_FROM.get(name, ""))
        if frame is None:
            return Paragraph(f"Not available: the table “{name}” was not made. {why}".strip(), "missing")
        if frame.empty:
            return Paragraph(f"Not available: the table “{name}” has no rows. {why}".strip(), "missing")
        lacking = ", ".join(sorted(set(columns) - set(frame.columns)))
        return Paragraph(f"Not available: the table “{name}” has no column {lacking}.", "missing")


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with ordinary column types: nullable numbers as float, other nullable types as objects."""
    plain = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_bool_dtype(column.dtype):
            plain[name] = column.astype(object)
        elif pd.api.types.is_extension_array_dtype(column.dtype) and pd.api.types.is_numeric_dtype(
            column.dtype
        ):
            whole = pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any()
            values = (
                column.to_numpy(dtype=int) if whole else column.to_numpy(dtype=float, na_value=float("nan"))
            )
            plain[name] = pd.Series(values, index=column.index)
        else:
            plain[name] = column
    return pd.DataFrame(plain, index=frame.index)
