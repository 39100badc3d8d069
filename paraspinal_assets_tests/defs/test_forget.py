"""After `paraspinal forget` nothing that the product wrote names the participant, and nobody else lost anything."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paraspinal_assets.cli import main
from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.defs.conftest import BuiltStudy

pytestmark = pytest.mark.slow

INPUTS = ("incoming", "masks", "people.csv", "review.csv", "study.yaml")
KEYS = ("exam5-1003", "exam6-1003")


class Case:
    """One study from which participant 1003 was removed, and what the commands said."""

    def __init__(self, root: Path) -> None:
        self.study = BuiltStudy(root)
        self.kept = {path: path.read_bytes() for path in root.glob("scans/*/1002/*")}
        self.before = mentions(root)
        self.tried = paraspinal("forget", "1003", root, "--dry-run")
        self.after_trying = mentions(root)
        self.done = paraspinal("forget", "1003", root)
        self.after = mentions(root)


def paraspinal(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def mentions(root: Path) -> list[str]:
    """Files of the product, with the SQLite rows, that have a scan key or the name of the participant's folder."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root)
        if name.parts[0] in INPUTS:
            continue
        content = path.read_bytes()
        if path.suffix in {".db", ".sqlite"}:
            with closing(sqlite3.connect(path)) as connection:
                content += "\n".join(connection.iterdump()).encode()
        if "1003" in name.parts or any(key.encode() in content for key in KEYS):
            found.append(str(name))
    return found


@pytest.fixture(scope="module")
def case(built_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    root = tmp_path_factory.mktemp("forget") / "study"
    shutil.copytree(built_once, root)
    with pytest.MonkeyPatch.context() as patch:
        for name in environment(Workspace.open(root / "study.yaml")):
            patch.setenv(name, "")
        yield Case(root)


def test_what_would_be_removed_is_listed_and_stays(case: Case) -> None:
    assert case.tried.exit_code == 0, case.tried.output
    for words in (
        "scans/exam5/1003",
        "table muscle_metrics: 66",
        "Dagster's event_logs",
        "people.csv: 1 rows",
    ):
        assert words in case.tried.output
    assert case.after_trying == case.before != []


def test_nothing_that_was_written_names_the_participant(case: Case) -> None:
    assert case.done.exit_code == 0, case.done.output
    assert "0 places name the participant" in case.done.output
    assert case.after == []


def test_the_users_own_files_are_named_and_unchanged(case: Case) -> None:
    for words in ("incoming/exam5/1003.nii.gz", "masks/exam6/1003.nii.gz", "people.csv: 1 rows"):
        assert f"In your own files: {case.study.root / words}" in case.done.output
    assert (case.study.root / "incoming" / "exam5" / "1003.nii.gz").exists()


def test_nobody_else_lost_anything(case: Case) -> None:
    assert {path: path.read_bytes() for path in case.study.root.glob("scans/*/1002/*")} == case.kept
    with study_instance(case.study.workspace) as instance:
        keys = instance.get_dynamic_partitions("scan")
    assert sorted(keys) == [f"exam{exam}-100{n}" for exam in (5, 6) for n in (1, 2, 4, 5, 6)]
    muscle = case.study.workspace.database.query("SELECT DISTINCT participant FROM muscle_metrics ORDER BY 1")
    assert list(muscle["participant"]) == ["1001", "1002", "1004", "1005", "1006"]


def test_the_next_run_makes_tables_and_no_scan_and_takes_nobody_in_again(case: Case) -> None:
    report = case.study.run()
    assert report.failed == {}
    assert {asset: keys for asset, keys in report.materialized.items() if keys} == {}
    assert {"muscle_metrics", "scans", "clinical", "cohort", "regression", "study_report", "exports"} <= set(
        report.materialized
    )
    cohort = case.study.workspace.database.read("cohort")
    assert list(cohort["participant"]) == ["1001", "1002", "1004", "1005", "1006"]
    assert mentions(case.study.root) == []
    assert case.study.run().materialized == {}


def test_a_participant_that_is_nowhere_is_refused(case: Case) -> None:
    result = paraspinal("forget", "9999", case.study.root)
    assert result.exit_code == 2
    assert "no participant '9999'" in result.output
