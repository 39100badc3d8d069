"""Real servers on loopback for tests: started in a temporary folder, ended with the tests that need them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path

import psycopg2
import pytest

_OF_A_PROCESS = 1000
_FIRST = 20000 + _OF_A_PROCESS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = cycle(range(_FIRST, _FIRST + _OF_A_PROCESS))
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None


def program(name: str, *folders: str) -> str:
    """Full path of a server's program; tests that need one that is not installed are skipped."""
    places = [str(path) for folder in folders for path in sorted(Path("/").glob(folder), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ["PATH"], "/usr/sbin"]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_ports(count: int) -> list[int]:
    """Ports on loopback, next to each other, that nothing listens on.

    They are below those that Linux gives to outgoing connections (from 32768), and each process of the tests has its
    own: a server that takes a while to start still finds its port free.
    """
    while True:
        row = list(islice(_PORTS, count))
        with ExitStack() as stack:
            try:
                for port in row:
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        if row == list(range(row[0], row[0] + count)):
            return row


def free_port() -> int:
    """See `free_ports`."""
    return free_ports(1)[0]


class Postgres:
    """A PostgreSQL server; every database in it is one study's."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self.password = password

    def url(self, database: str) -> str:
        return f"postgresql://study:{self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        connection = psycopg2.connect(self.url("postgres"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def database(self, name: str, copy_of: str = "template1") -> str:
        """Make a database; returns its address."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{copy_of}"')
        return self.url(name)


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server of its own, run as a user without rights, with a password."""
    initdb, pg_ctl = (
        program(name, "usr/lib/postgresql/*/bin", "usr/local/bin") for name in ("initdb", "pg_ctl")
    )
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = Postgres(free_port(), "only-here")
    secret = folder / "password"
    secret.write_text(server.password)
    for path in (folder, secret):
        if UNPRIVILEGED:
            shutil.chown(path, UNPRIVILEGED)

    def do(*command: str) -> None:
        subprocess.run(command, check=True, user=UNPRIVILEGED, cwd=folder, stdout=subprocess.DEVNULL)

    data = str(folder / "data")
    do(initdb, "-D", data, "-U", "study", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
    options = (
        f"-p {server.port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off -c max_connections=200"
    )
    try:
        do(pg_ctl, "-D", data, "-l", str(folder / "log"), "-o", options, "-w", "start")
        yield server
    finally:
        do(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)
