"""Table assets: read, call one function, check, write to DuckDB, describe.

No postponed annotations here: Dagster looks at the types of an asset's arguments when it is declared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from paraspinal_assets.defs.automation.staleness import Staleness
from paraspinal_assets.defs.code_links import code_link
from paraspinal_assets.defs.event_index import EventIndex, Record
from paraspinal_assets.defs.left_out import left_out
from paraspinal_assets.defs.provenance import BUILT_FROM, FAILURE
from paraspinal_assets.defs.results import failure_metadata
from paraspinal_assets.defs.rules import AssetRule, StudyParts, register
from paraspinal_assets.defs.scan_asset import SCANS, shared_index
from paraspinal_assets.defs.table_metadata import table_metadata
from paraspinal_assets.defs.workspace import StudyResource, Workspace
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.schema import TableSchema, schemas
from paraspinal_assets.study.store import frame_digest

if TYPE_CHECKING:
    import pandas as pd

OWNERS: Final = ("team:statistics",)


@dataclass(frozen=True)
class Check:
    """The verdict of one check on a table, with a sentence that says what failed in whom."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Tables:
    """What a table function returns.

    Attributes
    ----------
    frames
        Table name -> rows; each is written to DuckDB under its documented schema.
    schemas
        Schemas that are not in ``table_schemas`` as they stand (covariates come from the study file).
    checks
        Verdicts; every name must be among the asset's declared checks.
    metadata
        What a person wants to see in the UI, besides row counts, columns and a preview.
    data_version
        Digest of the content; that of the frames when absent.
    absent
        Tables that this study does not have; those of an earlier study file are dropped.
    """

    frames: "Mapping[str, pd.DataFrame]" = field(default_factory=dict)
    schemas: Mapping[str, TableSchema] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    data_version: str | None = None
    absent: Sequence[str] = ()

    def schema(self, name: str) -> TableSchema:
        """The schema of one of the tables."""
        return self.schemas.get(name) or schemas()[name]


@dataclass(frozen=True)
class TableContext:
    """What a table function works with: the study, and what is known of each scan of an input asset."""

    workspace: Workspace
    index: EventIndex
    scans: tuple[str, ...]

    def records(self, asset: str) -> dict[str, Record]:
        """Scan key -> latest record of a per-scan asset, for the scans that exist and are not left out."""
        known, but = self.index.records(asset), left_out(asset, self.index.records)
        return {key: known[key] for key in self.scans if key in known and key not in but}


TableFunction = Callable[[TableContext], Tables]


def table_asset(
    *,
    group: str,
    inputs: Sequence[str],
    code_version: str,
    kinds: set[str],
    settings: StudyParts | None = None,
    checks: Mapping[str, str] | None = None,
    warnings: Mapping[str, str] | None = None,
) -> Callable[[TableFunction], dg.AssetsDefinition]:
    """A table asset from a function of a `TableContext`; the function's docstring is the description.

    Parameters
    ----------
    group, kinds
        As Dagster shows them.
    inputs, code_version, settings
        What decides about staleness (see `AssetRule`).
    checks
        Name -> meaning of the checks that the function reports; one that fails keeps the table from being written.
    warnings
        The same for checks that let the table be written.
    """
    blocking = checks or {}

    def wrap(function: TableFunction) -> dg.AssetsDefinition:
        name = function.__name__
        rule = register(AssetRule(name, False, tuple(inputs), (), code_version, settings, function=function))

        @dg.asset(
            name=name,
            description=(function.__doc__ or "").strip(),
            group_name=group,
            deps=list(inputs),
            metadata=code_link(function),
            code_version=code_version,
            kinds=kinds,
            owners=list(OWNERS),
            pool="duckdb",
            check_specs=[
                dg.AssetCheckSpec(check, asset=name, description=meaning, blocking=check in blocking)
                for check, meaning in {**blocking, **(warnings or {})}.items()
            ],
        )
        def asset(context: dg.AssetExecutionContext, study: StudyResource) -> Iterator[Any]:
            workspace = study.open()
            scans = tuple(sorted(context.instance.get_dynamic_partitions(SCANS.name or "")))
            index = shared_index(context.instance)
            staleness = Staleness(workspace, index, scans)
            now, why = staleness.built_from(rule.name, None), staleness.why(rule.name, None)
            try:
                tables = function(TableContext(workspace, index, scans))
                broken = [check for check in tables.checks if not check.passed and check.name in blocking]
                if broken:
                    sentence = "; ".join(f"{check.name}: {check.sentence}" for check in broken)
                    raise StudyError("E-CHECK", f"{name} was not written: {sentence}", "correct the input")
                workspace.database.replace(
                    {table: (tables.schema(table), frame) for table, frame in tables.frames.items()},
                    absent=tables.absent,
                )
            except Exception as error:
                failure = failure_metadata(error, workspace.root)
                yield dg.AssetObservation(
                    name, metadata={BUILT_FROM: now.as_metadata(), FAILURE: dg.MetadataValue.json(failure)}
                )
                raise dg.Failure(str(error), allow_retries=False) from error
            for check in tables.checks:
                severity = (
                    dg.AssetCheckSeverity.ERROR if check.name in blocking else dg.AssetCheckSeverity.WARN
                )
                yield dg.AssetCheckResult(
                    passed=check.passed, check_name=check.name, severity=severity, description=check.sentence
                )
            version = tables.data_version or frame_digest(*tables.frames.values())
            yield dg.MaterializeResult(
                asset_key=name,
                data_version=dg.DataVersion(version),
                metadata={
                    **tables.metadata,
                    **table_metadata({t: (tables.schema(t), frame) for t, frame in tables.frames.items()}),
                    "why": why,
                    BUILT_FROM: now.as_metadata(),
                },
            )

        return asset

    return wrap


def external_table(name: str, description: str, group: str, kinds: set[str]) -> dg.AssetSpec:
    """An input file that comes from outside: observed, never built."""
    register(AssetRule(name, partitioned=False, external=True))
    return dg.AssetSpec(name, description=description, group_name=group, kinds=kinds, owners=list(OWNERS))
