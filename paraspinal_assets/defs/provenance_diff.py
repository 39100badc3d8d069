"""What changed between two moments of a study, and why.

Every event says what it was built from, so the state after a run is the latest event of each asset and scan up
to that run's last one; nothing is stored for comparing. A row of a measurement table changed when its scan's
artifact did; a table of the whole study is compared as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg

from paraspinal_assets.defs.event_index import EventIndex, Record
from paraspinal_assets.defs.rules import asset_rules, waves
from paraspinal_assets.errors import StudyError

NOW: Final = "now"
SHORTEST_ID: Final = 4


@dataclass(frozen=True)
class Change:
    """One asset of one scan (None for a table) whose content or failure is another than before.

    `before` and `after` are data versions, or codes of failures; None where there was nothing.
    """

    asset: str
    scan: str | None
    before: str | None
    after: str | None
    why: tuple[str, ...]


def diff(instance: dg.DagsterInstance, run_a: str, run_b: str) -> list[Change]:
    """What is different after run B from what was there after run A, inputs first.

    Runs are named by Dagster's run ids or their beginnings, or as ``now``.

    Raises
    ------
    StudyError
        E-STUDY-66 for a run that is not there, or a beginning that fits several.
    """
    before = EventIndex(instance, until=_last_event(instance, run_a))
    after = EventIndex(instance, until=_last_event(instance, run_b))
    return [change for wave in waves() for rule in wave for change in _changes(rule.name, before, after)]


def _changes(asset: str, before: EventIndex, after: EventIndex) -> Iterator[Change]:
    old, new = before.records(asset), after.records(asset)
    for key in sorted({*old, *new}, key=str):
        a, b = old.get(key), new.get(key)
        if _content(a) != _content(b):
            yield Change(asset, key, _content(a), _content(b), _why(asset, a, b))


def _content(record: Record | None) -> str | None:
    if record is None:
        return None
    return record.failure.code if record.failure else record.data_version


def _why(asset: str, a: Record | None, b: Record | None) -> tuple[str, ...]:
    if a is None or b is None:
        return ("new" if a is None else "not there yet",)
    if asset_rules()[asset].external:
        return ("its content changed",)
    if a.built_from is None or b.built_from is None:
        return ("not recorded",)
    return tuple(a.built_from.changes_to(b.built_from)) or ("tried again",)


def _last_event(instance: dg.DagsterInstance, run: str) -> int | None:
    """Number of a run's last event; None for now."""
    if run == NOW:
        return None
    run_id = run if instance.get_run_by_id(run) else _only(instance.get_run_ids(), run)
    records = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    return records[0].storage_id if records else 0


def _only(run_ids: Sequence[str], beginning: str) -> str:
    fitting = [run_id for run_id in run_ids if run_id.startswith(beginning)]
    if len(fitting) == 1 and len(beginning) >= SHORTEST_ID:
        return fitting[0]
    what = f"{len(fitting)} runs begin with" if fitting else "no run"
    raise StudyError(
        "E-STUDY-66", f"{what} {beginning!r}", "take an id from the UI or `paraspinal explain`, or `now`"
    )
