"""What an artifact was built from, recorded on its event and compared with what is there now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import dagster as dg

BUILT_FROM: Final = "built_from"
FAILURE: Final = "failure"
NOT_MEASURABLE: Final = "not_measurable"
DATA_VERSION_TAG: Final = "dagster/data_version"
ABSENT: Final = "absent"
"""Version of an optional input that a scan does not have."""
UNKNOWN: Final = "unknown"
"""In place of a digest: what cannot be known now, as its disk is away, counts as what it was."""


@dataclass(frozen=True, slots=True)
class BuiltFrom:
    """Code version, digests of the study-file parts used, and data version of every input."""

    code: str
    settings: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    def as_metadata(self) -> dg.JsonMetadataValue:
        """The record as event metadata, readable in the UI."""
        return dg.MetadataValue.json(
            {"code_version": self.code, "settings": dict(self.settings), "inputs": dict(self.inputs)}
        )

    def changes_to(self, now: BuiltFrom) -> list[str]:
        """What is different now, in words; empty if nothing is."""
        if self == now:
            return []
        changes: list[str] = []
        if self.code != now.code:
            changes.append(f"code version {self.code} -> {now.code}")
        changes += [f"study file: {name} changed" for name in _differences(self.settings, now.settings)]
        changes += [f"input {name} changed" for name in _differences(self.inputs, now.inputs)]
        return changes


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = {*before, *now}
    return sorted(name for name in names if before.get(name) != now.get(name) != UNKNOWN)


def dagster_tags(data_version: str, built_from: BuiltFrom, pointers: Mapping[str, int]) -> dict[str, str]:
    """Dagster's own provenance tags of a partition's event, so that its staleness view agrees with ours.

    Dagster stores the version of an upstream partition as the SHA-256 of its data version.
    """
    tags = {
        DATA_VERSION_TAG: data_version,
        "dagster/data_version_is_user_provided": "true",
        "dagster/code_version": built_from.code,
    }
    for name, version in built_from.inputs.items():
        if name in pointers:
            tags[f"dagster/input_data_version/{name}"] = hashlib.sha256(version.encode()).hexdigest()
            tags[f"dagster/input_event_pointer/{name}"] = str(pointers[name])
    return tags
