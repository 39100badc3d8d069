"""Objects are whole or absent, an earlier one is never taken for the present one, and nothing repeats a secret."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pandas as pd
import pytest

from paraspinal_assets.errors import StorageError
from paraspinal_assets.study.bucket import Bucket
from paraspinal_assets.study.bucket_files import BucketFiles
from paraspinal_assets.study.copies import Copies
from paraspinal_assets.study.database import Database
from paraspinal_assets.study.scan_merge import merge_scans
from paraspinal_assets.study.schema import Column, TableSchema
from paraspinal_assets_tests.study.object_storage import (
    SECRET,
    CuttingProxy,
    environment,
    rclone_server,
    server_with_versions,
)

NAME = "scans/exam5/1001/ct.nii.gz"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with rclone_server(tmp_path_factory.mktemp("storage") / "buckets") as server:
        yield server


def put(bucket, name, content):
    bucket.write(name, lambda path: path.write_bytes(content))


def test_an_object_is_what_was_written_and_its_copy_keeps_the_ending(server, tmp_path):
    bucket = server.bucket(tmp_path, prefix="one")
    put(bucket, NAME, b"voxels")
    assert server.objects("one") == {NAME: b"voxels"}
    copy = bucket.fetch(NAME)
    assert (copy.read_bytes(), copy.name[-10:]) == (b"voxels", "-ct.nii.gz")
    assert bucket.beginning(NAME, 3) == b"vox"
    assert bucket.has(NAME)
    bucket.remove(NAME)
    bucket.remove(NAME)
    assert (bucket.has(NAME), bucket.beginning(NAME, 3)) == (False, None)
    with pytest.raises(FileNotFoundError, match=f"s3://people/one/{NAME}"):
        bucket.fetch(NAME)


def test_a_copy_of_an_earlier_object_is_never_read(server, tmp_path):
    here, elsewhere = server.bucket(tmp_path / "a", prefix="two"), server.bucket(tmp_path / "b", prefix="two")
    put(here, NAME, b"first")
    first = elsewhere.fetch(NAME)
    put(here, NAME, b"other")
    assert elsewhere.fetch(NAME).read_bytes() == b"other"
    put(here, NAME, b"first")
    assert (
        elsewhere.fetch(NAME) == first
    )  # the content of before is the copy of before: nothing was transferred
    first.unlink()
    assert elsewhere.fetch(NAME).read_bytes() == b"first"


def test_copies_that_were_not_used_for_longest_make_room(server, tmp_path):
    bucket = server.bucket(tmp_path, limit=2500, prefix="three")
    copies = []
    for number in range(4):
        put(bucket, f"{number}.bin", bytes([number]) * 1000)
        copies.append(bucket.fetch(f"{number}.bin"))
        os.utime(copies[-1], (number, number))  # long ago
    assert [copy.exists() for copy in copies] == [False, False, True, True]
    os.utime(copies[2])  # in use
    put(bucket, "4.bin", bytes(1000))
    assert [copy.exists() for copy in copies] == [False, False, True, False]
    assert bucket.fetch("1.bin").read_bytes() == bytes([1]) * 1000


def test_what_is_written_and_read_by_nobody_makes_room_at_once(server, tmp_path):
    bucket = server.bucket(tmp_path, limit=2500, prefix="written")
    for number in range(6):
        put(bucket, f"{number}.bin", bytes([number]) * 1000)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*-*.bin") if path.is_file()) <= 2500


def test_an_upload_that_is_cut_off_leaves_the_earlier_object(server, tmp_path):
    put(server.bucket(tmp_path, prefix="four"), NAME, b"good")
    proxy = CuttingProxy(server.port, 2_000_000)
    with environment(proxy.port):
        bucket = server.bucket(tmp_path / "b", prefix="four")
        threading.Thread(target=proxy.cut, daemon=True).start()
        with pytest.raises(StorageError, match="E-STORE-01") as caught:
            put(bucket, NAME, bytes(8_000_000))
    proxy.close()
    assert SECRET not in str(caught.value)
    assert server.objects("four") == {NAME: b"good"}
    assert [path for path in (tmp_path / "b").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("earlier", [b"good", None])
def test_a_process_that_is_killed_in_an_upload_leaves_what_was(server, tmp_path, earlier):
    prefix = f"five-{earlier is None}"
    bucket = server.bucket(tmp_path, prefix=prefix)
    put(bucket, "marker", b"")
    if earlier is not None:
        put(bucket, NAME, earlier)
    before = server.objects(prefix)
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from paraspinal_assets.study.bucket import Bucket
        from paraspinal_assets.study.copies import Copies
        Bucket(sys.argv[1], Copies(Path(sys.argv[2]), 1e9)).write(
            sys.argv[3], lambda path: path.write_bytes(bytes(8_000_000))
        )
        """
    )
    proxy = CuttingProxy(server.port, 2_000_000)
    with environment(proxy.port):
        process = subprocess.Popen([sys.executable, "-c", program, bucket.url, str(tmp_path / "b"), NAME])
    assert proxy.reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    proxy.close()
    put(bucket, "marker", b"")  # the server has had time to see the end of the connection
    assert server.objects(prefix) == before


def test_a_wrong_secret_is_an_error_that_does_not_repeat_it(server, tmp_path):
    with (
        environment(server.port, AWS_SECRET_ACCESS_KEY="a-wrong-one"),
        pytest.raises(StorageError, match=r"\[E-STORE-01\].*refused PutObject of s3://people/six") as caught,
    ):
        put(server.bucket(tmp_path, prefix="six"), NAME, b"x")
    assert "a-wrong-one" not in str(caught.value)
    assert server.objects("six") == {}


@pytest.mark.parametrize("fetched_before", [False, True])
def test_a_bucket_that_is_not_there_is_not_taken_for_missing_objects(server, tmp_path, fetched_before):
    bucket = Bucket("s3://persons/study", Copies(tmp_path, 1e9))
    if fetched_before:  # then the storage is asked for the headers first
        copy = bucket._copies.path(NAME, '"tag"')
        copy.parent.mkdir(parents=True)
        copy.touch()
    for ask in (bucket.fetch, bucket.has, bucket.about):
        with pytest.raises(StorageError, match=r"E-STORE-01.*s3://persons/study.*NoSuchBucket"):
            ask(NAME)


def test_that_the_bucket_is_there_is_asked_once(server, tmp_path):
    bucket, asked = server.bucket(tmp_path, prefix="asked"), []
    bucket._client.meta.events.register_first(
        "before-call.s3", lambda model, **_: asked.append(model.name), unique_id="asked"
    )
    try:
        assert not any(bucket.has(f"{number}.bin") for number in range(3))
    finally:
        bucket._client.meta.events.unregister("before-call.s3", unique_id="asked")
    assert asked == ["HeadObject", "GetObject", "HeadObject", "HeadObject"]


def test_a_second_study_is_refused_at_the_same_address(server, tmp_path):
    server.bucket(tmp_path / "a", prefix="seven").claim(b"this one")
    server.bucket(tmp_path / "a", prefix="seven").claim(b"this one")
    with pytest.raises(StorageError, match=r"E-STORE-03.*s3://people/seven"):
        server.bucket(tmp_path / "b", prefix="seven").claim(b"another")


def test_duckdb_reads_objects_through_the_bucket_and_loads_no_extension(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where DuckDB keeps what it has downloaded
    bucket = server.bucket(tmp_path / "copies", prefix="eight")
    files = {}
    for participant in "12":
        frame = pd.DataFrame({"exam": "exam5", "participant": participant, "value": [float(participant)]})
        name = f"scans/exam5/{participant}/bone.parquet"
        bucket.write(name, frame.to_parquet)
        files[f"exam5-{participant}"] = ("a", f"{bucket.url}/{name}")
    columns = [Column(name, kind, "", "") for name, kind in (("exam", "text"), ("participant", "text"))]
    schema = TableSchema("bone", "", ("participant",), (*columns, Column("value", "number", "", "")))
    database = Database(tmp_path / "study.duckdb")
    elsewhere = server.bucket(tmp_path / "elsewhere", prefix="eight")
    assert merge_scans(database, "bone", schema, files, BucketFiles(elsewhere)) == 2
    assert merge_scans(database, "bone", schema, files, BucketFiles(elsewhere)) == 0
    assert database.read("bone").sort_values("participant")["value"].tolist() == [1.0, 2.0]
    installed = database.query(
        "SELECT extension_name FROM duckdb_extensions() WHERE install_mode = 'REPOSITORY'"
    )
    assert list(installed["extension_name"]) == []


def test_erasing_a_folder_removes_earlier_versions_and_leaves_the_neighbours(tmp_path):
    with server_with_versions(tmp_path / "none") as server:
        bucket = server.bucket(tmp_path)
        for name in (NAME, "scans/exam5/10011/ct.nii.gz", "scans/exam6/1001/ct.json"):
            put(bucket, name, b"first")
            put(bucket, name, b"second")
        bucket.remove(NAME)
        assert len(bucket.versions("scans/exam5/1001/")) == 3  # two versions, and the mark of the removal
        assert bucket.folders("scans/") == ["exam5", "exam6"]
        bucket.erase("scans/exam5/1001/")
        assert bucket.versions("scans/exam5/1001/") == []
        assert sorted(name for name, _ in bucket.versions("scans/")) == [
            *["scans/exam5/10011/ct.nii.gz"] * 2,
            *["scans/exam6/1001/ct.json"] * 2,
        ]
