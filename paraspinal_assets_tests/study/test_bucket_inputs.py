"""Inputs in a bucket are found and read as those of a folder are, on rclone's S3 server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from paraspinal_assets.errors import StorageError
from paraspinal_assets.study.bucket_inputs import BucketFolder, BucketInput
from paraspinal_assets.study.complete import remove_dead
from paraspinal_assets.study.inputs import LocalFolder, Pattern
from paraspinal_assets_tests.study.object_storage import Server, rclone_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with rclone_server(tmp_path_factory.mktemp("inputs") / "buckets") as server:
        yield server


class Twins:
    """The same files in a folder and in a bucket."""

    def __init__(self, server: Server, root: Path) -> None:
        self.root = root
        self.bucket = server.bucket(root / "copies", prefix=root.name)
        self.scratch = root / "scratch"

    def put(self, name: str, content: bytes = b"x") -> None:
        path = self.root / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.bucket.upload(name, path)

    def input(self, name: str) -> BucketInput:
        return BucketInput(self.bucket, name, self.scratch)


@pytest.fixture
def twins(server: Server, tmp_path: Path) -> Twins:
    return Twins(server, tmp_path)


@pytest.mark.parametrize(
    "pattern",
    [
        "{participant}",
        "{participant}.nii.gz",
        "sub-{participant}_ct",
        "{participant}/CHEST",
        "site/{participant}",
    ],
)
def test_a_pattern_finds_what_it_finds_in_a_folder(twins: Twins, pattern: str) -> None:
    for name in (
        *("1001/a.dcm", "1001/deep/b.dcm", "1002/CHEST/a.dcm", "1003/HEAD/a.dcm", "1004/.keep"),
        *("1005.nii.gz", "sub-1006_ct/a.dcm", "site/1007/a.dcm", ".hidden/a.dcm", "10010/CHEST/c.dcm"),
    ):
        twins.put(f"in/{name}")
    there = BucketFolder(twins.bucket, "in", twins.scratch)
    here = LocalFolder(twins.root / "files" / "in")
    found = dict(there.find(Pattern.of(pattern)))
    local = {
        name: source
        for name, source in here.find(Pattern.of(pattern))
        if not source.is_empty()  # in a bucket, a folder is there when something is in it
    }
    assert list(found) == list(local)
    assert found
    for name, source in found.items():
        assert source.is_folder() == local[name].is_folder()
        assert str(source) == f"{twins.bucket.url}/in/{Path(str(local[name])).relative_to(here.path)}"
        with source.on_disk() as path:
            assert contents(path) == contents(Path(str(local[name])))
    assert list(twins.scratch.iterdir()) == []


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files}


def test_the_fingerprint_is_of_the_content(twins: Twins) -> None:
    twins.put("scan/a.dcm", b"first")
    twins.put("scan/b.dcm", b"second")
    first = twins.input("scan").fingerprint()
    twins.put("scan/a.dcm", b"first")
    twins.put("scan/.DS_Store", b"third")
    twins.bucket.remove("scan/b.dcm")
    twins.put("scan/c.dcm", b"second")
    assert twins.input("scan").fingerprint() == first
    twins.put("scan/a.dcm", b"other")
    assert twins.input("scan").fingerprint() != first


def test_the_listing_of_all_scans_tells_of_each_what_it_tells_of_itself(twins: Twins) -> None:
    for name in ("7/a.dcm", "7/b.dcm", "70/a.dcm"):
        twins.put(f"in/{name}", name.encode())
    for name, source in BucketFolder(twins.bucket, "in", twins.scratch).find(Pattern.of("{participant}")):
        assert source.signature() == twins.input(f"in/{name}").signature()


def test_what_is_not_there(twins: Twins) -> None:
    twins.put("in/1001/a.dcm")
    assert not twins.input("in/100").exists()
    assert not twins.input("in/1001.nii.gz").exists()
    assert not BucketFolder(twins.bucket, "i", twins.scratch).exists()
    with pytest.raises(FileNotFoundError, match="no such object"):
        twins.input("in/1002").signature()
    with twins.input("in/1002").on_disk() as path:
        assert contents(path) == {}
    with pytest.raises(FileNotFoundError), twins.input("in/1002.nii.gz").on_disk():
        pytest.fail("was read")


def test_a_name_that_leads_out_of_the_folder_is_refused(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins.put("in/1001/a.dcm")
    (found,) = twins.bucket.listing("in/")
    evil = type(found)("in/1001/../../../outside.dcm", found.tag, found.size, found.modified)
    monkeypatch.setattr(twins.bucket, "listing", lambda start: iter([evil]))
    with pytest.raises(StorageError, match=r"E-STORE-04.*outside\.dcm"), twins.input("in/1001").on_disk():
        pytest.fail("was fetched")


def test_what_a_killed_process_fetched_is_removed(tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "ct.dcm").touch()
    (tmp_path / ".writing-abc").touch()
    assert remove_dead(tmp_path / ".writing-abc")
    assert list(tmp_path.iterdir()) == []
