"""What the pages of tables show: where columns come from, and previews that are seen at once."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pandas as pd

from paraspinal_assets.defs.build import build_definitions
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.table_metadata import COLUMNS, LINEAGE, preview
from paraspinal_assets_tests.defs.conftest import BuiltStudy

SHOWN_AT_ONCE = 1000
"""From this length on, Dagster's UI hides Markdown behind a link."""


def shown(built: BuiltStudy) -> dict[str, dict[str, Any]]:
    """Asset -> metadata of its definition, and of the latest event of a table."""
    graph = build_definitions().resolve_asset_graph()
    with study_instance(built.workspace) as instance:
        events = {
            name: instance.get_latest_materialization_event(dg.AssetKey(name))
            for name, rule in asset_rules().items()
            if not rule.partitioned
        }
    latest = {name: event.asset_materialization for name, event in events.items() if event is not None}
    return {
        name: {**graph.get(dg.AssetKey(name)).metadata, **(latest[name].metadata if name in latest else {})}
        for name in asset_rules()
    }


def columns(metadata: dict[str, Any]) -> set[str]:
    schema = metadata.get(COLUMNS)
    if schema is None:
        return set()
    return {column.name for column in getattr(schema, "schema", schema).columns}


def test_every_column_comes_from_columns_of_the_assets_inputs(built: BuiltStudy) -> None:
    metadata = shown(built)
    derived = {name: entry[LINEAGE].value for name, entry in metadata.items() if LINEAGE in entry}
    assert set(derived) >= {
        *("muscle_metrics", "bone_metrics", "outcomes", "cohort", "quartile_cohort", "table_one"),
        *("regression", "sensitivity", "fracture_models", "auc", "longitudinal", "subgroups"),
    }
    for name, lineage in derived.items():
        for column, sources in lineage.deps_by_column.items():
            assert column in columns(metadata[name]), f"{name}.{column}"
            for source in sources:
                asset = source.asset_key.to_user_string()
                assert asset in asset_rules()[name].inputs, f"{name}.{column}"
                assert source.column_name in columns(metadata[asset]), f"{name}.{column}: {source}"


def test_a_coefficient_comes_from_the_columns_of_the_formulas(built: BuiltStudy) -> None:
    lineage = shown(built)["regression"][LINEAGE].value.deps_by_column
    assert {source.column_name for source in lineage["estimate"]} == {"vbmd", "age", "sex", "attenuation"}
    assert {column.split(".")[0] for column in lineage if "." in column} > {"linear_fit", "diagnostics"}


def test_a_preview_is_short_enough_to_be_shown_and_has_no_pandas_words() -> None:
    wide = pd.DataFrame({f"column_{number}": [1234567.0, None, 0.5] * 5 for number in range(12)})
    text = preview(wide.assign(scan="a|b", missing=pd.NA))
    assert len(text) < SHOWN_AT_ONCE
    assert text.splitlines()[2].count("1234567") == 12
    assert "a/b | – |" in text
    assert len(preview(pd.DataFrame([["x" * 2000]])).splitlines()) == 3
