"""The figures of a report as files: SVG for print, PNG for slides, CSV with the numbers drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from paraspinal_assets.report.blocks import FigureBlock


def figure_files(figures: Iterable[FigureBlock]) -> Iterator[tuple[str, bytes]]:
    """File name and content of every figure."""
    for block in figures:
        yield f"{block.name}.svg", block.svg.encode()
        yield f"{block.name}.png", block.drawing.png()
        yield f"{block.name}.csv", block.drawing.csv().encode()
