"""Objects of a study in an S3 bucket, or in whatever speaks S3. An object is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from paraspinal_assets.errors import StorageError
from paraspinal_assets.study.complete import complete
from paraspinal_assets.study.copies import Copies

VARIABLES: Final = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_MAX_ATTEMPTS"),
)
"""Variables by which a process finds the storage and its credentials, for those that start others elsewhere."""

MARK: Final = "study.json"
"""Object that says whose objects these are."""
CONNECTIONS: Final = 16
"""Requests at once: a request waits for the network, not for this machine."""
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_NO_VERSIONS: Final = frozenset({"NotImplemented", "MethodNotAllowed", "501"})


@dataclass(frozen=True)
class StoredObject:
    """What the storage says of an object.

    Attributes
    ----------
    name
        Relative to the bucket's address.
    tag
        Entity tag: another content has another.
    size
        Bytes.
    modified
        When it was stored, seconds since 1970 by the storage's clock.
    """

    name: str
    tag: str
    size: int
    modified: float


class Bucket:
    """The objects below one address, and copies of them on this machine.

    Parameters
    ----------
    url
        ``s3://bucket/prefix`` without a slash at the end. Names of objects below are relative to it.
    copies
        Copies of the objects on this machine.

    Every method raises E-STORE-01 if the storage cannot be reached or refuses, E-STORE-02 without botocore.
    """

    def __init__(self, url: str, copies: Copies) -> None:
        self.url = url
        self._copies = copies
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._bucket_is_there = False

    @property
    def _client(self) -> Any:
        try:
            with self._asked(""):
                return _client(os.getpid(), tuple(os.environ.get(name) for name in VARIABLES))
        except ImportError:
            raise StorageError(
                "E-STORE-02",
                f"{self.url} is in a bucket and the package botocore is not installed",
                "pip install 'paraspinal-assets[s3]'",
            ) from None

    def claim(self, owner: bytes) -> None:
        """Mark the address as this study's on the first time; later, check that it is (E-STORE-03)."""
        try:
            mark = self.fetch(MARK).read_bytes()
        except FileNotFoundError:
            self.write(MARK, lambda path: path.write_bytes(owner))
            mark = self.fetch(MARK).read_bytes()
        if mark != owner:
            raise StorageError(
                "E-STORE-03",
                f"{self.url} belongs to another study, or to this one in another work folder",
                "choose another prefix, as two studies in one would be taken for one; a study goes on where its "
                "tables and events are (PARASPINAL_WORK; after a restore, with the `artifacts.json` of the backup)",
            )

    def write(self, name: str, writer: Callable[[Path], object]) -> None:
        """Store what `writer` puts into a file on this machine, by one request; the file stays as a copy.

        Until the request has ended there is the earlier object, or none.
        """
        client, draft = self._client, self._copies.draft(name)
        try:
            with complete(draft) as temporary:
                writer(temporary)
            with self._asked(name), open(draft, "rb") as body:
                tag = client.put_object(Body=body, **self._key(name))["ETag"]
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._copies.written(draft, self._copies.path(name, tag))

    def fetch(self, name: str) -> Path:
        """A copy of the object as it is now (FileNotFoundError if there is none)."""
        client = self._client
        with self._asked(name):
            if self._copies.any_of(name):
                copy = self._copies.path(name, self._head(client, name)["ETag"])
                if self._copies.use(copy):
                    return copy
            answer = client.get_object(**self._key(name))
            copy = self._copies.path(name, answer["ETag"])
            with complete(copy) as temporary:
                _save(answer["Body"], temporary)
        self._copies.make_room(copy)
        return copy

    def download(self, name: str, path: Path) -> None:
        """Write an object to a file of the caller, without a copy (FileNotFoundError if there is none)."""
        client = self._client
        with self._asked(name):
            _save(client.get_object(**self._key(name))["Body"], path)

    def upload(self, name: str, path: Path) -> None:
        """Store a file of the caller, without a copy."""
        client = self._client
        with self._asked(name), open(path, "rb") as body:
            client.put_object(Body=body, **self._key(name))

    def beginning(self, name: str, size: int) -> bytes | None:
        """The first bytes of an object, not kept; None if there is no such object.

        The transfer is cut off instead of asking for a range: of a range, servers that are not Amazon's return
        the checksum of the whole, which the client refuses.
        """
        client = self._client
        try:
            with self._asked(name):
                body = client.get_object(**self._key(name))["Body"]
                try:
                    return bytes(body.read(size))
                finally:
                    body.close()
        except FileNotFoundError:
            return None

    def has(self, name: str) -> bool:
        """Whether there is such an object."""
        return self.about(name) is not None

    def about(self, name: str) -> StoredObject | None:
        """What the storage says of an object; None if there is none."""
        client = self._client
        try:
            with self._asked(name):
                head = self._head(client, name)
        except FileNotFoundError:
            return None
        return StoredObject(name, head["ETag"], head["ContentLength"], head["LastModified"].timestamp())

    def listing(self, start: str) -> Iterator[StoredObject]:
        """The objects whose names begin so; a thousand per request."""
        client = self._client
        with self._asked(start):
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + start
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    yield StoredObject(
                        found["Key"].removeprefix(self._prefix),
                        found["ETag"],
                        found["Size"],
                        found["LastModified"].timestamp(),
                    )

    def remove(self, name: str) -> None:
        """Remove an object if it is there. A bucket with versions keeps the earlier ones."""
        client = self._client
        with self._asked(name):
            client.delete_object(**self._key(name))

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, of removed objects too where the bucket keeps versions."""
        pages = self._pages(folder, Delimiter="/")
        start = len(self._prefix) + len(folder)
        return [
            found["Prefix"][start:].rstrip("/") for page in pages for found in page.get("CommonPrefixes", ())
        ]

    def versions(self, folder: str) -> list[tuple[str, str | None]]:
        """Name and version of everything below a folder; a plain bucket has one version, without a name."""
        return [
            (found["Key"].removeprefix(self._prefix), found.get("VersionId"))
            for page in self._pages(folder)
            for kind in ("Contents", "Versions", "DeleteMarkers")
            for found in page.get(kind, ())
        ]

    def erase(self, folder: str) -> None:
        """Remove everything below a folder, with all versions."""
        client = self._client
        for name, version in self.versions(folder):
            with self._asked(name):
                client.delete_object(**self._key(name), **({} if version is None else {"VersionId": version}))

    def _pages(self, folder: str, **options: str) -> list[dict[str, Any]]:
        from botocore.exceptions import ClientError

        options |= {"Bucket": self._bucket, "Prefix": self._prefix + folder}
        client = self._client
        with self._asked(folder):
            try:
                return list(client.get_paginator("list_object_versions").paginate(**options))
            except ClientError as error:
                if _code(error) not in _NO_VERSIONS:
                    raise
            return list(client.get_paginator("list_objects_v2").paginate(**options))

    def _head(self, client: Any, name: str) -> dict[str, Any]:
        """The headers of an object.

        The answer to HEAD has no words, and 404 may mean the object or the bucket: the first time, GET says which.
        """
        from botocore.exceptions import ClientError

        try:
            return dict(client.head_object(**self._key(name)))
        except ClientError as error:
            if self._bucket_is_there or _code(error) not in _MISSING:
                raise
        try:
            client.get_object(**self._key(name))["Body"].close()
        except ClientError as error:
            self._bucket_is_there = _code(error) in _MISSING
            raise
        return dict(client.head_object(**self._key(name)))  # stored in between

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    @contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        """Put what the client raises into words. They repeat no header, address or key of a request."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"{self.url}/{name}"
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code in _MISSING:
                raise FileNotFoundError(f"no object {where}") from None
            what = f"the storage refused {error.operation_name} of {where}: {code}"
        except BotoCoreError as error:
            what = f"no answer for {where}: {type(error).__name__}"
        else:
            return
        raise StorageError(
            "E-STORE-01",
            what,
            "check AWS_ENDPOINT_URL, the credentials (AWS_ACCESS_KEY_ID, ...), the bucket and its rights",
        ) from None


@lru_cache(maxsize=4)
def _client(process: int, variables: tuple[str | None, ...]) -> Any:
    """The client of this process for these variables: making one takes longer than a request."""
    from botocore.config import Config
    from botocore.session import Session

    return Session().create_client("s3", config=Config(max_pool_connections=CONNECTIONS))


def _code(error: Any) -> str:
    return str(error.response["Error"]["Code"])


def _save(body: Any, path: Path) -> None:
    with open(path, "wb") as file:
        for chunk in body.iter_chunks(1 << 20):
            file.write(chunk)
