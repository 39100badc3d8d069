"""Figures, one module per subject: data frames in, a `Drawing` out. Same data, same bytes."""

from paraspinal_assets.report.figures.drawing import Drawing

__all__ = ["Drawing"]
