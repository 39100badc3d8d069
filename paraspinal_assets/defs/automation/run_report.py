"""What a run did, and how everything stands after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from paraspinal_assets.defs.automation.staleness import Standing, State
from paraspinal_assets.defs.event_index import EventIndex, Failure, Record
from paraspinal_assets.defs.rules import AssetRule
from paraspinal_assets.errors import StudyError

NO_RESULT: Final = Failure(
    "E-RUN-01",
    "[E-RUN-01] its run ended without a result\nFix: run again; if it stays, see the run's log in the Dagster UI",
    bad_input=False,
    attempts=1,
)


@dataclass
class Report:
    """What a run did, and how everything stands after it.

    Attributes
    ----------
    materialized
        Asset -> scan keys that were built; an empty list for a table.
    failed
        Asset -> scan key (empty for a table) -> code, for everything that stands failed.
    not_measurable
        Scan key -> reason code, for scans whose record says that nothing can be measured.
    problems
        Folders that are no scans.
    held
        Asset and scan key of inputs that are left alone for now -> why.
    """

    materialized: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    messages: dict[tuple[str, str], str] = field(default_factory=dict)
    not_measurable: dict[str, str] = field(default_factory=dict)
    problems: tuple[StudyError, ...] = ()
    held: Mapping[tuple[str, str | None], str] = field(default_factory=dict)

    def add_built(
        self,
        wanted: Mapping[AssetRule, Sequence[str | None]],
        before: Mapping[str, Mapping[str | None, Record]],
        index: EventIndex,
    ) -> None:
        """Add what became of what was to be built; `before` are the records of the assets as they were until then."""
        for rule, keys in wanted.items():
            records = index.records(rule.name)
            for key in keys:
                record, earlier = records.get(key), before[rule.name].get(key)
                if record is None or (earlier is not None and record.storage_id == earlier.storage_id):
                    self._add_failure(rule, key, NO_RESULT)
                elif record.failure is not None:
                    self._add_failure(rule, key, record.failure)
                else:
                    built = self.materialized.setdefault(rule.name, [])
                    if key is not None:
                        built.append(key)

    def add_standing(
        self, rule: AssetRule, standings: Mapping[str | None, Standing], index: EventIndex
    ) -> None:
        """Add what of an asset stands failed, and which scans cannot be measured."""
        records = index.records(rule.name)
        for key, standing in standings.items():
            record = records.get(key)
            if record is None:
                continue
            if standing.state is State.FAILED and record.failure is not None:
                self._add_failure(rule, key, record.failure)
            if key is not None and record.note is not None:
                self.not_measurable.setdefault(key, record.note)

    def _add_failure(self, rule: AssetRule, key: str | None, failure: Failure) -> None:
        self.failed.setdefault(rule.name, {})[key or ""] = failure.code
        self.messages[(rule.name, key or "")] = failure.message
