"""Muscle and bone are measured per level."""
