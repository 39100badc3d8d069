"""The confidence level of every interval that is computed here."""

from __future__ import annotations

from typing import Final

LEVEL: Final = 0.95
TAIL: Final = (1 - LEVEL) / 2
"""Probability beyond either limit."""
