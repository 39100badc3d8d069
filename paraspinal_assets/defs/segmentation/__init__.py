"""Muscle and vertebrae are found, and judged."""
