from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from paraspinal_assets.defs.automation.runner import Progress, Selection, run_study
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets_tests.defs.conftest import BuiltStudy


class _Counted(Progress):
    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def begins(self, asset: str, scans: int) -> None:
        self.total[asset] += scans

    def advances(self, asset: str) -> None:
        self.done[asset] += 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_tells_of_every_scan_also_of_those_that_fail(
    new_study: Callable[[], BuiltStudy], workers: int
) -> None:
    study = new_study()
    (study.root / "incoming" / "exam6" / "1002.nii.gz").write_bytes(b"no scan")
    counted = _Counted()
    selection = Selection(frozenset({"ct_nifti", "clinical"}))
    with study_instance(study.workspace) as instance:
        report = run_study(study.workspace, instance, selection, workers=workers, progress=counted)
    assert report.failed["ct_nifti"]
    assert counted.total["ct_nifti"] == 4
    assert counted.done == counted.total
