from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from paraspinal_assets.cli import main
from paraspinal_assets_tests.browser.site import user_interface
from paraspinal_assets_tests.defs.small_study import make_small_study


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that this process would have become."""
    commands: list[list[str]] = []

    def execve(_path: str, command: list[str], _environment: dict[str, str]) -> None:
        commands.append(command)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    return commands


@pytest.fixture
def study(tmp_path: Path) -> str:
    return str(make_small_study(tmp_path / "study", people=("1001",)))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "imaging.example", "localhost.example", ""])
def test_other_machines_are_let_in_only_when_told(study: str, started: list[list[str]], host: str) -> None:
    refused = CliRunner().invoke(main, ["ui", study, "--host", host])
    assert refused.exit_code == 2
    assert "E-STUDY-58" in refused.output
    assert "--without-login" in refused.output
    assert started == []
    assert CliRunner().invoke(main, ["ui", study, "--host", host, "--without-login"]).exit_code == 0
    assert host in started[0]


@pytest.mark.parametrize("words", [[], ["--host", "localhost"], ["--host", "::1"], ["--host", "127.0.0.9"]])
def test_this_machine_needs_no_permission(study: str, started: list[list[str]], words: list[str]) -> None:
    assert CliRunner().invoke(main, ["ui", study, *words]).exit_code == 0
    command = started[0]
    assert command[command.index("--host") + 1] == (words[1] if words else "127.0.0.1")


def test_read_only_starts_the_webserver_without_a_daemon(study: str, started: list[list[str]]) -> None:
    assert CliRunner().invoke(main, ["ui", study, "--read-only"]).exit_code == 0
    assert "--read-only" in started[0]
    assert "dev" not in started[0]


@pytest.mark.slow
@pytest.mark.parametrize("as_service", [False, True])
def test_it_stops_with_all_that_it_started(study: str, as_service: bool) -> None:
    with user_interface(Path(study).parent, as_service=as_service) as site:
        assert site.url
