"""Where Dagster keeps the runs, events and schedules of a study: files beside it, or a PostgreSQL database.

`PARASPINAL_POSTGRES_URL` decides, in every process that opens the instance. What was built from what is in the
event log and nowhere else, so a process that opened the wrong one would build everything again. Two notes
prevent that: one in the study's Dagster folder (this study is in PostgreSQL) and one in the database (whose
it is).
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import dagster as dg
import sqlalchemy
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs.base import RunStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from paraspinal_assets.defs.event_log import StudyEventLog
from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.complete import write_once

POSTGRES_VARIABLE: Final = "PARASPINAL_POSTGRES_URL"
NOTE: Final = "postgresql.json"
RUNS: Final = "history"
OPENING: Final = ".opening.lock"
OWNER: Final = "paraspinal/study"

_Storages = tuple[RunStorage[Any], EventLogStorage[Any], ScheduleStorage[Any]]


class StudyStorage(DagsterStorage, ConfigurableClass):
    """The storage that `dagster.yaml` names; PostgreSQL or SQLite behind it.

    Parameters
    ----------
    runs, events, schedules
        All of either kind.
    inst_data
        How Dagster makes this object again in another process; it holds no address and no password.
    """

    def __init__(
        self,
        runs: RunStorage[Any],
        events: EventLogStorage[Any],
        schedules: ScheduleStorage[Any],
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._runs = runs
        self._events = events
        self._schedules = schedules
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """See the class."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """`base_dir`: the study's Dagster folder."""
        return {"base_dir": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Open the storage that the environment asks for (errors: E-STUDY-53 to E-STUDY-57)."""
        home = Path(config_value["base_dir"])
        url = os.environ.get(POSTGRES_VARIABLE)
        if url:
            return cls(*_postgres(url, home), inst_data)
        if (home / NOTE).exists():
            raise StudyError(
                "E-STUDY-53",
                f"runs and events of this study are in PostgreSQL, and {POSTGRES_VARIABLE} is not set",
                f"set it; to build everything anew with files instead, delete {home / NOTE}",
            )
        return cls(*_files(home), inst_data)

    @property
    def event_log_storage(self) -> EventLogStorage[Any]:
        """Events."""
        return self._events

    @property
    def run_storage(self) -> RunStorage[Any]:
        """Runs."""
        return self._runs

    @property
    def schedule_storage(self) -> ScheduleStorage[Any]:
        """Schedules and sensors."""
        return self._schedules


def _files(home: Path) -> _Storages:
    """Opened by one process at a time: Dagster's files do not bear two processes that both make them."""
    with open(home / OPENING, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (
            SqliteRunStorage.from_local(str(home / RUNS)),
            StudyEventLog(str(home)),
            SqliteScheduleStorage.from_local(str(home / "schedules")),
        )


def _postgres(url: str, home: Path) -> _Storages:
    try:
        from dagster_postgres.utils import DagsterPostgresException

        from paraspinal_assets.defs.postgres_storage import open_storages
    except ImportError:
        raise StudyError(
            "E-STUDY-54",
            f"{POSTGRES_VARIABLE} is set and the package dagster-postgres is not installed",
            "pip install 'paraspinal-assets[postgres]'",
        ) from None
    address = _address(url)
    where = f"PostgreSQL {address.host or 'on this machine'}:{address.port or 5432}/{address.database}"
    _refuse_files(home, where)
    try:
        runs, events, schedules = open_storages(address.render_as_string(hide_password=False))
    except (DagsterPostgresException, sqlalchemy.exc.SQLAlchemyError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise StudyError(
            "E-STUDY-56",
            f"cannot open {where}: {cause}",
            f"check that the server runs, that the database exists, and {POSTGRES_VARIABLE}",
        ) from None
    _claim(runs, home, where)
    return runs, events, schedules


def note_database(instance: dg.DagsterInstance, home: Path) -> None:
    """Tie a study to its database also where Dagster's own settings name that, as those of the Helm chart do.

    A command with the study's settings and without the address is refused from then on (E-STUDY-53): it would see
    no events, build everything again, and forget a participant in files alone.

    Parameters
    ----------
    instance
        The instance that a run or a sensor works for.
    home
        The study's Dagster folder.

    Raises
    ------
    StudyError
        E-STUDY-55 if the study has events in files, E-STUDY-57 if database and study are not a pair.
    """
    try:
        from dagster_postgres.event_log import PostgresEventLogStorage
    except ImportError:
        return
    if isinstance(instance.event_log_storage, PostgresEventLogStorage):
        where = "the PostgreSQL database of Dagster's settings"
        _refuse_files(home, where)
        _claim(instance.run_storage, home, where)


def _refuse_files(home: Path, where: str) -> None:
    if (home / RUNS).exists() and not (home / NOTE).exists():
        raise StudyError(
            "E-STUDY-55",
            f"runs and events of this study are in files ({home / RUNS}), not in {where}",
            f"unset {POSTGRES_VARIABLE}; to build everything anew with PostgreSQL, move that folder away",
        )


def _address(url: str) -> sqlalchemy.URL:
    """The address, for the driver that dagster-postgres is written for; errors do not repeat it."""
    try:
        parsed = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise StudyError(
            "E-STUDY-56",
            f"{POSTGRES_VARIABLE} is not the address of a PostgreSQL database",
            "write it as postgresql://user:password@host:port/database",
        )
    return parsed.set(drivername="postgresql+psycopg2")


def _claim(runs: RunStorage[Any], home: Path, where: str) -> None:
    """Tie study and database to each other on the first time; later, check that they are a pair."""
    note, owner = home / NOTE, _owner(runs)
    if owner is None:
        home.mkdir(parents=True, exist_ok=True)
        with open(home / OPENING, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at the same
            owner = _owner(runs)
            if owner is None and not note.exists():
                owner = uuid.uuid4().hex
                write_once(note, json.dumps({"study": owner}).encode())
                runs.set_cursor_values({OWNER: owner})
    if owner is None:
        raise StudyError(
            "E-STUDY-57",
            f"runs and events of this study are in another database than {where}, where there is nothing of it",
            f"name that database; to build everything anew with this one, delete {note}",
        )
    if not note.exists() or json.loads(note.read_bytes())["study"] != owner:
        raise StudyError(
            "E-STUDY-57",
            f"{where} belongs to another study",
            "make a database for this study: two studies in one would be taken for one",
        )


def _owner(runs: RunStorage[Any]) -> str | None:
    return runs.get_cursor_values({OWNER}).get(OWNER)
