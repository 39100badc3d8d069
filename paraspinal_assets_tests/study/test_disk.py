"""The errors are the ones that the libraries really raise."""

import sqlite3

import duckdb
import pytest

from paraspinal_assets.errors import StudyError
from paraspinal_assets.study.disk import disk_error


def raised(action):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each library has its own
        action()
    return caught.value


def write_to(path):
    with open(path, "wb", buffering=0) as file:
        file.write(b"x")


def test_a_full_disk(tmp_path):
    error = disk_error(raised(lambda: write_to("/dev/full")), tmp_path)
    assert error.code == "E-DISK-01"
    assert f"{tmp_path}: No space left on device" in error.message


def test_a_file_is_named_where_the_system_names_it(tmp_path):
    target = tmp_path / "file" / "below"
    target.parent.write_bytes(b"")
    assert (
        disk_error(raised(lambda: write_to(target)), tmp_path) is None
    )  # not a directory: no fault of the disk
    error = disk_error(PermissionError(13, "Permission denied", str(target)), tmp_path)
    assert (error.code, str(target) in error.message) == ("E-DISK-02", True)


def test_sqlite_that_may_not_grow(tmp_path):
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("CREATE TABLE t (x)")
    error = raised(lambda: connection.execute("INSERT INTO t VALUES (zeroblob(100000))"))
    assert disk_error(error, tmp_path).code == "E-DISK-01"


def test_sqlite_that_may_not_write(tmp_path):
    sqlite3.connect(tmp_path / "x.db").execute("CREATE TABLE t (x)").connection.close()
    connection = sqlite3.connect(f"file:{tmp_path / 'x.db'}?mode=ro", uri=True)
    assert (
        disk_error(raised(lambda: connection.execute("INSERT INTO t VALUES (1)")), tmp_path).code
        == "E-DISK-02"
    )


def test_duckdb_in_a_closed_folder(tmp_path):
    error = raised(lambda: duckdb.connect("/sys/x.duckdb"))  # closed to the superuser too
    assert disk_error(error, tmp_path).code == "E-DISK-02"


def test_the_cause_of_another_librarys_error_counts(tmp_path):
    def wrapped():
        try:
            write_to("/dev/full")
        except OSError as error:
            raise RuntimeError("cannot store the event") from error

    assert disk_error(raised(wrapped), tmp_path).code == "E-DISK-01"


def test_our_own_errors_and_bugs_stay_what_they_are(tmp_path):
    def ours():
        try:
            write_to("/dev/full")
        except OSError as error:
            raise StudyError("E-STUDY-35", "cannot write the export") from error

    assert disk_error(raised(ours), tmp_path) is None
    assert disk_error(ValueError("a bug"), tmp_path) is None
