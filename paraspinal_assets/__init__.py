"""Paraspinal muscle and vertebral bone from chest CT, as Dagster data assets."""

__version__ = "0.1.0"
