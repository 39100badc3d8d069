from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from paraspinal_assets.cli import main, study
from paraspinal_assets.defs.automation.run_lock import exclusive
from paraspinal_assets.errors import DicomError, MachineError, StorageError, StudyError
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets_tests.defs.small_study import make_small_study


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DicomError("E-DICOM-01", "no slices"), 1),
        (StudyError("E-STUDY-01", "no study file"), 2),
        (MachineError("E-DISK-01", "disk full"), 3),
        (StorageError("E-STORE-01", "no answer"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes_tell_a_scheduler_what_to_do(monkeypatch, error, code):
    @click.command("status")
    def status() -> None:
        raise error

    monkeypatch.setattr(study, "commands", [status])
    done = CliRunner().invoke(main, ["status"])
    assert (done.exit_code, done.output.count("\n")) == (code, 1)


def test_a_study_that_another_command_runs_is_for_later(tmp_path):
    make_small_study(tmp_path / "study", people=("1001",))
    with exclusive(StudyStore(tmp_path / "study")):
        done = CliRunner().invoke(main, ["run", str(tmp_path / "study")])
    assert done.exit_code == 3
    assert "E-STUDY-50" in done.output
