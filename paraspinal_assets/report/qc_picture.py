"""One small picture per scan: the right spine? the levels named right? the muscle all there?"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
from PIL import Image

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, SPINE, UNION, body_label
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.report.measures import measure
from paraspinal_assets.report.qc_canvas import CANVAS, WINDOW_HU, Canvas
from paraspinal_assets.report.qc_planes import PictureViews, Plane, cut_views

THUMBNAIL: Final = (500, 340)
"""Width and height of a thumbnail in pixels."""

_PANEL_TOP: Final = 60
_LONG_HEIGHT: Final = 590
_LONG_WIDTH: Final = 236
_MARGIN: Final = 12
_LABEL_GUTTER: Final = 42
_AXIAL_LEFT: Final = 2 * _MARGIN + 2 * _LONG_WIDTH + _LABEL_GUTTER + _MARGIN
_AXIAL_WIDTH: Final = 270
_AXIAL_HEIGHT: Final = 190
_NOTES_LEFT: Final = _AXIAL_LEFT + _AXIAL_WIDTH + _MARGIN
_NOTES_BOTTOM: Final = CANVAS[1] - 108
_NOTE_LINE: Final = 19
_NUMBER_LINE: Final = 17
_COLUMNS: Final = (60, 94, 128, 160)
"""Right edges of the columns of numbers, from `_NOTES_LEFT`."""

VIEWS: Final = (0, _PANEL_TOP - 22, _NOTES_LEFT - 4, _PANEL_TOP + _LONG_HEIGHT)
"""Left, top, right and bottom of the part of a picture that holds its views, in pixels."""


def qc_picture(
    ct: Volume,
    labels: Volume,
    levels: Sequence[str],
    *,
    title: str,
    notes: Sequence[str],
    muscle: pd.DataFrame | None = None,
) -> bytes:
    """Draw the quality picture of one scan.

    Sagittal and coronal views along the spine with the level names beside them, three axial cuts with muscle
    and vertebra outlines, and notes and numbers. Left muscle is a solid line, right muscle dashed, vertebrae
    dotted.

    Parameters
    ----------
    ct, labels
        Same grid, shape ``(x, y, z)``, RAS+; the whole image or a crop that reaches `qc_planes.REACH_MM`
        beyond the labels.
    levels
        The study's levels, head to foot.
    title
        First line, usually exam and participant.
    notes
        Lines printed beside the views: the verdict, its reasons.
    muscle
        Table of `measure_muscle`: its volumes (cm3) and medians (HU) are printed level by level, a dash where
        they are null.

    Returns
    -------
    bytes
        PNG, at most `MAX_BYTES`, the same bytes for the same input. A scan without labels is drawn as well.
    """
    views = cut_views(ct, labels, levels)
    canvas = Canvas.blank()
    canvas.text((_MARGIN, 10), _clip(title, 90), size=20)
    _draw_long_views(canvas, views)
    for position, plane in enumerate(views.axial[:3]):
        top = _PANEL_TOP + position * (_AXIAL_HEIGHT + 10)
        _draw_axial(canvas, plane, top)
    bottom = _NOTES_BOTTOM if muscle is None else _draw_numbers(canvas, muscle)
    _draw_notes(canvas, [*notes, *_found(views, levels)], bottom)
    _draw_legend(canvas)
    return canvas.png()


def _found(views: PictureViews, levels: Sequence[str]) -> list[str]:
    if not views.levels_found:
        return ["no vertebra found"]
    missing = [level for level in levels if level not in views.levels_found]
    return [f"not found: {', '.join(missing)}"] if missing else []


def _draw_long_views(canvas: Canvas, views: PictureViews) -> None:
    """Sagittal and coronal side by side at one scale, the level names in the gutter between them."""
    height_mm = views.sagittal.size_mm[0]
    width_mm = max(views.sagittal.size_mm[1], views.coronal.size_mm[1])
    scale = min(_LONG_HEIGHT / height_mm, _LONG_WIDTH / width_mm)
    gutter = _MARGIN + _LONG_WIDTH
    coronal_left = gutter + _LABEL_GUTTER
    for plane, left, right_aligned in ((views.sagittal, _MARGIN, True), (views.coronal, coronal_left, False)):
        width, height = _pixels(plane, scale)
        x = left + (_LONG_WIDTH - width if right_aligned else 0)
        canvas.paste(plane, (x, _PANEL_TOP), (width, height))
        canvas.text((x + width / 2, _PANEL_TOP - 6), plane.name, size=14, anchor="ms")
    _, height = _pixels(views.sagittal, scale)
    coronal_width, _ = _pixels(views.coronal, scale)
    _mark_sides(canvas, coronal_left, _PANEL_TOP, coronal_width)
    for level, row in views.sagittal.marks:
        y = _PANEL_TOP + row * height
        canvas.text((gutter + _LABEL_GUTTER / 2, y), level, size=15, anchor="mm")
        canvas.line((gutter - 8, y), (gutter - 1, y))
        canvas.line((coronal_left + 1, y), (coronal_left + 8, y))


def _draw_axial(canvas: Canvas, plane: Plane, top: int) -> None:
    scale = min(_AXIAL_WIDTH / plane.size_mm[1], _AXIAL_HEIGHT / plane.size_mm[0])
    width, height = _pixels(plane, scale)
    canvas.paste(plane, (_AXIAL_LEFT, top), (width, height))
    canvas.text((_AXIAL_LEFT + 5, top + height - 5), plane.name, size=15, anchor="ls")
    _mark_sides(canvas, _AXIAL_LEFT, top, width)


def _mark_sides(canvas: Canvas, left: int, top: int, width: int) -> None:
    """R at the picture's left and L at its right: radiological convention."""
    canvas.text((left + 5, top + 4), "R", size=16)
    canvas.text((left + width - 5, top + 4), "L", size=16, anchor="ra")


def _draw_numbers(canvas: Canvas, muscle: pd.DataFrame) -> int:
    """Muscle volume right, left and together, and its median, one line per level; returns the table's top."""
    rows = [["", "R", "L", "both", "HU"]]
    for level, own in muscle.set_index("side").groupby("level", sort=False):
        volumes = own.loc[["right", "left", "both"], "volume_mm3"] * measure("volume_mm3").factor
        cells = [*(_number(value, 1) for value in volumes), _number(own.loc["both", "median_hu"], 0)]
        rows.append(["all" if level == UNION else str(level), *cells])
    top = _NOTES_BOTTOM - _NUMBER_LINE * (len(rows) + 1)
    canvas.text((_NOTES_LEFT, top), "muscle: cm3, median HU", size=12)
    for number, (level, *cells) in enumerate(rows, start=1):
        y = top + number * _NUMBER_LINE
        canvas.text((_NOTES_LEFT, y), level, size=12)
        for edge, cell in zip(_COLUMNS, cells, strict=True):
            canvas.text((_NOTES_LEFT + edge, y), cell, size=12, anchor="ra")
    return top


def _number(value: Any, places: int) -> str:
    return "-" if pd.isna(value) else f"{value:.{places}f}"


def _draw_notes(canvas: Canvas, notes: Sequence[str], bottom: int) -> None:
    """The notes from the top as far as there is room above `bottom`; three dots say that there is more."""
    lines = [line for note in notes for line in textwrap.wrap(note, 25) or [""]]
    room = (bottom - _PANEL_TOP) // _NOTE_LINE
    shown = lines if len(lines) <= room else [*lines[: room - 1], "..."]
    for number, line in enumerate(shown):
        canvas.text((_NOTES_LEFT, _PANEL_TOP + number * _NOTE_LINE), line, size=13)


def _draw_legend(canvas: Canvas) -> None:
    y = CANVAS[1] - 92
    lines = (
        ("left muscle", AUTOCHTHON_LEFT),
        ("right muscle", AUTOCHTHON_RIGHT),
        ("vertebra", body_label(SPINE[0])),
    )
    for name, label in lines:
        canvas.sample((_NOTES_LEFT, y + 7), label)
        canvas.text((_NOTES_LEFT + 44, y), name, size=13)
        y += _NOTE_LINE
    canvas.text((_NOTES_LEFT, y), f"window {WINDOW_HU[0]:.0f} to {WINDOW_HU[1]:.0f} HU", size=13)


def _pixels(plane: Plane, scale: float) -> tuple[int, int]:
    """Width and height in pixels at `scale` pixels per mm."""
    return max(round(plane.size_mm[1] * scale), 1), max(round(plane.size_mm[0] * scale), 1)


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def thumbnail(picture: bytes) -> bytes:
    """A small JPEG of a quality picture, light enough (about 20 KB) to be kept with every event."""
    with Image.open(io.BytesIO(picture)) as page:
        small = page.convert("RGB").resize(THUMBNAIL, Image.Resampling.BOX)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=50)
    return buffer.getvalue()
