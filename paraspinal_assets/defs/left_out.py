"""Scans of which an artifact is of an input that is gone: they have no part in any table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paraspinal_assets.defs.event_index import Record
from paraspinal_assets.defs.rules import asset_rules

Records = Callable[[str], Mapping[str | None, Record]]


def left_out(asset: str, records: Records) -> frozenset[str]:
    """Scans of which something that a per-scan asset is made from has failed since.

    A scan that was replaced by one that cannot be read still has the measurements of the earlier one on disk. They
    are kept, as it may come back, and counted nowhere: tables are what a build from nothing would give.
    """
    rule = asset_rules()[asset]
    found: set[str] = set()
    for name in rule.inputs:
        upstream = asset_rules()[name]
        if upstream.partitioned and not upstream.external and name not in rule.optional:
            found |= {key for key, record in records(name).items() if key is not None and record.failure}
            found |= left_out(name, records)
    return frozenset(found)
