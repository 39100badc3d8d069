"""The shipped proxy in front of real webservers: nothing without a login, and readers change nothing."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

import paraspinal_assets_tests
from paraspinal_assets.defs.instance import environment, prepare_home
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.deployment.servers import free_port, program

pytestmark = pytest.mark.slow

CADDYFILE = Path(paraspinal_assets_tests.__file__).parents[1] / "deploy" / "proxy" / "Caddyfile"
ADD = 'mutation {{ addDynamicPartition(repositorySelector: {{repositoryLocationName: "{location}", \
repositoryName: "__repository__"}}, partitionsDefName: "scan", partitionKey: "{key}") {{ __typename }} }}'
PAGES = ("/", "/graphql", "/server_info", "/runs", "/locations", "/logs/x", "/download_debug/x")


@dataclass(frozen=True)
class Site:
    """Addresses of the two sites, with the certificate that they show."""

    readers: str
    operators: str
    tls: ssl.SSLContext
    location: str
    study: Path

    def ask(
        self, url: str, login: str = "", headers: Mapping[str, str] | None = None, query: str = ""
    ) -> tuple[int, str]:
        """Status and body of a GET, or of a POST of a GraphQL query."""
        request = urllib.request.Request(url, headers=dict(headers or {}))
        if login:
            request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        if query:
            request.data = json.dumps({"query": query}).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=120) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def partitions(self) -> list[str]:
        """Scans that the study knows."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(self.study / ".dagster"))
            with dg.DagsterInstance.from_config(str(self.study / ".dagster")) as instance:
                return list(instance.get_dynamic_partitions("scan"))


@dataclass(frozen=True)
class Server:
    """A server's process and what it prints."""

    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def running(*command: str, env: Mapping[str, str], log: Path) -> Iterator[Server]:
    """A server that is ended with the test."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=file)
    try:
        yield Server(process, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # a code server with an open connection stays until that is closed
            process.kill()
            process.wait()


def wait_for(url: str, context: ssl.SSLContext, server: Server) -> None:
    """Wait until a server answers anything; a server that ended is an error."""
    while True:
        try:
            urllib.request.urlopen(url, context=context, timeout=120).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert server.process.poll() is None, f"the server of {url} ended:\n{server.log.read_text()}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A read-only and a full webserver of one study behind the shipped Caddyfile."""
    caddy, openssl = program("caddy"), program("openssl")
    folder = tmp_path_factory.mktemp("proxy")
    workspace = Workspace.open(make_small_study(folder / "study", people=("1001",)))
    prepare_home(workspace.store)
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    for name, password in (("reader", "read-it"), ("operator", "run-it")):
        hashed = subprocess.run(
            [caddy, "hash-password", "--plaintext", password], check=True, capture_output=True, text=True
        ).stdout
        (folder / f"{name}s").write_text(f"{name} {hashed}")
    readers, operators, readonly, full, code = (free_port() for _ in range(5))
    home = environment(workspace)
    proxy = {
        "PARASPINAL_BIND": "127.0.0.1",
        "PARASPINAL_HOST": "localhost",
        "PARASPINAL_TLS_CERT": str(certificate),
        "PARASPINAL_TLS_KEY": str(key),
        "PARASPINAL_READERS_PORT": str(readers),
        "PARASPINAL_OPERATORS_PORT": str(operators),
        "PARASPINAL_READERS": str(folder / "readers"),
        "PARASPINAL_OPERATORS": str(folder / "operators"),
        "PARASPINAL_READONLY_WEBSERVER": f"127.0.0.1:{readonly}",
        "PARASPINAL_WEBSERVER": f"127.0.0.1:{full}",
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }
    workspace_file = folder / "workspace.yaml"
    workspace_file.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {code}, location_name: study}}\n"
    )
    tls = ssl.create_default_context(cafile=str(certificate))
    code_server = [sys.executable, "-m", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(code)]
    code_server += ["-m", "paraspinal_assets.definitions"]
    web = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-w", str(workspace_file)]
    proxy_server = [caddy, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    with ExitStack() as stack:
        stack.enter_context(running(*code_server, env=home, log=folder / "code.log"))
        for port, flag in ((readonly, ["--read-only"]), (full, [])):
            log = folder / f"{port}.log"
            server = stack.enter_context(running(*web, "-p", str(port), *flag, env=home, log=log))
            wait_for(f"http://127.0.0.1:{port}/server_info", tls, server)
        server = stack.enter_context(running(*proxy_server, env=proxy, log=folder / "proxy.log"))
        wait_for(f"https://localhost:{readers}/", tls, server)
        yield Site(
            f"https://localhost:{readers}", f"https://localhost:{operators}", tls, "study", workspace.root
        )


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_served_without_a_login(site: Site, page: str) -> None:
    for address in (site.readers, site.operators):
        assert site.ask(address + page) == (401, "")
        assert site.ask(address + page, headers={"Host": "elsewhere.example"})[1] == ""


@pytest.mark.parametrize("login", ["reader:wrong", "nobody:read-it"])
def test_a_wrong_login_is_none(site: Site, login: str) -> None:
    assert site.ask(site.readers + "/server_info", login) == (401, "")


def test_readers_do_not_get_in_as_operators(site: Site) -> None:
    assert site.ask(site.readers + "/server_info", "reader:read-it")[0] == 200
    assert site.ask(site.operators + "/server_info", "operator:run-it")[0] == 200
    assert site.ask(site.operators + "/server_info", "reader:read-it") == (401, "")


def test_readers_read_and_change_nothing(site: Site) -> None:
    status, page = site.ask(site.readers + "/graphql", "reader:read-it", query="{ assetNodes { id } }")
    assert status == 200
    assert len(json.loads(page)["data"]["assetNodes"]) > 10
    add = ADD.format(location=site.location, key="exam5-by-reader")
    answer = site.ask(site.readers + "/graphql", "reader:read-it", query=add)[1]
    assert json.loads(answer)["data"]["addDynamicPartition"]["__typename"] == "UnauthorizedError"
    assert "exam5-by-reader" not in site.partitions()


def test_no_permission_is_left_on_the_read_only_instance(site: Site) -> None:
    query = "{ permissions { permission value } }"
    granted = {}
    for address, login in ((site.readers, "reader:read-it"), (site.operators, "operator:run-it")):
        answer = json.loads(site.ask(address + "/graphql", login, query=query)[1])
        granted[address] = {item["permission"] for item in answer["data"]["permissions"] if item["value"]}
    assert granted[site.readers] == set()
    assert {"launch_pipeline_execution", "wipe_assets", "edit_dynamic_partitions"} <= granted[site.operators]


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_another_site_cannot_use_an_operators_login(site: Site, headers: dict[str, str]) -> None:
    add = ADD.format(location=site.location, key="exam5-by-other-site")
    assert site.ask(site.operators + "/graphql", "operator:run-it", headers, add)[0] == 403
    assert "exam5-by-other-site" not in site.partitions()


def test_operators_change_things(site: Site) -> None:
    add = ADD.format(location=site.location, key="exam5-added")
    answer = site.ask(site.operators + "/graphql", "operator:run-it", {"Origin": site.operators}, add)[1]
    assert json.loads(answer)["data"]["addDynamicPartition"]["__typename"] == "AddDynamicPartitionSuccess"
    assert "exam5-added" in site.partitions()
