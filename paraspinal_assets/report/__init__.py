"""Figures, quality pictures and the HTML study report."""
