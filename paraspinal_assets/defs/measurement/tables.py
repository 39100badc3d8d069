"""The study's measurement tables: per-scan Parquet files brought into DuckDB, only what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import dagster as dg

from paraspinal_assets.defs.abandoned import mark_interrupted
from paraspinal_assets.defs.table_asset import Check, TableContext, Tables, table_asset
from paraspinal_assets.defs.table_metadata import ROWS, columns_metadata, preview
from paraspinal_assets.errors import MachineError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.scan_merge import UNREADABLE, loaded, merge_scans
from paraspinal_assets.study.schema import TableSchema, schemas
from paraspinal_assets.study.settings import Study
from paraspinal_assets.study.store import StudyStore, json_digest


@dataclass(frozen=True)
class Measurement:
    """One measurement table.

    Attributes
    ----------
    name, description
        Of the table and its asset.
    source, artifact
        Per-scan asset that measures, and its Parquet file.
    rows_per_scan
        How many rows every scan has, measured or not.
    column, low, high
        A quantity and its human range; a value outside is a unit or reading error.
    """

    name: str
    description: str
    source: str
    artifact: str
    rows_per_scan: Callable[[Study], int]
    column: str
    low: float
    high: float


MEASUREMENTS: Final = (
    Measurement(
        "muscle_metrics",
        "Muscle of every scan, level and side, as one table.",
        "scan_muscle",
        "muscle",
        lambda study: 3 * (len(study.levels) + 1),
        *("median_hu", -200.0, 200.0),
    ),
    Measurement(
        "bone_metrics",
        "Trabecular attenuation and vBMD of every scan and level, as one table.",
        "scan_bone",
        "bone",
        lambda study: len(study.levels),
        *("trabecular_mean_hu", 1.0, 700.0),
    ),
    Measurement(
        "radiomics",
        "PyRadiomics features of every scan and level, as one table.",
        "scan_radiomics",
        "radiomics",
        lambda study: len(study.levels) if study.measurement.radiomics else 0,
        *("original_firstorder_Median", -200.0, 200.0),
    ),
    Measurement(
        "deformity",
        "Vertebral heights and grades of every scan and level, as one table.",
        "scan_deformity",
        "deformity",
        lambda study: len(study.levels),
        *("posterior_mm", 4.0, 60.0),
    ),
)


def _measure_again(
    table: Measurement, schema: TableSchema, keys: Sequence[str], context: TableContext
) -> None:
    """Mark the scans whose file is missing or damaged, so that the next run measures them again."""
    for key in keys:
        if not _is_whole(context.workspace.store, Scan.from_key(key), table.artifact, schema):
            mark_interrupted(
                context.index.instance,
                table.source,
                key,
                "its file is missing or damaged: it is measured again",
            )


def _is_whole(store: StudyStore, scan: Scan, artifact: str, schema: TableSchema) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(store.fetch(scan, artifact))
    except (OSError, pa.ArrowException):
        return False
    return {column.name for column in schema.columns} <= set(found.column_names)


def _gather(table: Measurement) -> dg.AssetsDefinition:
    def function(context: TableContext) -> Tables:
        store, database = context.workspace.store, context.workspace.database
        files = {
            key: (record.data_version, store.address(Scan.from_key(key), table.artifact))
            for key, record in context.records(table.source).items()
            if record.data_version is not None
        }
        schema = schemas()[table.name]
        try:
            read = merge_scans(database, table.name, schema, files, store.files_for_duckdb())
        except MachineError as error:
            if error.code == UNREADABLE:
                known = loaded(database, table.name)
                new = [key for key, (version, _) in files.items() if known.get(key) != version]
                _measure_again(table, schema, new, context)
            raise
        rows = int(database.query(f'SELECT count(*) AS n FROM "{table.name}"')["n"].iloc[0])
        expected = len(files) * table.rows_per_scan(context.workspace.study)
        whole = Check(
            "every_scan_whole", rows == expected, f"{rows} rows for {len(files)} scans, of {expected}"
        )
        metadata: dict[str, Any] = {
            ROWS: rows,
            "scans": len(files),
            "scans read": read,
            f"preview of {table.name}": dg.MetadataValue.md(
                preview(database.query(f'SELECT * FROM "{table.name}" LIMIT 8'))
            ),
            **columns_metadata([_from_scans(table)]),
        }
        version = json_digest({key: version for key, (version, _) in files.items()})
        return Tables(checks=[whole, _plausible(table, database)], metadata=metadata, data_version=version)

    function.__name__, function.__doc__ = table.name, table.description
    return table_asset(
        group="measurement",
        inputs=[table.source],
        code_version="1",
        kinds={"duckdb", "parquet"},
        checks={
            "every_scan_whole": "Every scan has all its rows, measured or null with a reason.",
        },
        warnings={
            "values_plausible": f"{table.column} lies within {table.low:g} to {table.high:g}.",
        },
    )(function)


def _from_scans(table: Measurement) -> TableSchema:
    schema = schemas()[table.name]
    return replace(schema, made_from={c.name: [f"{table.source}.{c.name}"] for c in schema.columns})


def _plausible(table: Measurement, database: Database) -> Check:
    outside = database.query(
        f'SELECT exam, participant, level, "{table.column}" AS value FROM "{table.name}"'
        f' WHERE NOT "{table.column}" BETWEEN ? AND ? ORDER BY ALL LIMIT 5',
        [table.low, table.high],
    )
    named = [f"{row.exam}-{row.participant} {row.level}: {row.value:g}" for row in outside.itertuples()]
    return Check("values_plausible", not named, "; ".join(named) or "all values within range")


assets = [_gather(table) for table in MEASUREMENTS]
