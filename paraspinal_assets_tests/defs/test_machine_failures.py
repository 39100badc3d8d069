"""What fails for the machine is tried again, and holds nothing up for good."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from paraspinal_assets.defs.automation import runner
from paraspinal_assets.study.scan import Scan
from paraspinal_assets_tests.defs.conftest import BuiltStudy

pytestmark = pytest.mark.slow

CUT = {"ct_nifti", "segmentation", "paraspinal_levels"}


def test_tables_go_on_without_a_scan_that_fails_again_and_again(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()
    study.run(assets=frozenset(CUT))

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("paraspinal_assets.imaging.deformity.measure_deformity", broken)
    assets = frozenset({"scan_deformity", "deformity"})
    for attempt in (1, 2, 3):
        report = study.run(assets=assets)
        assert len(report.failed["scan_deformity"]) == 4
        assert ("deformity" in report.materialized) is (attempt == 3)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1")])
def test_a_damaged_file_of_a_scan_is_measured_again(
    new_study: Callable[[], BuiltStudy], damage: Callable[..., object]
) -> None:
    study = new_study()
    study.run(assets=frozenset(CUT | {"scan_muscle"}))
    damage(study.workspace.store.fetch(Scan("exam6", "1001"), "muscle"))
    assets = frozenset({"scan_muscle", "muscle_metrics"})
    assert study.run(assets=assets).failed == {"muscle_metrics": {"": "E-STUDY-36"}}
    repaired = study.run(assets=assets)
    assert repaired.materialized == {"scan_muscle": ["exam6-1001"], "muscle_metrics": []}
    assert not repaired.failed
    assert len(study.workspace.database.read("muscle_metrics")) == 4 * 3 * 11


def test_what_changes_between_a_look_and_its_reading_is_built_by_the_next_run(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()
    table, scan = study.root / "people.csv", study.root / "incoming" / "exam5" / "1002.nii.gz"
    text, away = table.read_text(), study.root / "away"
    taken_in = runner.take_in

    def take_in(*arguments: Any) -> Any:
        problems = taken_in(*arguments)
        table.write_text(text.replace("1001,60.0", "1001,71.0"))
        scan.rename(away)
        return problems

    assets = frozenset({"ct_nifti", "clinical"})
    with monkeypatch.context() as patch:
        patch.setattr(runner, "take_in", take_in)
        report = study.run(assets=assets)
    assert report.failed == {"clinical": {"": "E-STUDY-16"}, "ct_nifti": {"exam5-1002": "E-STUDY-15"}}
    table.write_text(text)
    away.rename(scan)
    assert study.run(assets=assets).materialized == {"clinical": [], "ct_nifti": ["exam5-1002"]}
    assert list(study.workspace.database.read("clinical")["age"]) == [60.0, 61.0]


def test_segmentations_that_are_away_fail_for_the_machine(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()
    study.run(assets=frozenset({"ct_nifti"}))
    masks, taken_in = study.root / "masks" / "exam6", runner.take_in
    with monkeypatch.context() as patch:
        patch.setattr(
            runner, "take_in", lambda *words: (taken_in(*words), masks.rename(study.root / "away"))[0]
        )
        report = study.run(assets=frozenset({"segmentation"}))
    assert report.failed == {"segmentation": dict.fromkeys(("exam6-1001", "exam6-1002"), "E-STUDY-15")}
    (study.root / "away").rename(masks)
    assert study.run(assets=frozenset({"segmentation"})).failed == {}


def test_a_signal_ends_the_command_and_not_only_the_run_at_work(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()
    study.run(assets=frozenset(CUT))
    assets = frozenset({"scan_muscle", "scan_bone"})
    with monkeypatch.context() as patch:
        stop = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
        patch.setattr("paraspinal_assets.imaging.bone.measure_bone", stop)
        with pytest.raises(KeyboardInterrupt):
            study.run(assets=assets)
    assert list(study.run(assets=assets).materialized) == ["scan_bone", "scan_muscle"]
