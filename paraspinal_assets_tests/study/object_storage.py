"""Servers that speak S3, on loopback: rclone's, which is a real one and keeps objects as files, and moto's.

rclone checks signatures and replaces objects atomically; it keeps no versions of objects, for which moto's is there.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.session import Session

from paraspinal_assets.study.bucket import VARIABLES, Bucket
from paraspinal_assets.study.copies import Copies
from paraspinal_assets_tests.deployment.servers import free_port, program

KEY_ID = "TESTKEYOFTHISSERVER1"
SECRET = "a-secret-that-must-be-found-nowhere-else"


@dataclass(frozen=True)
class Server:
    """A server and, where it keeps objects as files, the folder of its buckets."""

    port: int
    folder: Path

    def bucket(self, copies: Path, *, limit: float = 1e9, prefix: str = "lungs/study") -> Bucket:
        """A bucket as one machine sees it, with its own copies."""
        return Bucket(f"s3://people/{prefix}", Copies(copies, limit))

    def objects(self, prefix: str = "lungs/study") -> dict[str, bytes]:
        """What the server keeps below a prefix, read from its disk: name -> content.

        An upload that goes on, or was cut off a moment ago, is waited for: the server has a draft of it.
        """
        root = self.folder / "people" / prefix
        deadline = time.monotonic() + 60
        while list(root.rglob(".rclone_temp_put_*")):
            assert time.monotonic() < deadline, "an upload does not end"
            time.sleep(0.02)
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }


@contextmanager
def environment(port: int, **more: str) -> Iterator[pytest.MonkeyPatch]:
    """The variables by which the product finds a server."""
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        for name, value in more.items():
            patch.setenv(name, value)
        yield patch


@contextmanager
def rclone_server(folder: Path) -> Iterator[Server]:
    """rclone's server with one bucket, `people`; the environment names it."""
    rclone = program("rclone", Path(sys.executable).parent.as_posix().lstrip("/"))
    (folder / "people").mkdir(parents=True)
    port = free_port()
    words = ["serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY_ID},{SECRET}", str(folder)]
    process = subprocess.Popen(
        [rclone, *words],
        env={"PATH": os.environ["PATH"], "RCLONE_CONFIG": "", "HOME": str(folder.parent)},
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port, process)
        with environment(port):
            yield Server(port, folder)
    finally:
        process.kill()
        process.wait()


@contextmanager
def server_with_versions(folder: Path) -> Iterator[Server]:
    """moto's server with one bucket, `people`, that keeps every version of an object."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        with environment(port):
            client = Session().create_client("s3", region_name="us-east-1")
            client.create_bucket(Bucket="people")
            client.put_bucket_versioning(Bucket="people", VersioningConfiguration={"Status": "Enabled"})
            yield Server(port, folder)
    finally:
        server.stop()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the server did not start")


class CuttingProxy:
    """Between client and server: lets so many bytes of an upload through and then holds the rest back.

    `reached` is set then. The connection to the server is cut when the client is gone, or by `cut`.
    """

    def __init__(self, server: int, let_through: int) -> None:
        self.reached = threading.Event()
        self._server, self._rest = server, let_through
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._client: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return  # closed
            self._client = client
            with client, socket.create_connection(("127.0.0.1", self._server)) as upstream:
                threading.Thread(target=_copy, args=(upstream, client), daemon=True).start()
                with suppress(ConnectionError):  # the client was killed
                    self._hold_back(client, upstream)
                upstream.shutdown(socket.SHUT_RDWR)

    def _hold_back(self, client: socket.socket, upstream: socket.socket) -> None:
        while data := client.recv(1 << 16):
            if self._rest > 0:
                upstream.sendall(data[: self._rest])
                self._rest -= len(data)
            else:
                self.reached.set()

    def cut(self) -> None:
        """Cut the connection that is held back, once it is."""
        assert self.reached.wait(60)
        assert self._client is not None
        self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Accept nobody more."""
        self._socket.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side was cut
        while data := source.recv(1 << 16):
            target.sendall(data)
