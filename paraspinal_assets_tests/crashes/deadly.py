"""Processes that kill themselves at an exact point.

Loaded into every command of a test and into its workers; never into the test itself.
A file beside the study's folder orders a death: ``ROLE POINT WHEN COUNT`` kills the process of that role (``command``
or ``worker``) right before or after its COUNT-th rename of a finished file or writing of an asset's event (``rename``,
``event``).
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import dagster as dg

from paraspinal_assets.defs.workspace import STUDY_VARIABLE

role = "worker"
_counts = {"rename": itertools.count(1), "event": itertools.count(1)}


def _dies(point: str, when: str, count: int) -> None:
    order = Path(os.environ[STUDY_VARIABLE]).parents[1] / "order"
    if order.exists() and order.read_text().split() == [role, point, when, str(count)]:
        # Only once: the work of a killed worker is taken up by another one.
        order.rename(order.with_suffix(".done"))
        os.kill(os.getpid(), signal.SIGKILL)


def _watched(function: Callable[..., Any], point: str, counts: Callable[..., bool]) -> Any:
    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if not counts(*arguments, **options):
            return function(*arguments, **options)
        count = next(_counts[point])
        _dies(point, "before", count)
        result = function(*arguments, **options)
        _dies(point, "after", count)
        return result

    return wrapped


def _is_of_asset(_: dg.DagsterInstance, event: Any, **__: Any) -> bool:
    content = event.dagster_event
    return content is not None and content.event_type_value in (
        "ASSET_MATERIALIZATION",
        "ASSET_OBSERVATION",
    )


os.replace = _watched(os.replace, "rename", lambda source, *_: Path(source).name.startswith(".writing-"))
dg.DagsterInstance.handle_new_event = _watched(  # type: ignore[method-assign]
    dg.DagsterInstance.handle_new_event, "event", _is_of_asset
)
