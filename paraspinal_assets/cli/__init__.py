"""The command line: `paraspinal`."""

from paraspinal_assets.cli.main import main

__all__ = ["main"]
