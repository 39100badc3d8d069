"""The Dagster instance of a study: its own folder, no telemetry, loopback only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Final

import dagster as dg

from paraspinal_assets.defs.workspace import STUDY_VARIABLE, Workspace
from paraspinal_assets.study.disk import disk_error
from paraspinal_assets.study.store import StudyStore

CONFIGURATION: Final = "dagster.yaml"


def prepare_home(store: StudyStore) -> None:
    """Make the study's Dagster folder with the shipped configuration, unless it has one."""
    target = store.dagster_home / CONFIGURATION
    if not target.exists():
        shipped = (files("paraspinal_assets.study") / "templates" / CONFIGURATION).read_bytes()
        store.write_bytes(target, shipped)


def environment(workspace: Workspace) -> dict[str, str]:
    """Variables by which Dagster's own commands and this package's workers find the study."""
    return {
        "DAGSTER_HOME": str(workspace.store.dagster_home),
        STUDY_VARIABLE: str(workspace.place),
        "DAGSTER_EVENT_BATCH_SIZE": "100",  # planned partitions of a run are stored together
    }


@contextmanager
def study_instance(workspace: Workspace) -> Iterator[dg.DagsterInstance]:
    """The study's instance; the variables of `environment` are set for this process and its children.

    Raises
    ------
    MachineError
        E-DISK-01 or E-DISK-02 if the disk of the study stopped the work.
    """
    try:
        prepare_home(workspace.store)
        os.environ.update(environment(workspace))
        with dg.DagsterInstance.get() as instance:
            yield instance
    except Exception as error:
        of_disk = disk_error(error, workspace.root)
        if of_disk is None:
            raise
        raise of_disk from error


def begin_with_runs_to_come(instance: dg.DagsterInstance) -> None:
    """Let the daemon that retries runs begin with new ones, as it does by itself, but then with a warning."""
    from dagster._daemon.auto_run_reexecution.event_log_consumer import (
        DAGSTER_EVENT_TYPES,
        _create_cursor_key,
    )

    keys = {_create_cursor_key(event_type) for event_type in DAGSTER_EVENT_TYPES}
    missing = keys - instance.daemon_cursor_storage.get_cursor_values(keys).keys()
    if missing:
        last = str(instance.event_log_storage.get_maximum_record_id() or 0)
        instance.daemon_cursor_storage.set_cursor_values(dict.fromkeys(missing, last))
