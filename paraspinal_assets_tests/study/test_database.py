"""One writer at a time, whole transactions, and only changed scans read."""

import os
import signal
import subprocess
import sys
import threading
import time

import duckdb
import pandas as pd
import pytest

from paraspinal_assets.errors import MachineError, StudyError
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.kept_texts import recall
from paraspinal_assets.study.schema import Column, TableSchema, schemas
from paraspinal_assets_tests.study.builders import SCHEMA

NUMBERS = TableSchema("numbers", "Numbers.", (), (Column("n", "integer", "", "N"),))


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / "study.duckdb")


def test_replace_is_all_or_nothing(database):
    one = pd.DataFrame({"n": [1]})
    database.replace({"numbers": (NUMBERS, one), "others": (NUMBERS, one)})
    two = pd.DataFrame({"n": [2]})
    with pytest.raises(StudyError, match="E-STUDY-34"):
        database.replace({"numbers": (NUMBERS, two), "others": (NUMBERS, pd.DataFrame({"n": ["x"]}))})
    assert database.read("numbers")["n"].tolist() == [1]
    with pytest.raises(StudyError, match="E-STUDY-32"):
        database.replace({"numbers": (NUMBERS, two), "others": (NUMBERS, pd.DataFrame({"m": [2]}))})
    assert database.read("numbers")["n"].tolist() == [1]


def test_an_error_inside_a_transaction_rolls_back(database):
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [1]}))})

    def delete_and_stop():
        with database.writing() as connection:
            connection.execute("DELETE FROM numbers")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        delete_and_stop()
    assert database.read("numbers")["n"].tolist() == [1]


def test_empty_and_all_missing_columns_keep_their_types(database):
    frame = pd.DataFrame({column.name: [None] for column in SCHEMA.columns})
    for rows in (frame, frame.iloc[:0]):
        database.replace({"levels": (SCHEMA, rows)})
        types = database.query("SELECT data_type FROM duckdb_columns() WHERE table_name = 'levels'")
        assert types["data_type"].tolist() == ["VARCHAR", "VARCHAR", "VARCHAR", "DOUBLE", "VARCHAR"]
        assert len(database.read("levels")) == len(rows)


def test_documentation_is_stored_and_read_back(database, tmp_path):
    database.replace({"levels": (SCHEMA, pd.DataFrame({column.name: [None] for column in SCHEMA.columns}))})
    with database.moment(tmp_path / "elsewhere") as moment:
        for where in (database, moment):
            (schema,) = where.documented()
            assert (schema.name, schema.description) == ("levels", SCHEMA.description)
            assert schema.columns == SCHEMA.columns


def test_documented_tables_come_in_the_order_of_the_dictionary(database):
    empty = {
        name: (schemas()[name], pd.DataFrame({column.name: [] for column in schemas()[name].columns}))
        for name in ("auc", "scans", "cohort")
    }
    database.replace({"aaa": (NUMBERS, pd.DataFrame({"n": [1]})), **empty})
    assert [schema.name for schema in database.documented()] == ["scans", "cohort", "auc", "aaa"]
    assert database.documented()[0].key == ("exam", "participant")


def test_a_moment_stays_as_it_was_and_keeps_no_writer_out(database, tmp_path):
    numbers = pd.DataFrame({"n": range(200_000, 0, -1)})
    database.replace({"numbers": (NUMBERS, numbers)})
    with database.moment(tmp_path / "elsewhere") as moment:
        parts = moment.parts("numbers")
        first = next(parts)
        database.replace({"numbers": (NUMBERS, numbers[:1])})
        assert [*first["n"], *pd.concat(parts)["n"]] == numbers["n"].tolist()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(database.read("numbers")) == 1


def test_parts_are_sorted_and_equal_rows_stay_in_order(database):
    frame = pd.DataFrame({"n": [1, 0] * 40_000})
    database.replace({"numbers": (NUMBERS, frame)})
    sizes = [len(part) for part in database.parts("numbers", ["n"])]
    assert sizes == [65_536, 14_464, 0]
    first, *_ = database.parts("numbers", ["n"])
    assert first["n"].tolist() == [0] * 40_000 + [1] * 25_536


def test_names_hide_the_bookkeeping(database):
    assert database.names() == []
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [1]}))})
    recall(database, "texts", {"exam5-1": "a"}, lambda keys: ["text"] * len(keys))
    assert database.names() == ["numbers"]


def test_absent_database_and_table_say_what_to_run(database):
    with pytest.raises(StudyError, match=r"E-STUDY-31.*no database.*\n.*paraspinal run"):
        database.read("cohort")
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [1]}))})
    with pytest.raises(StudyError, match=r"E-STUDY-31(.|\n)*paraspinal run"):
        database.read("cohort")


def test_a_file_that_is_no_database_is_named(database):
    database.path.write_bytes(b"not a database" * 500)
    with pytest.raises(MachineError, match=r"E-STUDY-30.*study\.duckdb"):
        database.names()


APPEND = """
import sys
from pathlib import Path
from paraspinal_assets.study.database import Database
database = Database(Path(sys.argv[1]))
for _ in range(3):
    with database.writing() as connection:
        connection.execute("INSERT INTO numbers SELECT coalesce(max(n), 0) + 1 FROM numbers")
"""

WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from paraspinal_assets.study.database import Database
with Database(Path(sys.argv[1])).writing() as connection:
    connection.execute("DELETE FROM numbers")
    connection.execute("INSERT INTO numbers SELECT range FROM range(1000000)")
    print("writing", flush=True)
    time.sleep(60)
"""


def start(program, database):
    return subprocess.Popen(
        [sys.executable, "-c", program, str(database.path)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_write_at_once_queue(database):
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": pd.array([], dtype="Int64")}))})
    workers = [start(APPEND, database) for _ in range(2)]
    while any(worker.poll() is None for worker in workers):
        assert database.read("numbers")["n"].is_monotonic_increasing  # a reader is never refused
        time.sleep(0.05)
    assert [worker.returncode for worker in workers] == [0, 0]
    assert database.read("numbers")["n"].tolist() == list(range(1, 7))


def test_kill_9_in_a_transaction_leaves_the_earlier_tables(database):
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [1]}))})
    worker = start(WRITE_AND_WAIT, database)
    assert worker.stdout.readline() == "writing\n"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert database.read("numbers")["n"].tolist() == [1]
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [2]}))})
    assert database.read("numbers")["n"].tolist() == [2]


def test_a_reader_waits_for_a_writer_of_the_same_process(database):
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [1]}))})
    writing = threading.Event()

    def write():
        with database.writing() as connection:
            connection.execute("INSERT INTO numbers VALUES (2)")
            writing.set()
            time.sleep(0.3)

    thread = threading.Thread(target=write)
    thread.start()
    writing.wait()
    assert database.read("numbers")["n"].tolist() == [1, 2]
    thread.join()


def test_a_database_held_by_another_program_is_an_error_in_words(database, monkeypatch):
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [1]}))})
    monkeypatch.setattr("paraspinal_assets.study.database.READ_TIMEOUT_S", 0.2)
    holder = duckdb.connect(str(database.path))
    try:
        with pytest.raises(MachineError, match=r"E-STUDY-30(.|\n)*close the program"):
            database.read("numbers")
    finally:
        holder.close()


def test_all_tables_are_read_but_for_some(database):
    assert database.read_all() == {}
    database.replace({"numbers": (NUMBERS, pd.DataFrame({"n": [1]}))})
    recall(database, "texts", {"exam5-1": "a"}, lambda keys: ["text"] * len(keys))
    found = database.read_all()
    assert list(found) == ["numbers"]
    pd.testing.assert_frame_equal(found["numbers"], database.read("numbers"))
    assert database.read_all(without={"numbers"}) == {}
