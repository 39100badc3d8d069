"""A disk that is full, read-only or forbidden, in words: whatever library it was that met it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from paraspinal_assets.errors import MachineError, ParaspinalError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_SQLITE_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_SQLITE_FORBIDDEN: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
_DUCKDB_FULL: Final = ("no space left", "quota exceeded", "file too large")
_DUCKDB_FORBIDDEN: Final = ("read-only file system", "permission denied")


def disk_error(error: BaseException, where: Path) -> MachineError | None:
    """The error to show when the disk of a study is at fault; nothing for other errors.

    Parameters
    ----------
    error
        What was raised; its causes are looked at too.
    where
        Folder of the study, named where the error itself names no file.

    Returns
    -------
    MachineError
        E-DISK-01 for a full disk, E-DISK-02 for a file or disk that this user may not use so.
    """
    for cause in _causes(error):
        kind = _kind(cause)
        if kind is None:
            continue
        named = cause.filename if isinstance(cause, OSError) and cause.filename else where
        what = cause.strerror if isinstance(cause, OSError) else str(cause).splitlines()[0]
        if kind == "full":
            return MachineError(
                "E-DISK-01",
                f"cannot finish writing {named}: {what}",
                "free space or raise the quota (if there is enough: check the disk), then run again; "
                "what is finished is kept",
            )
        return MachineError(
            "E-DISK-02",
            f"no access to {named}: {what}",
            f"give this user access to it (results are written below {where}), then run again",
        )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None and not isinstance(error, ParaspinalError):
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _kind(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        return _choose(error.errno in _FULL, error.errno in _FORBIDDEN)
    if isinstance(error, sqlite3.Error):
        # The lowest byte is the code, the others say more about it.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return _choose(code in _SQLITE_FULL, code in _SQLITE_FORBIDDEN)
    if isinstance(error, duckdb.Error):
        text = str(error).lower()
        return _choose(
            any(word in text for word in _DUCKDB_FULL), any(word in text for word in _DUCKDB_FORBIDDEN)
        )
    return None


def _choose(full: bool, forbidden: bool) -> str | None:
    return "full" if full else "forbidden" if forbidden else None
