"""A file under its final name is complete, whatever happens while it is written."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import pandas as pd
import pytest

from paraspinal_assets.study.complete import TEMPORARY_PREFIX, write_once
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore, frame_digest, json_digest

SCAN = Scan("exam5", "1001")


@pytest.fixture
def store(tmp_path):
    return StudyStore(tmp_path)


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_writer_that_fails_leaves_the_earlier_file(store, error):
    path = store.fetch(SCAN, "ct")
    store.write_bytes(path, b"good")

    def fail(temporary):
        temporary.write_bytes(b"half")
        raise error("while writing")

    with pytest.raises(error):
        store.write(path, fail)
    assert path.read_bytes() == b"good"
    assert files(store.root) == ["ct.nii.gz"]


def test_the_temporary_file_lies_beside_and_ends_like_the_final_one(store):
    seen = []
    store.write_artifact(SCAN, "ct", lambda path: (seen.append(path), path.write_bytes(b"x"))[0])
    assert seen[0].parent == store.root / "scans" / "exam5" / "1001"
    assert seen[0].name.endswith("ct.nii.gz")
    assert seen[0].name.startswith(TEMPORARY_PREFIX)


def test_kill_9_in_the_middle_of_a_write_leaves_no_half_file(store):
    path = store.write_bytes(store.fetch(SCAN, "ct"), b"good")
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from paraspinal_assets.study.complete import complete

        with complete(Path(sys.argv[1])) as temporary, open(temporary, "wb") as file:
            while True:
                file.write(b"half")
                file.flush()
                time.sleep(0.01)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)])
    deadline = time.monotonic() + 30
    while not any(file.stat().st_size for file in path.parent.glob(f"{TEMPORARY_PREFIX}*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert store.remove_leftovers() == 0  # the process is at work
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert path.read_bytes() == b"good"
    assert store.remove_leftovers() == 1
    assert files(store.root) == ["ct.nii.gz"]


def test_what_is_written_once_is_what_everybody_gets(tmp_path):
    assert write_once(tmp_path / "note.json", b"first") == b"first"
    assert write_once(tmp_path / "note.json", b"second") == b"first"
    assert files(tmp_path) == ["note.json"]


def test_leftovers_are_found_wherever_the_study_writes(store):
    folders = [
        store.fetch(SCAN, "ct").parent,
        store.root,
        store.dagster_home,
        store.report_folder,
        store.figures_folder,
        store.exports_folder / "csv",
    ]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{TEMPORARY_PREFIX}999999999-x.csv").write_bytes(b"half")
        (folder / "kept.csv").write_bytes(b"whole")
    assert store.remove_leftovers() == len(folders)
    assert files(store.root) == ["kept.csv"] * len(folders)


def test_the_same_content_gives_the_same_bytes(store):
    one = store.write_json(store.root / "1.json", {"b": 1, "a": [1.5, None]}).read_bytes()
    two = store.write_json(store.root / "2.json", {"a": [1.5, None], "b": 1}).read_bytes()
    assert one == two
    frame = pd.DataFrame({"x": [1.5, None], "y": ["a", None]})
    digests = set()
    for _ in range(2):
        store.write_scan_frame(SCAN, "bone", frame)
        digests.add(hashlib.sha256(store.fetch(SCAN, "bone").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_scans_table_carries_its_scan(store):
    store.write_scan_frame(SCAN, "bone", pd.DataFrame({"level": ["T1"]}))
    path = store.fetch(SCAN, "bone")
    assert path == store.root / "scans" / "exam5" / "1001" / "bone.parquet"
    assert pd.read_parquet(path).to_dict("records") == [
        {"exam": "exam5", "participant": "1001", "level": "T1"}
    ]


def test_json_of_another_kind_is_refused(store):
    store.write_bytes(store.root / "list.json", b"[1]")
    with pytest.raises(TypeError, match="holds list"):
        store.read_json(store.root / "list.json")


def test_a_frame_digest_sees_values_names_and_types_but_not_the_index():
    frame = pd.DataFrame({"x": [1, 2]})
    assert frame_digest(frame) == frame_digest(frame.set_axis([5, 6]))
    assert frame_digest(frame) != frame_digest(frame.rename(columns={"x": "y"}))
    assert frame_digest(frame) != frame_digest(frame.astype(float))
    assert frame_digest(frame) != frame_digest(frame.iloc[::-1])
    assert frame_digest(frame, frame) != frame_digest(frame)


def test_a_json_digest_does_not_depend_on_the_order_of_keys():
    assert json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})
