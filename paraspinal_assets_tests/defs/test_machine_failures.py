"""What fails for the machine is tried again, and holds nothing up for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
