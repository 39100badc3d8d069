"""The one rule of what is stale: what an artifact was built from, compared with what is there now.

Nothing is remembered between looks: no cursor, no timestamp, no edge that fired. So a daemon that was down,
a run that was killed or a file that was touched without being changed need no special case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from paraspinal_assets.defs.event_index import EventIndex, Record
from paraspinal_assets.defs.left_out import left_out
from paraspinal_assets.defs.provenance import ABSENT, UNKNOWN, BuiltFrom
from paraspinal_assets.defs.results import INTERRUPTED
from paraspinal_assets.defs.rules import AssetRule, asset_rules, waves
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.study_file import settings_digest


class State(StrEnum):
    """Where a partition (or a table) stands."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    BLOCKED = "blocked"
    FAILED = "failed"


RETRY_FIRST_S: Final = 600.0
RETRY_LAST_S: Final = 86_400.0
"""What failed for the machine is retried unasked after 10 minutes, then 20, 40, ... at most a day."""

ATTEMPTS_WAITED_FOR: Final = 3
"""Tables wait for a scan that failed for the machine until it has failed this often: a bug must not hold a study up."""

BUILDABLE: Final = frozenset({State.STALE, State.MISSING})


@dataclass(frozen=True)
class Standing:
    """State of one partition of one asset, and why, in words.

    Attributes
    ----------
    state, reason
        As shown to people.
    retry
        Failed, but not for its input: worth another try.
    waiting
        Blocked by something that can be built, so that it will not stay as it is.
    retry_at
        Time before which nobody should retry without being asked to, as a Unix time.
    given_up
        Failed so often that tables go on without it, as they do where an input is bad; it is still retried.
    """

    state: State
    reason: str = ""
    retry: bool = False
    waiting: bool = False
    retry_at: float = 0.0
    given_up: bool = False

    @property
    def buildable(self) -> bool:
        """Whether building it now makes sense."""
        return self.state in BUILDABLE or self.retry

    @property
    def unsettled(self) -> bool:
        """Whether a run would change it; a table waits for that, and never for what failed for good."""
        return (self.buildable and not self.given_up) or self.waiting


_FRESH = Standing(State.FRESH)


@dataclass
class Assessment:
    """Standing of every asset: by scan key, or under None for a table."""

    standings: dict[str, dict[str | None, Standing]] = field(default_factory=dict)

    def buildable(self, asset: str, *, failed: bool = False) -> list[str | None]:
        """The partitions of an asset that should be built now, in order; with those that failed for their input."""
        return [
            key
            for key, standing in self.standings[asset].items()
            if standing.buildable or (failed and standing.state is State.FAILED)
        ]


class Staleness:
    """Assesses assets against an event index, for one opened study.

    Parameters
    ----------
    workspace
        The study as it is now.
    index
        What was built from what.
    scans
        Keys of the scans that exist, in partition order.
    held
        Inputs that are left alone for now, and why (see `observe.Incoming`).
    """

    def __init__(
        self,
        workspace: Workspace,
        index: EventIndex,
        scans: Sequence[str],
        held: Mapping[tuple[str, str | None], str] | None = None,
    ) -> None:
        self._held = held or {}
        self._workspace = workspace
        self._index = index
        self._scans = tuple(scans)
        self._shared: dict[str, dict[str, str]] = {}
        self._digests: dict[Hashable, str] = {}
        self._named: dict[str, Scan] = {}
        self._seen: dict[str, Mapping[str | None, Record]] = {}
        self._of_all_scans: dict[str, str] = {}

    def assess(self) -> Assessment:
        """Standing of every asset."""
        result = Assessment()
        for wave in waves():
            self.assess_more(result, wave)
        return result

    def assess_more(self, result: Assessment, rules: Iterable[AssetRule]) -> None:
        """Add the standing of some assets, whose inputs have been assessed, or bring it up to date."""
        for rule in rules:
            self._seen.pop(rule.name, None)
            self._of_all_scans.pop(rule.name, None)
            keys: Sequence[str | None] = self._scans if rule.partitioned else (None,)
            result.standings[rule.name] = {key: self._standing(rule, key, result) for key in keys}

    def built_from(self, asset: str, key: str | None, *, failed: bool = False) -> BuiltFrom:
        """What the asset would be built from if it were built now; with what a failure depends on, if it `failed`."""
        rule = asset_rules()[asset]
        settings = self._settings(rule, key)
        if failed and rule.failure_settings is not None:
            more = rule.failure_settings(self._workspace.study)
            settings = {**settings, **{name: self._digest(value) for name, value in more.items()}}
        inputs = {name: self._input_version(rule, name, key) for name in rule.inputs}
        return BuiltFrom(rule.code_version, settings, inputs)

    def why(self, asset: str, key: str | None) -> str:
        """Why the asset is built now, in words, whatever its inputs' standing."""
        return self.own_change(asset, key, inputs=True) or "asked for"

    def own_change(self, asset: str, key: str | None, *, inputs: bool = False) -> str:
        """Why the asset must be built even if all its inputs stay as they are, in words; empty if it need not.

        Parameters
        ----------
        asset, key
            Asset and scan key; None for a table.
        inputs
            Count inputs that are different already, too.
        """
        record = self._records(asset).get(key)
        if record is None or record.built_from is None:
            return "never built"
        now = self.built_from(asset, key, failed=record.failure is not None)
        before = record.built_from if inputs else replace(record.built_from, inputs=now.inputs)
        changes = before.changes_to(now)
        if not changes and record.failure is not None and not record.failure.bad_input:
            changes = [f"failed before: {record.failure.code}"]
        return "; ".join(changes)

    def pointers(self, asset: str, key: str | None) -> dict[str, int]:
        """Event ids of the inputs of a partition, for Dagster's own provenance."""
        rules = asset_rules()
        rule = rules[asset]
        found = {name: self._records(name).get(key) for name in rule.inputs if rules[name].partitioned}
        return {name: record.storage_id for name, record in found.items() if record is not None}

    def _records(self, asset: str) -> Mapping[str | None, Record]:
        """Records as they were when first looked at: one assessment sees one state."""
        if asset not in self._seen:
            self._seen[asset] = self._index.records(asset)
        return self._seen[asset]

    def _settings(self, rule: AssetRule, key: str | None) -> dict[str, str]:
        if rule.name not in self._shared:
            parts = rule.settings(self._workspace.study) if rule.settings else {}
            self._shared[rule.name] = {name: settings_digest(value) for name, value in parts.items()}
        shared = self._shared[rule.name]
        if rule.scan_settings is None or key is None:
            return shared
        scan = self._named.get(key)
        if scan is None:
            scan = self._named[key] = Scan.from_key(key)
        own = rule.scan_settings(self._workspace, scan)
        return {**shared, **{name: self._digest(value) for name, value in own.items()}}

    def _digest(self, value: object) -> str:
        """Digest of a setting of one scan; most scans have the same, which is then made once."""
        if value is UNKNOWN:
            return UNKNOWN
        try:
            same = _hashable(value)
        except TypeError:  # holds something that has no hash
            return settings_digest(value)
        if same not in self._digests:
            self._digests[same] = settings_digest(value)
        return self._digests[same]

    def _input_version(self, rule: AssetRule, name: str, key: str | None) -> str:
        records = self._records(name)
        if rule.partitioned or not asset_rules()[name].partitioned:
            record = records.get(key if asset_rules()[name].partitioned else None)
            return (record.data_version if record else None) or ABSENT
        if name not in self._of_all_scans:
            self._of_all_scans[name] = self._digest_of_scans(records, left_out(name, self._records))
        return self._of_all_scans[name]

    def _digest_of_scans(self, records: Mapping[str | None, Record], but: AbstractSet[str]) -> str:
        """One version for all partitions of an input: their data versions, and which failed and how."""
        digest = hashlib.sha256()
        for key in sorted(self._scans):
            record = records.get(key)
            if record is not None and key not in but:
                version = record.data_version or f"failed:{record.failure.code if record.failure else ''}"
                digest.update(f"{key}={version}\n".encode())
        return digest.hexdigest()[:16]

    def _standing(self, rule: AssetRule, key: str | None, done: Assessment) -> Standing:
        if rule.external:
            if (rule.name, key) in self._held:
                return Standing(State.BLOCKED, self._held[rule.name, key])
            record = self._records(rule.name).get(key)
            return _FRESH if record is not None else Standing(State.MISSING, "not observed yet")
        waiting = self._waits_for(rule, key, done)
        if waiting is not None:
            return waiting
        record = self._records(rule.name).get(key)
        if record is not None and record.failure is not None and record.failure.code == INTERRUPTED:
            return Standing(State.STALE, record.failure.message)
        if record is None or record.built_from is None:
            return Standing(State.MISSING, "never built")
        now = self.built_from(rule.name, key, failed=record.failure is not None)
        changes = record.built_from.changes_to(now)
        if changes:
            return Standing(State.STALE, "; ".join(changes))
        if record.failure is not None:
            attempts, retry = record.failure.attempts, not record.failure.bad_input
            times = f"{attempts} time{'s' if attempts > 1 else ''}"
            reason = f"failed {times}, input unchanged since: {record.failure.message}"
            retry_at = round(record.timestamp + min(RETRY_FIRST_S * 2 ** (attempts - 1), RETRY_LAST_S))
            given_up = attempts >= ATTEMPTS_WAITED_FOR
            return Standing(State.FAILED, reason, retry=retry, retry_at=retry_at, given_up=given_up)
        return _FRESH

    def _waits_for(self, rule: AssetRule, key: str | None, done: Assessment) -> Standing | None:
        """The input that must settle first, or nothing."""
        for name in rule.inputs:
            if name not in done.standings:
                continue
            upstream = asset_rules()[name]
            if rule.partitioned or not upstream.partitioned:
                standing = done.standings[name].get(key if upstream.partitioned else None)
                if standing is None:
                    return Standing(State.BLOCKED, f"waits for {name}, which is not there")
                if is_held(upstream, standing):
                    return Standing(State.BLOCKED, f"waits for {name}: {standing.reason}")
                if standing.state is not State.FRESH and name not in rule.optional:
                    reason = f"waits for {name}, which is {standing.state}"
                    return Standing(State.BLOCKED, reason, waiting=standing.unsettled)
            else:
                unsettled = sum(standing.unsettled for standing in done.standings[name].values())
                if unsettled:
                    scans = f"{unsettled} scan{'s' if unsettled > 1 else ''}"
                    return Standing(State.BLOCKED, f"waits for {scans} of {name}", waiting=True)
        return None


def is_held(rule: AssetRule, standing: Standing) -> bool:
    """Whether an input is left alone for now, as files that are still copied are."""
    return rule.external and standing.state is State.BLOCKED


def _hashable(value: object) -> Hashable:
    """A value as a key: equal for what has the same digest, and different for 1, 1.0 and True."""
    if isinstance(value, Mapping):
        return dict, tuple((name, _hashable(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return list, tuple(map(_hashable, value))
    hash(value)
    return type(value), value
