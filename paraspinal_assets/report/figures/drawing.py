"""What a figure function returns, and the house style in which it is drawn."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from paraspinal_assets.study.csv_text import csv_text

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette: told apart under the common colour blindnesses."""
LINES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
"""Line styles in the order of `COLOURS`, so that nothing is told by colour alone."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
GREY: Final = "#595959"
"""Reference lines and captions; 7:1 on white."""
RASTER_FROM: Final = 400
"""Scatters of more points than this are stored as an image inside the SVG, to keep it small."""

PNG_DPI: Final = 150
SHOWN_SCALE: Final = 1.15
"""Size in a page, of the size drawn: text of 9 points is then about as large as the page's tables."""

STYLE: Final[Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.dpi": 100,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "paraspinal",
    "svg.image_inline": True,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class Drawing:
    """A figure with what it shows.

    Attributes
    ----------
    name
        File name without ending, and prefix of the ids inside the SVG.
    title, description
        Heading, and the sentence that stands for the picture where it cannot be seen.
    figure
        Matplotlib figure, drawn without pyplot.
    data
        The numbers drawn, one row per mark.
    """

    name: str
    title: str
    description: str
    figure: Figure
    data: pd.DataFrame

    def svg(self) -> str:
        """The figure as an SVG element that can stand beside others in one page."""
        buffer = io.StringIO()
        with mpl.rc_context(STYLE):
            # Not savefig: it draws everything a first time to no purpose, the layout being fixed.
            canvas_svg: Any = FigureCanvasSVG(self.figure)
            canvas_svg.print_svg(buffer, metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
        return _embeddable(text[text.index("<svg") :], self.name, self.description)

    def png(self) -> bytes:
        """The figure as PNG."""
        buffer, own = io.BytesIO(), self.figure.get_dpi()
        with mpl.rc_context(STYLE):
            self.figure.set_dpi(PNG_DPI)
            try:
                canvas_agg: Any = FigureCanvasAgg(self.figure)  # not savefig, as in `svg`
                canvas_agg.print_png(buffer, metadata={"Software": None})
            finally:
                self.figure.set_dpi(own)
        return buffer.getvalue()

    def csv(self) -> str:
        """The numbers behind the figure, full precision."""
        return csv_text(self.data)


def _embeddable(svg: str, name: str, description: str) -> str:
    """Ids made unique within a page, size left to the page, and a description for those who do not see."""
    svg = re.sub(r"\bid=\"", f'id="{name}-', svg)
    svg = re.sub(r"(href=\"#|url\(#)", rf"\g<1>{name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(<svg [^>]*?) width=\"[^\"]*\"", r"\1", svg, count=1)
    svg = re.sub(r"(<svg [^>]*?) height=\"[^\"]*\"", r"\1", svg, count=1)
    # All figures at one scale, so that their text has one size; a narrow page makes them smaller.
    points = float(re.search(r'viewBox="0 0 ([\d.]+) ', svg)[1])  # type: ignore[index]
    size = f'style="max-width: {SHOWN_SCALE * points / 72:.2f}in"'
    return svg.replace(
        "<svg ", f'<svg role="img" aria-label="{escape(description, quote=True)}" {size} ', 1
    ).strip()


@contextmanager
def canvas(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> Iterator[Any]:
    """A figure of the house style, in inches, and its axes as an array of shape ``(rows, columns)``."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False, **options)
        # The layout is solved once: solved again at each saving it drifts, and no two files are alike.
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)
        figure.set_layout_engine("none")


def reference_line(axes: Axes, *, x: float | None = None, y: float | None = None) -> None:
    """A thin grey line at a value that means "no effect"."""
    if x is not None:
        axes.axvline(x, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    if y is not None:
        axes.axhline(y, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)


def scatter(axes: Axes, x: pd.Series[Any], y: pd.Series[Any], **options: Any) -> None:
    """Points, as an image inside the SVG where there are many."""
    axes.scatter(x, y, rasterized=len(x) > RASTER_FROM, **options)
