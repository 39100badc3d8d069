"""Runs of `paraspinal run`: no launcher started them, the command's own processes work on them."""

from __future__ import annotations

from typing import Final

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

COMMAND_TAG: Final = "paraspinal/command"
"""On runs of `paraspinal run`: they live no longer than the command that holds the study."""


def command_health(run: dg.DagsterRun) -> CheckRunHealthResult | None:
    """What a launcher says of such a run; None for a run of the launcher's own.

    It counts as working: it has no job that could be looked up, and Dagster's monitoring fails a run that any other
    answer is given of. A command that was killed is noticed by the lock that its processes hold (`defs.abandoned`).
    """
    if COMMAND_TAG not in run.tags:
        return None
    return CheckRunHealthResult(WorkerStatus.RUNNING, "a process of `paraspinal run`")
