"""The four Slurm commands that a launcher needs: sbatch, squeue, sacct and scancel."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paraspinal_assets.errors import LaunchError

ENDED_WELL: Final = frozenset({"COMPLETED"})
ENDED_BADLY: Final = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)
"""Final states of a job (squeue(1), JOB STATE CODES); every other state means that it waits or works."""

COMMAND_TIMEOUT_S: Final = 60.0
SUBMIT_AGAIN_AFTER_S: Final = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Pauses between attempts to submit while the controller does not answer, as during its restart."""

_NO_CONTROLLER: Final = ("Unable to contact slurm controller", "Socket timed out", "Connection refused")
_FULL: Final = (
    *("AssocMaxSubmitJobLimit", "QOSMaxSubmitJobPerUserLimit", "MaxSubmitJobsPerAccount"),
    *("AssocGrpSubmitJobsLimit", "QOSGrpSubmitJobsLimit"),
)
"""How sbatch names the limits on the number of jobs; other limits refuse the job whatever else there is."""
_NO_SUCH_JOB: Final = ("Invalid job id",)
_NO_ACCOUNTING: Final = (
    *("accounting storage is disabled", "Slurm accounting", "slurmdbd"),
    "sacct is not installed",
)
_CHOICES: Final = ("SQUEUE_", "SACCT_", "SCANCEL_", "SLURM_CLUSTERS")
"""Variables with which people narrow what these commands show them; a job that is hidden would count as lost."""


class ControllerAwayError(LaunchError):
    """Slurm's controller does not answer: nothing is known about any job (E-SLURM-02)."""


class QueueFullError(LaunchError):
    """Slurm takes no more jobs until some have ended (E-SLURM-04)."""


@dataclass(frozen=True)
class Job:
    """A job as Slurm knows it.

    Attributes
    ----------
    number
        Job id.
    state
        Such as PENDING, RUNNING, CANCELLED.
    nodes
        Where it runs or ran; empty before it starts.
    reason
        Why it waits or how it ended, in Slurm's words.
    """

    number: str
    state: str
    nodes: str = ""
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether it will never work again."""
        return self.state in ENDED_WELL | ENDED_BADLY

    def __str__(self) -> str:
        where = f" on {self.nodes}" if self.nodes else ""
        why = f" ({self.reason})" if self.reason not in ("", "None") else ""
        return f"Slurm job {self.number} is {self.state}{where}{why}"


def submit(name: str, script: str, options: Sequence[str], environment: Mapping[str, str]) -> str:
    """Submit a batch script, once, and return the job's id.

    While the controller is away it is tried again, for a minute or two. An attempt whose answer was lost is not
    repeated: the job is looked up by its name, which must be the only one of its kind.

    Raises
    ------
    LaunchError
        E-SLURM-01 if Slurm refuses the job or its commands are missing; `ControllerAwayError`, `QueueFullError`.
    """
    command = ["sbatch", "--parsable", f"--job-name={name}", *options]
    asked = False
    for pause in (*SUBMIT_AGAIN_AFTER_S, None):
        try:
            # Unless Slurm says that there is no job, an earlier attempt may have made one.
            found = find(name) if asked else None
            asked = True
            return found.number if found else _run(command, environment, script).strip().partition(";")[0]
        except ControllerAwayError:
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def find(name: str, number: str | None = None) -> Job | None:
    """The job of a name, or None if Slurm has forgotten it or never had it.

    Parameters
    ----------
    name
        The job's full name. A job of the same number and another name is another cluster's memory.
    number
        Its id, where known: asking for one job is cheaper for the controller than asking for all.

    Raises
    ------
    LaunchError
        E-SLURM-01; `ControllerAwayError`.
    """
    # A run that repeats another has its tags, so that the number may be the other's job.
    by_name = ["--me", f"--name={name}"]
    for which in ([f"--jobs={number}"], by_name) if number else (by_name,):
        found = _queued(name, which)
        if found is not None:
            return found
    return _accounted(name, number) if number else None


def _queued(name: str, which: Sequence[str]) -> Job | None:
    """A job that the controller remembers."""
    try:
        answer = _run(["squeue", "--noheader", "--states=all", "--format=%i|%j|%T|%N|%r", *which])
    except LaunchError as error:
        if not any(text in error.message for text in _NO_SUCH_JOB):
            raise
        return None
    for line in answer.splitlines():
        number, found_name, state, nodes, reason = line.strip().split("|", 4)
        if found_name == name:
            return Job(number, state, nodes, reason)
    return None


def _accounted(name: str, number: str) -> Job | None:
    """A job that only the accounting database remembers, on clusters that have one."""
    fields = "--format=JobName%80,State%40,NodeList%200"
    try:
        answer = _run(["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={number}", fields])
    except LaunchError as error:
        if isinstance(error, ControllerAwayError) or not any(
            text in error.message for text in _NO_ACCOUNTING
        ):
            raise
        return None
    for line in answer.splitlines():
        found_name, state, nodes = line.split("|", 2)
        if found_name == name:
            # sacct writes "CANCELLED by 1000".
            return Job(number, state.partition(" ")[0], nodes, state)
    return None


def has_jobs() -> bool:
    """Whether a job of this user, of whatever kind, waits or works."""
    return bool(_run(["squeue", "--noheader", "--me", "--format=%i"]).strip())


def cancel(number: str, *, only_waiting: bool = False) -> None:
    """End a job: its processes get SIGTERM, and SIGKILL after the cluster's KillWait. Ended jobs stay as they are.

    Parameters
    ----------
    number
        Job id.
    only_waiting
        Leave it alone if it has started meanwhile.
    """
    _run(["scancel", "--quiet", *(["--state=PENDING"] if only_waiting else []), number])


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None, given: str = "") -> str:
    try:
        done = subprocess.run(
            command,
            input=given,
            env=_everything() if environment is None else environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise LaunchError(
            "E-SLURM-01",
            f"{command[0]} is not installed on this machine",
            "run Dagster's daemon on a host from which jobs are submitted",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ControllerAwayError(
            "E-SLURM-02", f"{command[0]} did not answer for {COMMAND_TIMEOUT_S:g} s", _ASK_ADMIN
        ) from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip() or f"exit code {done.returncode}"
    if any(text in said for text in _NO_CONTROLLER):
        raise ControllerAwayError("E-SLURM-02", f"{command[0]}: {said}", _ASK_ADMIN)
    if any(text in said for text in _FULL):
        raise QueueFullError(
            "E-SLURM-04",
            f"{command[0]}: {said}",
            "the limit of jobs is 0 or full of other people's, or no --account is among compute.slurm.options",
        )
    raise LaunchError("E-SLURM-01", f"{command[0]}: {said}", "see compute.slurm in the study file")


def _everything() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_CHOICES)}


_ASK_ADMIN: Final = "look at `scontrol ping`; jobs that run go on meanwhile"
