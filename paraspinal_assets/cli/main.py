"""The `paraspinal` command and its subcommands."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final

import click

from paraspinal_assets import __version__
from paraspinal_assets.errors import MachineError, ParaspinalError, StudyError

DONE, SOME_FAILED, WRONG_USE, TRY_AGAIN, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: everything done; some scans failed and are named; wrong use or a wrong study file; another process, a
disk or a service is in the way, and the same command may do later; Ctrl-C."""

COMMANDS: Final = {
    **dict.fromkeys(("init", "check", "run", "status", "export"), "study"),
    **dict.fromkeys(("explain", "diff"), "provenance"),
    "forget": "participant",
    "ui": "ui",
    "tidy": "tidy",
    "demo": "demo",
    **dict.fromkeys(("convert", "measure"), "tools"),
    "analyze": "analyze",
    **dict.fromkeys(("weights", "train-phantom-network"), "weights"),
}
"""Module of each command. Only the one that is asked for is imported: Dagster alone takes seconds."""


class _Group(click.Group):
    """Errors of ours become a message and an exit code; they are meant for people, a traceback is not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"paraspinal_assets.cli.{COMMANDS[cmd_name]}")
        found: dict[str | None, click.Command] = {command.name: command for command in module.commands}
        return found[cmd_name]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ParaspinalError as error:
            click.echo(f"{type(error).__name__} {error}", err=True)
            sys.exit(_exit_code(error))
        except KeyboardInterrupt:
            click.echo("Interrupted; what is finished is kept.", err=True)
            sys.exit(INTERRUPTED)


def _exit_code(error: ParaspinalError) -> int:
    if isinstance(error, MachineError):
        return TRY_AGAIN
    return WRONG_USE if isinstance(error, StudyError) else SOME_FAILED


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="paraspinal")
def main() -> None:
    """Paraspinal muscle and vertebral bone from chest CT, for whole studies.

    Exit codes: 0 done, 1 some scans failed (named), 2 wrong use or study file, 3 try again later (another
    command, a disk or a service is in the way), 130 interrupted.
    """
