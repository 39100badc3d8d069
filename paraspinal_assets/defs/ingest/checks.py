"""The check on what is kept of scans' headers.

It is reported by the table `scans`, which is made once after all conversions: Dagster skips the checks of a
partitioned asset whenever a run builds several partitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from paraspinal_assets.defs.table_asset import Check
from paraspinal_assets.study.scan import Scan

if TYPE_CHECKING:
    from paraspinal_assets.study.scan_records import ScanRecords

MAX_SHOWN: Final = 10


def only_allowed_headers(records: Mapping[Scan, ScanRecords]) -> Check:
    """What was found in sidecars and NIfTI headers beside what is allowed."""
    wrong = [f"{scan.key}: {what}" for scan, found in records.items() for what in found.foreign]
    sentence = "; ".join(wrong[:MAX_SHOWN]) or f"{len(records)} scans, nothing beside what is allowed"
    return Check("only_allowed_headers", not wrong, sentence)
