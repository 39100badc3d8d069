"""The STROBE flow diagram: who was there, who left and why, who was analysed; drawn from the disposition table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.report.figures.drawing import COLOURS, GREY, Drawing, canvas

COLUMNS: Final = ("step", "label", "participants", "scans", "reason")
"""Columns of the disposition table."""
POINTS: Final = 72
"""Lengths below are points, this many to an inch."""
WIDTH: Final = 500
MARGIN: Final = 4
MAIN: Final = (8, 220)
"""Left edge and width of the boxes of those who remain."""
SIDE: Final = (268, 224)
"""Left edge and width of the boxes of those who are excluded."""
LINE_HEIGHT: Final = 12
PADDING: Final = 7
GAP: Final = 18
WRAP: Final = 42
"""Characters per line of a box."""


@dataclass
class _Stage:
    """One box of those who remain, and the exclusions that follow it, as unbroken sentences."""

    label: str
    counts: str
    exclusions: list[str]

    @property
    def lines(self) -> list[str]:
        return [*_wrap(self.label), self.counts]

    @property
    def excluded(self) -> list[str]:
        return (
            ["Excluded", *(line for text in self.exclusions for line in _wrap(text))]
            if self.exclusions
            else []
        )

    @property
    def height(self) -> int:
        return _box_height(self.lines)

    @property
    def below(self) -> int:
        """Room between this box and the next one, for those who are excluded."""
        return max(GAP, self.side_height + GAP)

    @property
    def side_height(self) -> int:
        return _box_height(self.excluded) if self.exclusions else 0


def flow_diagram(disposition: pd.DataFrame) -> Drawing:
    """Draw the flow diagram of a study.

    Parameters
    ----------
    disposition
        Rows in the order of the flow, columns `COLUMNS`. A row without a reason is a box: those who remain
        at this step. A row with a reason (a code of `imaging.reasons`, or words) counts those who leave
        between the box above it and the next one. Either count may be null.

    Returns
    -------
    Drawing
        Its description is `flow_sentence`, its numbers are the disposition.

    Raises
    ------
    ParaspinalError
        If a column is absent.
    """
    missing = [column for column in COLUMNS if column not in disposition.columns]
    if missing:
        raise ParaspinalError("E-REPORT-01", f"the disposition table lacks {missing}", f"give {COLUMNS}")
    stages = _stages(disposition)
    height = sum(stage.height + stage.below for stage in stages) + 2 * MARGIN
    with canvas(WIDTH / POINTS, height / POINTS) as (figure, axes):
        axis = axes[0, 0]
        figure.set_layout_engine("none")
        axis.set_position((0, 0, 1, 1))
        axis.set(xlim=(0, WIDTH), ylim=(height, 0))
        axis.axis("off")
        top = float(MARGIN)
        for place, stage in enumerate(stages):
            _box(axis, MAIN, top, stage.lines, strong=True)
            bottom, middle = top + stage.height, top + stage.height + stage.below / 2
            if place + 1 < len(stages):
                _arrow(axis, (MAIN[0] + MAIN[1] / 2, bottom), (MAIN[0] + MAIN[1] / 2, bottom + stage.below))
            if stage.excluded:
                _arrow(axis, (MAIN[0] + MAIN[1] / 2, middle), (SIDE[0], middle))
                _box(axis, SIDE, middle - stage.side_height / 2, stage.excluded, strong=False)
            top = bottom + stage.below
    title = "Flow of participants and scans"
    return Drawing("flow", title, flow_sentence(disposition), figure, disposition[list(COLUMNS)])


def flow_sentence(disposition: pd.DataFrame) -> str:
    """The flow in one sentence per step."""
    stages = _stages(disposition)
    sentences = []
    for stage in stages:
        left = f" Then excluded: {'; '.join(stage.exclusions)}." if stage.exclusions else ""
        sentences.append(f"{stage.label}: {stage.counts}.{left}")
    return " ".join(sentences)


def _stages(disposition: pd.DataFrame) -> list[_Stage]:
    stages: list[_Stage] = []
    for row in disposition.to_dict("records"):
        reason = _text(row["reason"])
        if not reason:
            stages.append(_Stage(str(row["label"]), _counts(row), []))
            continue
        if not stages:
            # The first step may lose people before its own box: they left from everyone there was.
            stages.append(_Stage("All", "not counted", []))
        words = REASONS.get(reason, reason.replace("_", " "))
        stages[-1].exclusions.append(f"{_sentence(words)} ({_counts(row)})")
    return stages


def _counts(row: dict[Any, Any]) -> str:
    counted = [
        f"{int(row[unit]):,} {unit if int(row[unit]) != 1 else unit[:-1]}"
        for unit in ("participants", "scans")
        if not pd.isna(row[unit])
    ]
    return ", ".join(counted) or "not counted"


def _text(value: object) -> str:
    return "" if value is None or pd.isna(value) else str(value).strip()  # type: ignore[call-overload]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WRAP) or [""]


def _box_height(lines: Sequence[str]) -> int:
    return len(lines) * LINE_HEIGHT + 2 * PADDING


def _box(axis: Axes, column: tuple[int, int], top: float, lines: Sequence[str], *, strong: bool) -> None:
    """A box of a column from its top downwards; of those who remain, or of those who are excluded."""
    fill, edge = ("#eef4fa", COLOURS[0]) if strong else ("#ffffff", GREY)
    left, width = column
    axis.add_patch(Rectangle((left, top), width, _box_height(lines), facecolor=fill, edgecolor=edge))
    heavy = len(lines) - 1 if strong else 0
    for number, line in enumerate(lines):
        weight = "bold" if number == heavy else "normal"
        baseline = top + PADDING + LINE_HEIGHT * (number + 0.75)
        # Labels are the study's words: a dollar sign in them is no formula.
        axis.text(left + 9, baseline, line, weight=weight, fontsize=9, parse_math=False)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.1}
    axis.annotate("", xy=end, xytext=start, arrowprops=style)
