"""The study's statistics."""
