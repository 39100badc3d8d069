"""The study report and the report of an analysis without imaging, each one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from paraspinal_assets.report.blocks import FigureBlock, Section, Source, plain_frame
from paraspinal_assets.report.page import page
from paraspinal_assets.report.sections import (
    agreement,
    change,
    cohort,
    methods,
    prediction,
    quality,
    regression,
)

Writer = Callable[[Source], Section]


@dataclass(frozen=True)
class Report:
    """A finished report.

    Attributes
    ----------
    html
        One page without scripts and without anything to load. It holds no time: same tables, same bytes.
    figures
        The figures in it, in order, to be written beside it.
    """

    html: str
    figures: tuple[FigureBlock, ...]


STUDY_SECTIONS: Final[tuple[Writer, ...]] = (
    cohort.summary,
    cohort.flow,
    cohort.table_one,
    cohort.muscle,
    regression.regression,
    regression.comparison,
    regression.sensitivity,
    regression.dose_response,
    prediction.fracture,
    prediction.calibration,
    change.longitudinal,
    change.subgroups,
    quality.quality,
    agreement.agreement,
    methods.problems,
    methods.methods,
    methods.checklists,
)
_OF_A_STUDY: Final = (cohort.flow, cohort.muscle, quality.quality, agreement.agreement, methods.checklists)
ANALYSIS_SECTIONS: Final = tuple(section for section in STUDY_SECTIONS if section not in _OF_A_STUDY)


def study_report(tables: Mapping[str, pd.DataFrame], info: Mapping[str, object]) -> Report:
    """The report of a study: from the flow of scans to the checklists.

    Parameters
    ----------
    tables
        Any of the study's documented tables by name. A section whose table is missing, or lacks a column,
        says so.
    info
        ``study`` name; ``synthetic`` and ``phantom_network`` flags; ``versions``, ``weights``, ``digests``
        mappings of name to text; ``generated_from`` digest; ``headline`` list of mappings with label, value,
        unit, truth (null where not known); optionally ``baseline`` exam, ``main_model``, ``imputation``, ``models``
        (outcome to model to terms), ``adjusted_for`` (columns), ``units`` (column to unit),
        ``contact_sheets`` (list of `PictureBlock`), ``methods`` (paragraphs), ``missing`` (table to the reason
        why it is not there).
    """
    return _report(STUDY_SECTIONS, tables, info, "Paraspinal muscle and vertebral bone")


def analysis_report(tables: Mapping[str, pd.DataFrame], info: Mapping[str, object]) -> Report:
    """The report of an analysis of a flat table, without imaging; parameters as `study_report`."""
    return _report(ANALYSIS_SECTIONS, tables, {"imaging": False, **info}, "Statistical analysis")


def _report(
    writers: tuple[Writer, ...], tables: Mapping[str, pd.DataFrame], info: Mapping[str, Any], subtitle: str
) -> Report:
    source = Source({name: plain_frame(frame) for name, frame in tables.items()}, info)
    badges = [
        words
        for flag, words in (
            ("synthetic", "Synthetic data"),
            ("phantom_network", "Phantom network, not for patients"),
        )
        if info.get(flag)
    ]
    digest = info.get("generated_from")
    sections = [write(source) for write in writers]
    html = page(
        sections,
        title=str(info.get("study") or "Study"),
        subtitle=subtitle,
        badges=badges,
        footer=f"Generated from {digest}." if digest else "",
    )
    blocks = (block for section in sections for block in section.blocks)
    return Report(html, tuple(block for block in blocks if isinstance(block, FigureBlock)))
