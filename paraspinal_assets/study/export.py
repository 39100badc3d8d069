"""Writing all tables of a study for other programs, with the dictionary that explains them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, Literal

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from paraspinal_assets.errors import MachineError, StudyError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.dictionary import (
    INTRODUCTION,
    dictionary_frame,
    dictionary_markdown,
    reason_codes,
)
from paraspinal_assets.study.disk import disk_error
from paraspinal_assets.study.schema import TableSchema
from paraspinal_assets.study.stata import write_stata
from paraspinal_assets.study.store import StudyStore

Format = Literal["parquet", "csv", "stata"]
Writer = Callable[[Path, TableSchema, Iterator[pd.DataFrame]], None]
SCAN_KEY: Final = ("exam", "participant")


def export(database: Database, folder: Path, format: Format) -> list[Path]:
    """Write every table of a study's database, and the data dictionary, into a folder.

    The tables are of one moment: a run that writes meanwhile changes none of them. The same tables give the
    same bytes. Files of the same name are replaced, each at once; other files stay.

    Parameters
    ----------
    database
        The study's tables.
    folder
        Where to write; made if absent.
    format
        ``parquet``; ``csv`` (UTF-8, Unix line ends, numbers with the up to 17 digits that read back as the same
        number, an empty cell for a missing value); or ``stata`` (.dta, see `stata.write_stata`).

    Returns
    -------
    list
        The files: a table each, then ``data_dictionary.csv``, ``data_dictionary.md``, ``reason_codes.csv``.

    Raises
    ------
    StudyError
        E-STUDY-31 if there is no table.
    MachineError
        E-STUDY-35 if the folder cannot be written to, E-DISK-01 if its disk is full.
    """
    if not database.names():
        raise StudyError(
            "E-STUDY-31", f"no tables in {database.path}", "run `paraspinal run` on the study first"
        )
    suffix, write = _FORMATS[format]
    store, written = StudyStore(folder), []
    try:
        with database.moment(folder) as moment:
            tables = moment.documented()
            for schema in tables:
                fill = partial(_fill, write, moment, schema)
                written.append(store.write(store.root / f"{schema.name}{suffix}", fill))
        for name, content in _dictionary(tables).items():
            written.append(store.write_bytes(store.root / name, content.encode()))
    except OSError as error:
        raise MachineError(
            "E-STUDY-35",
            f"cannot write to {folder}: {error.strerror or error}",
            "name a folder that you may write to, on a disk with space",
        ) from error
    except duckdb.Error as error:
        raise (disk_error(error, folder) or error) from error
    return written


def _fill(write: Writer, database: Database, schema: TableSchema, path: Path) -> None:
    # Tables of scans by scan: there the order of rows depends on which scan was measured when.
    by = SCAN_KEY if schema.key[:2] == SCAN_KEY else ()
    write(path, schema, map(schema.conform, database.parts(schema.name, by)))


def by_scan(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table with exam and participant in the order of the scans; those of a scan stay as they are."""
    return frame.sort_values(list(SCAN_KEY), kind="stable", ignore_index=True)


def _dictionary(tables: list[TableSchema]) -> Mapping[str, str]:
    codes = pd.DataFrame(reason_codes().items(), columns=["code", "meaning"])
    return {
        "data_dictionary.csv": dictionary_frame(tables).to_csv(index=False, lineterminator="\n"),
        "data_dictionary.md": dictionary_markdown("Data dictionary", INTRODUCTION, tables),
        "reason_codes.csv": codes.to_csv(index=False, lineterminator="\n"),
    }


def _write_csv(path: Path, _: TableSchema, parts: Iterator[pd.DataFrame]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, part in enumerate(parts):
            part.to_csv(file, index=False, header=number == 0, lineterminator="\n")


def _write_parquet(path: Path, schema: TableSchema, parts: Iterator[pd.DataFrame]) -> None:
    """Parquet with the documentation as metadata of table and columns."""
    first = next(parts)
    known = pa.Schema.from_pandas(first, preserve_index=False)
    fields = [
        field.with_metadata({"meaning": column.meaning, "unit": column.unit})
        for field, column in zip(known, schema.columns, strict=True)
    ]
    metadata = {**(known.metadata or {}), b"description": schema.description.encode()}
    documented = pa.schema(fields, metadata=metadata)
    with pq.ParquetWriter(path, documented) as file:
        for part in chain([first], parts):
            file.write_table(pa.Table.from_pandas(part, documented, preserve_index=False))


def _write_stata(path: Path, schema: TableSchema, parts: Iterator[pd.DataFrame]) -> None:
    """A table whole in memory: names and widths of a Stata file's columns depend on all rows."""
    write_stata(path, schema, pd.concat(parts, ignore_index=True))


_FORMATS: Final[dict[Format, tuple[str, Writer]]] = {
    "parquet": (".parquet", _write_parquet),
    "csv": (".csv", _write_csv),
    "stata": (".dta", _write_stata),
}
