"""The provenance of everything as one table."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.left_out import left_out
from paraspinal_assets.defs.provenance import ABSENT

COLUMNS = (
    *("asset", "scan", "data_version", "code_version", "settings", "inputs"),
    *("run_id", "built_at", "failure"),
)


def provenance_table(index: EventIndex, assets: Sequence[str], scans: Sequence[str]) -> pd.DataFrame:
    """One row per asset and scan (``table_schemas``): the latest event of each, successes and failures."""
    present: set[str | None] = {None, *scans}
    rows: list[dict[str, Any]] = []
    for asset in sorted(assets):
        records = index.records(asset)
        counted = present - left_out(asset, index.records)
        for key in sorted((key for key in records if key in counted), key=str):
            record = records[key]
            if key is not None and record.data_version == ABSENT:
                continue  # an input that is gone
            built_from = record.built_from
            rows.append(
                {
                    "asset": asset,
                    "scan": key or "",
                    "data_version": record.data_version,
                    "code_version": built_from.code if built_from else None,
                    "settings": json.dumps(dict(built_from.settings), sort_keys=True) if built_from else None,
                    "inputs": json.dumps(dict(built_from.inputs), sort_keys=True) if built_from else None,
                    "run_id": record.run_id or None,
                    "built_at": dt.datetime.fromtimestamp(record.timestamp, dt.UTC).isoformat(
                        timespec="seconds"
                    ),
                    "failure": record.failure.code if record.failure else None,
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))
