"""When an input is read again, and what of it counts."""

import os
import sqlite3
import time

import pytest

from paraspinal_assets.study.fingerprints import FingerprintCache
from paraspinal_assets.study.inputs import LocalInput, input_files


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_hidden_files_are_no_input(tmp_path):
    wanted = touch(tmp_path / "1" / "deep" / "a.dcm")
    touch(tmp_path / "1" / ".DS_Store")
    assert input_files(tmp_path / "1") == [wanted]
    assert input_files(wanted) == [wanted]


@pytest.fixture
def cache(tmp_path):
    with FingerprintCache(tmp_path / "cache" / "fingerprints.sqlite") as cache:
        yield cache


def test_a_file_changed_in_place_with_its_old_time_is_read_again(tmp_path, cache):
    file = touch(tmp_path / "scan" / "a.dcm", b"first")
    before = file.stat()
    first = cache.fingerprint(LocalInput(tmp_path / "scan"))
    time.sleep(0.02)  # longer than the clock tick of a file system
    with open(file, "r+b") as stream:
        stream.write(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert cache.fingerprint(LocalInput(tmp_path / "scan")) != first


def test_only_the_content_counts(tmp_path, cache):
    file = touch(tmp_path / "scan" / "a.dcm", b"first")
    first = cache.fingerprint(LocalInput(tmp_path / "scan"))
    os.utime(file)
    file.rename(file.with_name("b.dcm"))
    assert cache.fingerprint(LocalInput(tmp_path / "scan")) == first


def test_an_added_and_a_removed_file_change_the_fingerprint(tmp_path, cache):
    touch(tmp_path / "scan" / "a.dcm", b"first")
    first = cache.fingerprint(LocalInput(tmp_path / "scan"))
    second = touch(tmp_path / "scan" / "b.dcm", b"second")
    assert cache.fingerprint(LocalInput(tmp_path / "scan")) != first
    second.unlink()
    assert cache.fingerprint(LocalInput(tmp_path / "scan")) == first


def test_an_unchanged_scan_is_not_read_again(tmp_path, cache, monkeypatch):
    touch(tmp_path / "scan" / "a.dcm")
    first = cache.fingerprint(LocalInput(tmp_path / "scan"))
    monkeypatch.setattr("paraspinal_assets.study.inputs.fingerprint", lambda files: pytest.fail("read again"))
    assert cache.fingerprint(LocalInput(tmp_path / "scan")) == first


def test_what_was_read_is_remembered_although_the_process_dies(tmp_path, cache):
    touch(tmp_path / "scan" / "a.dcm")
    cache.fingerprint(LocalInput(tmp_path / "scan"))
    other = sqlite3.connect(tmp_path / "cache" / "fingerprints.sqlite", timeout=0.1)
    assert other.execute("SELECT count(*) FROM fingerprints").fetchone() == (1,)
    other.execute("DELETE FROM fingerprints")
    other.close()


def test_a_file_that_cannot_be_read_stops_nothing(tmp_path, cache):
    link = tmp_path / "scan" / "a.dcm"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    assert cache.fingerprint(LocalInput(tmp_path / "scan")) == "unreadable: No such file or directory"
    touch(tmp_path / "nowhere")
    assert not cache.fingerprint(LocalInput(tmp_path / "scan")).startswith("unreadable")
