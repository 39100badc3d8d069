"""Scans come in."""
