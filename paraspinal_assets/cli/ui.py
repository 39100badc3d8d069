"""The Dagster UI of a study, on this machine unless told otherwise."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
from typing import Final

import click

from paraspinal_assets.cli.study_argument import STUDY
from paraspinal_assets.defs.instance import (
    begin_with_runs_to_come,
    environment,
    prepare_home,
    study_instance,
)
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.place import StudyPlace

# `dagster dev` recommends another tool at every start; it needs that tool's project layout.
_DEV: Final = ["-W", "ignore:Function `dev_command` is superseded", "-m", "dagster", "dev"]
_READ_ONLY: Final = ["-m", "dagster_webserver", "--read-only"]


@click.command()
@STUDY
@click.option("--port", type=click.IntRange(1024, 65535), default=3000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--without-login",
    is_flag=True,
    help="Allow a --host that other machines reach: whoever reaches it can read and run everything.",
)
@click.option("--read-only", is_flag=True, help="Only show: nothing can be started, and no schedule runs.")
def ui(study: StudyPlace, port: int, host: str, without_login: bool, read_only: bool) -> None:
    """Open the study in the Dagster UI, on this machine only."""
    if not without_login and not is_loopback(host):
        raise StudyError(
            "E-STUDY-58",
            f"--host {host} can be reached from other machines, and the Dagster UI asks nobody for a login",
            "put a proxy with a login in front of 127.0.0.1 (docs/deployment.md), "
            "or add --without-login if the network itself is closed",
        )
    workspace = Workspace.open(study)
    if read_only:
        prepare_home(workspace.store)
    else:
        with study_instance(workspace) as instance:
            begin_with_runs_to_come(instance)
    command = [sys.executable, *(_READ_ONLY if read_only else _DEV), "--host", host, "--port", str(port)]
    command += ["--module-name", "paraspinal_assets.definitions"]
    # Becomes Dagster's process, so that a signal to stop reaches the one that stops its servers. It passes every
    # such signal on as Ctrl-C, which a script that starts a command in the background has it ignore.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, command, {**os.environ, **environment(workspace)})


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone; of names, only `localhost` is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


commands = (ui,)
