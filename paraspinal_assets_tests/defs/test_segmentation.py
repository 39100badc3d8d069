"""Networks within a study: where they may not work, every scan says so, and their homes are their own."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.segmentation import assets
from paraspinal_assets.defs.segmentation.segmenter import make_segmenter
from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.segmenters.base import ScanInput, Segmentation, SegmentationFailure
from paraspinal_assets.segmenters.imported import ImportedSegmenter
from paraspinal_assets.segmenters.totalsegmentator import TotalSegmentatorSegmenter
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore
from paraspinal_assets_tests.defs.conftest import BuiltStudy

NETWORK = Path(__file__).parents[2] / "data" / "phantom_network"
STEPS = frozenset({"ct_nifti", "segmentation"})


def use_the_network(study: BuiltStudy) -> None:
    study.edit("study.yaml", "segmenter: imported", f"weights: {NETWORK}\n  fast: true\n  device: cpu")


def test_the_phantom_network_refuses_a_study_of_people(new_study: Callable[[], BuiltStudy]) -> None:
    study = new_study()
    use_the_network(study)
    study.edit("study.yaml", "synthetic: true", "synthetic: false")
    report = study.run(assets=STEPS)
    scans = {f"{exam}-{person}" for exam in ("exam5", "exam6") for person in ("1001", "1002")}
    assert report.failed["segmentation"] == dict.fromkeys(scans, "E-SEG-03")
    assert "not for patients" in report.messages["segmentation", "exam5-1001"]
    assert not list(study.root.rglob("segmentation.json"))


def test_what_the_study_file_forbade_is_tried_again_when_it_allows_it(
    new_study: Callable[[], BuiltStudy],
) -> None:
    study = new_study()
    use_the_network(study)
    study.edit("study.yaml", "synthetic: true", "synthetic: false")
    one: dict[str, Any] = {
        "assets": STEPS,
        "exams": frozenset({"exam5"}),
        "participants": frozenset({"1001"}),
    }
    assert study.run(**one).failed == {"segmentation": {"exam5-1001": "E-SEG-03"}}
    study.edit("study.yaml", "synthetic: false", "synthetic: true")
    assert study.run(**one).failed.get("segmentation") != {"exam5-1001": "E-SEG-03"}


def test_a_scan_that_took_too_long_waits_for_another_limit(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    class Slow(ImportedSegmenter):
        def segment(self, scans: Iterable[ScanInput]) -> Iterator[SegmentationFailure]:
            for scan in scans:
                tried.append(scan.key)
                yield SegmentationFailure(scan.key, SegmentationError("E-SEG-33", "not done in time"))

    study = new_study()
    monkeypatch.setattr(assets, "make_segmenter", lambda *_, **__: Slow(study.workspace.study.levels))
    for _ in range(2):
        report = study.run(assets=STEPS)
        assert len(report.failed["segmentation"]) == len(tried) == 4
    study.edit("study.yaml", "  segmenter: imported\n", "  segmenter: imported\n  time_limit_s: 3600\n")
    study.run(assets=STEPS)
    assert len(tried) == 8


def test_a_disk_that_fails_while_labels_are_written_leaves_no_scan_without_an_outcome(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()
    write = StudyStore.write_artifact

    def fail(self: StudyStore, scan: Scan, artifact: str, writer: Callable[[Path], object]) -> None:
        if (scan.participant, artifact) == ("1001", "labels"):
            raise OSError(errno.EIO, "Input/output error")
        write(self, scan, artifact, writer)

    monkeypatch.setattr(StudyStore, "write_artifact", fail)
    report = study.run(assets=STEPS | {"scans"})
    bad = dict.fromkeys(("exam5-1001", "exam6-1001"), "E-INFRASTRUCTURE")
    assert report.failed["segmentation"] == bad
    assert report.materialized["segmentation"] == ["exam5-1002", "exam6-1002"]


def test_the_table_of_scans_says_why_a_segmentation_failed(new_study: Callable[[], BuiltStudy]) -> None:
    study = new_study()
    (study.root / "masks" / "exam6" / "1001.nii.gz").unlink()
    study.run(
        assets=frozenset(name for name, rule in asset_rules().items() if not rule.external) - {"exports"}
    )
    scans = study.workspace.database.read("scans").set_index(["exam", "participant"])
    assert scans.loc[("exam6", "1001"), ["status", "reason"]].tolist() == ["failed", "segmentation_missing"]
    flow = study.workspace.database.read("disposition")
    assert "segmentation_missing" in set(flow["reason"].dropna())


def test_each_worker_has_a_home_of_its_own(new_study: Callable[[], BuiltStudy]) -> None:
    study = new_study()
    use_the_network(study)
    segmenter = make_segmenter(study.workspace, network=True)
    assert isinstance(segmenter, TotalSegmentatorSegmenter)
    assert str(os.getpid()) in segmenter.home_dir.name
    assert segmenter.home_dir.parent == study.workspace.store.cache_folder
    assert json.dumps(segmenter.version()).count("not for patients") == 1


def test_a_segmentation_by_other_weights_than_recorded_is_refused(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Replaced(ImportedSegmenter):
        def segment(self, scans: list[ScanInput]) -> Iterator[Segmentation]:  # type: ignore[override]
            for item in super().segment(scans):
                assert isinstance(item, Segmentation)
                item.model["weights"] = "0123456789abcdef"
                yield item

    study = new_study()
    use = Replaced(study.workspace.study.levels, label_map=study.workspace.study.segmentation.label_map)
    monkeypatch.setattr(assets, "make_segmenter", lambda *_, **__: use)
    report = study.run(assets=STEPS, participants=frozenset({"1001"}))
    assert set(report.failed["segmentation"].values()) == {"E-SEG-06"}
    assert "0123456789abcdef" in report.messages["segmentation", "exam5-1001"]


@pytest.mark.parametrize("what", ["ct", "ct_sidecar"])
def test_a_scan_that_cannot_be_fetched_fails_alone(
    new_study: Callable[[], BuiltStudy], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    gone = Scan("exam5", "1002")
    fetch = StudyStore.fetch

    def fetch_the_others(self: StudyStore, scan: Scan, artifact: str) -> Path:
        if (scan, artifact) == (gone, what):
            raise FileNotFoundError("no object s3://people/lungs/scans/exam5/1002/")
        return fetch(self, scan, artifact)

    study = new_study()
    study.run(assets=frozenset({"ct_nifti"}))
    monkeypatch.setattr(StudyStore, "fetch", fetch_the_others)
    scans = [Scan(exam, person) for exam in ("exam5", "exam6") for person in ("1001", "1002")]
    outcomes = {outcome.scan: outcome for outcome in assets.segment(scans, study.workspace)}
    assert outcomes.keys() == set(scans)
    assert [scan for scan, outcome in outcomes.items() if outcome.result is None] == [gone]
    assert "no object" in str(outcomes[gone].error)
