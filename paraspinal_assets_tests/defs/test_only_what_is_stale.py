"""Each case says exactly which partitions of which assets a change makes run."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from paraspinal_assets.defs.automation.staleness import Staleness, State
from paraspinal_assets.defs.event_index import EventIndex
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import read_volume
from paraspinal_assets.phantom.dicom_writer import Acquisition, write_series
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import write_scan

pytestmark = pytest.mark.slow

NETWORK = Path(__file__).parents[2] / "data" / "phantom_network"
CHAIN = [
    "ct_nifti",
    "segmentation",
    "quality",
    "paraspinal_levels",
    "scan_muscle",
    "scan_bone",
    "scan_deformity",
]
ANALYSIS = {
    "regression",
    "model_comparison",
    "sensitivity",
    "fracture_models",
    "auc",
    "longitudinal",
    "subgroups",
}
COHORT = {"cohort", "quartile_cohort", "table_one"}
REPORT = {"provenance", "contact_sheets", "study_report", "exports"}
UP_TO_COHORT = (
    frozenset(name for name, rule in asset_rules().items() if not rule.external) - ANALYSIS - REPORT
)
"""What a case builds that is about scans and their rows: models and report cost most of a run."""


def scans_built(report_materialized: dict[str, list[str]]) -> dict[str, list[str]]:
    return {asset: keys for asset, keys in report_materialized.items() if keys}


def tables_built(report_materialized: dict[str, list[str]]) -> set[str]:
    return {asset for asset, keys in report_materialized.items() if not keys}


def test_a_second_run_builds_nothing(built: BuiltStudy) -> None:
    assert built.run().materialized == {}


def test_everything_is_fresh_after_a_run(built: BuiltStudy) -> None:
    standings = built.assess().standings
    assert {standing.state for keys in standings.values() for standing in keys.values()} == {State.FRESH}


def test_one_ct_replaced_reruns_its_chain_and_the_tables(built: BuiltStudy) -> None:
    write_scan(built.root, "exam5", "1003", muscle_hu=41.0, width=14.0)
    report = built.run()
    assert report.failed == {}, report.messages
    materialized = report.materialized
    assert scans_built(materialized) == {
        asset: ["exam5-1003"] for asset in [*CHAIN, "scan_radiomics"] if asset in materialized
    }
    assert set(CHAIN) <= set(materialized)
    assert tables_built(materialized) >= COHORT | REPORT
    # Its rows are the last of the measurement tables now, and in their place elsewhere.
    change = built.workspace.database.read("longitudinal_change").query("measure == 'volume'")
    assert list(change["participant"]) == sorted(change["participant"])
    assert "clinical" not in materialized


def test_a_touched_ct_reruns_nothing(built: BuiltStudy) -> None:
    os.utime(built.root / "incoming" / "exam5" / "1001.nii.gz")
    assert built.run().materialized == {}


def test_the_same_voxels_compressed_otherwise_stop_at_the_conversion(built: BuiltStudy) -> None:
    import gzip

    path = built.root / "incoming" / "exam5" / "1001.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9, mtime=1))
    assert scans_built(built.run(assets=UP_TO_COHORT).materialized) == {"ct_nifti": ["exam5-1001"]}


def test_the_same_voxels_exported_with_other_headers_stop_at_the_conversion(
    new_study: Callable[[], BuiltStudy],
) -> None:
    study = new_study()
    study.edit("study.yaml", 'imaging: incoming/exam5, pattern: "{participant}.nii.gz",', "imaging: dicom,")
    ct = read_volume(study.root / "incoming" / "exam5" / "1001.nii.gz")
    ct = Volume(np.rint(ct.data).astype(np.int16), ct.affine)

    def export(acquisition: Acquisition) -> dict[str, list[str]]:
        shutil.rmtree(study.root / "dicom", ignore_errors=True)
        write_series(study.root / "dicom" / "1001", ct, acquisition)
        report = study.run(assets=UP_TO_COHORT, exams=frozenset({"exam5"}))
        assert report.failed == {}, report.messages
        return scans_built(report.materialized)

    first = export(Acquisition("first", "20110713"))
    assert set(CHAIN) <= set(first)
    assert export(Acquisition("exported again", "20240102")) == {"ct_nifti": ["exam5-1001"]}
    # What is kept of a header is part of the result.
    assert set(export(Acquisition("third", "20240102", kernel="B60f"))) >= {"ct_nifti", "segmentation"}


def test_a_formula_reruns_the_models_and_no_scan(built: BuiltStudy) -> None:
    built.edit("study.yaml", "model1: age + sex,", "model1: age,")
    materialized = built.run().materialized
    assert scans_built(materialized) == {}
    assert {"regression", "model_comparison", "sensitivity"} <= set(materialized)
    assert not {"cohort", "fracture_models", "auc", "subgroups", "contact_sheets"} & set(materialized)


@pytest.mark.parametrize(
    ("new", "names"),
    [
        ("benchmark: sex", {"regression", "sensitivity"}),  # whose problems name it
        ("benchmark: age, reference_levels: {sex: Male}", ANALYSIS - {"longitudinal"} | {"table_one"}),
    ],
)
def test_an_option_of_the_analysis_makes_stale_what_uses_it(
    built: BuiltStudy, new: str, names: set[str]
) -> None:
    built.edit("study.yaml", "benchmark: age", new)
    standings = built.assess().standings
    stale = {asset for asset, keys in standings.items() for s in keys.values() if s.state is State.STALE}
    assert stale == names


def test_fractures_that_are_no_outcome_any_more_make_stale_what_shows_them(built: BuiltStudy) -> None:
    # Also where the cohort stays as it is, because nobody has a known outcome.
    built.edit("study.yaml", "clinical:\n", "clinical:\n  fracture: none\n")
    with study_instance(built.workspace) as instance:
        now = Staleness(built.workspace, EventIndex(instance), ())
        changed = {asset for asset in ANALYSIS | COHORT if "fracture changed" in now.why(asset, None)}
    assert changed == {"table_one", "model_comparison", "fracture_models", "auc", "subgroups"}


def test_the_calibration_of_one_exam_reruns_the_bone_of_that_exam(built: BuiltStudy) -> None:
    built.edit(
        "study.yaml", "{exam: exam6, slope: 0.8, intercept: 2}", "{exam: exam6, slope: 0.9, intercept: 2}"
    )
    scans = scans_built(built.run(assets=UP_TO_COHORT).materialized)
    assert list(scans) == ["scan_bone"]
    assert {key.split("-")[0] for key in scans["scan_bone"]} == {"exam6"}
    assert len(scans["scan_bone"]) == 6


def test_what_the_study_does_not_have_any_more_is_deleted(built: BuiltStudy) -> None:
    text = (built.root / "study.yaml").read_text()
    exam6 = text[text.index("  exam6: {role") : text.index("levels:")]
    built.edit("study.yaml", exam6, "")
    built.edit("study.yaml", "  - {exam: exam6, slope: 0.8, intercept: 2}\n", "")
    built.edit("study.yaml", "clinical:\n", "clinical:\n  vbmd: column\n")
    built.edit("study.yaml", "fracture: {type: binary}", "fracture: {type: binary}\n        vbmd: {}")
    people = (built.root / "people.csv").read_text().splitlines()
    rows = [f"{row},{100 + 7 * number % 5}" for number, row in enumerate(people[1:])]
    (built.root / "people.csv").write_text("\n".join([f"{people[0]},vbmd", *rows, ""]))
    built.edit("study.yaml", "subgroups: [sex]", "subgroups: []")
    report = built.run()
    assert report.failed == {}, report.messages
    tables = set(built.workspace.database.names())
    assert not {name for name in tables if name.startswith("longitudinal")}
    exported = {path.stem for path in built.workspace.store.exports_folder.glob("*/*")}
    assert exported - tables == {"data_dictionary", "reason_codes"}
    figures = {path.stem for path in built.workspace.store.figures_folder.glob("*")}
    assert not {name for name in figures if name.startswith(("longitudinal", "subgroups"))}


def test_a_clinical_table_reruns_the_cohort_and_no_scan(built: BuiltStudy) -> None:
    built.edit("people.csv", "1001,60.0", "1001,71.0")
    materialized = built.run().materialized
    assert scans_built(materialized) == {}
    assert {"clinical", "cohort", "regression", "auc"} <= set(materialized)


def test_a_rejected_scan_reruns_its_verdict_and_leaves_the_cohort(built: BuiltStudy) -> None:
    with open(built.root / "review.csv", "a") as file:
        file.write("1002,exam5,reject,reader-1,motion\n")
    sheets = built.workspace.store.contact_sheets_folder
    drawn = {path.name: path.stat().st_mtime_ns for path in sheets.glob("*.png")}
    report = built.run(assets=UP_TO_COHORT | {"contact_sheets"})
    assert scans_built(report.materialized) == {"quality": ["exam5-1002"]}
    assert report.not_measurable == {"exam5-1002": "reader_rejected"}
    again = {path.name for path in sheets.glob("*.png") if path.stat().st_mtime_ns != drawn.get(path.name)}
    assert again == {"rejected-1.png", "exam-exam5-1.png"}
    cohort = built.workspace.database.read("cohort").set_index("participant")
    assert cohort.loc["1002", "exclusion"] == "reader_rejected"


def test_each_decision_of_a_reader_makes_its_own_scan_stale_and_no_other(built: BuiltStudy) -> None:
    rows = "1001,exam5,accept,AB,fine\n1002,exam6,reject,AB,motion\n1003,exam5,relabel+1,AB,T1 is T2\n"
    (built.root / "review.csv").write_text(f"participant,exam,decision,reader,reason\n{rows}")
    standings = built.assess().standings
    changed = {
        asset: {key for key, standing in keys.items() if standing.state is not State.FRESH}
        for asset, keys in standings.items()
    }
    assert changed["ct_nifti"] == set()
    assert changed["segmentation"] == changed["scan_muscle"] == {"exam5-1003"}
    assert changed["quality"] == {"exam5-1001", "exam6-1002", "exam5-1003"}
    (built.root / "review.csv").write_text("participant,exam,decision,reader,reason\n")
    assert {s.state for keys in built.assess().standings.values() for s in keys.values()} == {State.FRESH}


def test_exams_that_change_roles_make_outcomes_and_intervals_stale(built: BuiltStudy) -> None:
    for exam, old, new in (("exam5", "baseline", "follow_up"), ("exam6", "follow_up", "baseline")):
        built.edit("study.yaml", f"{exam}: {{role: {old}", f"{exam}: {{role: {new}")
    standings = built.assess().standings
    assert standings["clinical"][None].reason == "study file: exams changed"
    assert standings["outcomes"][None].state is not State.FRESH


def test_a_removed_level_reruns_what_depends_on_levels(built: BuiltStudy) -> None:
    built.edit("study.yaml", "levels: T1-T10", "levels: T1-T9")
    scans = scans_built(built.run(assets=UP_TO_COHORT).materialized)
    assert "ct_nifti" not in scans
    assert len(scans["segmentation"]) == len(scans["scan_muscle"]) == 12
    muscle = built.workspace.database.read("muscle_metrics")
    assert "T10" not in set(muscle["level"])


def test_a_bad_scan_fails_alone_and_is_retried_when_it_changes(built: BuiltStudy) -> None:
    path = built.root / "incoming" / "exam6" / "1004.nii.gz"
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    first = built.run(assets=UP_TO_COHORT)
    assert list(first.failed) == ["ct_nifti"]
    assert list(first.failed["ct_nifti"]) == ["exam6-1004"]
    assert "1004" not in set(
        built.workspace.database.query("SELECT participant FROM cohort WHERE analysed")["participant"]
    )
    assert built.run(assets=UP_TO_COHORT).materialized == {}
    built.run(assets=frozenset({"ct_nifti"}), retry_failed=True)
    assert built.assess().standings["ct_nifti"]["exam6-1004"].reason.startswith("failed 2 times")
    path.write_bytes(good)
    fixed = built.run(assets=UP_TO_COHORT)
    assert fixed.failed == {}
    assert scans_built(fixed.materialized)["ct_nifti"] == ["exam6-1004"]


def test_a_scan_replaced_by_a_bad_one_leaves_every_table(built: BuiltStudy) -> None:
    path = built.root / "incoming" / "exam6" / "1004.nii.gz"
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    built.run()
    tables = built.workspace.database.read_all()
    of_scan = {
        name
        for name in ("muscle_metrics", "bone_metrics", "radiomics", "deformity", "quality")
        if (tables[name]["exam"] + tables[name]["participant"] == "exam61004").any()
    }
    assert of_scan == set()
    traced = set(tables["provenance"].query("scan == 'exam6-1004'")["asset"])
    assert traced == {"raw_scan", "raw_segmentation", "ct_nifti"}
    # Its old measurements, of ten levels, do not stand in the way of the others.
    built.edit("study.yaml", "levels: T1-T10", "levels: T1-T9")
    assert list(built.run(assets=UP_TO_COHORT).failed) == ["ct_nifti"]
    built.edit("study.yaml", "levels: T1-T9", "levels: T1-T10")
    path.write_bytes(good)
    assert built.run(assets=UP_TO_COHORT).failed == {}
    muscle = built.workspace.database.read("muscle_metrics")
    assert len(muscle) == 12 * 33


def test_a_new_participant_adds_two_scans(built: BuiltStudy) -> None:
    for exam in ("exam5", "exam6"):
        write_scan(built.root, exam, "1007", muscle_hu=33.0, width=15.0)
    with open(built.root / "people.csv", "a") as file:
        file.write("1007,66.0,Female,0\n")
    scans = scans_built(built.run(assets=UP_TO_COHORT).materialized)
    assert scans["ct_nifti"] == ["exam5-1007", "exam6-1007"]
    assert {tuple(keys) for keys in scans.values()} == {("exam5-1007", "exam6-1007")}


def test_exam_6_arrives_for_a_known_participant(built: BuiltStudy) -> None:
    write_scan(built.root, "exam5", "1007", muscle_hu=33.0, width=15.0)
    built.run(assets=UP_TO_COHORT)
    write_scan(built.root, "exam6", "1007", muscle_hu=34.0, width=15.0)
    scans = scans_built(built.run(assets=UP_TO_COHORT).materialized)
    assert scans == {asset: ["exam6-1007"] for asset in [*CHAIN, "scan_radiomics"]}


@pytest.mark.parametrize("asset", ["scan_muscle", "segmentation"])
def test_a_new_code_version_that_gives_the_same_bytes_stops_there(
    built: BuiltStudy, monkeypatch: pytest.MonkeyPatch, asset: str
) -> None:
    monkeypatch.setitem(asset_rules(), asset, dataclasses.replace(asset_rules()[asset], code_version="next"))
    standings = built.assess().standings[asset].values()
    assert {(standing.state, standing.reason.split(" -> ")[1]) for standing in standings} == {
        (State.STALE, "next")
    }
    materialized = built.run().materialized
    assert scans_built(materialized) == {asset: list(built.assess().standings[asset])}
    assert tables_built(materialized) == set()


def test_other_weights_make_the_scans_stale_that_a_network_segments(built: BuiltStudy) -> None:
    shutil.copytree(NETWORK, built.root / "weights")
    built.edit(
        "study.yaml",
        "  segmenter: imported\n",
        "  segmenter: imported\n  totalsegmentator_for: [exam5-1002]\n"
        "  weights: weights\n  fast: true\n  device: cpu\n",
    )
    built.run(assets=frozenset({"segmentation"}))
    before = built.assess().standings["segmentation"]
    assert before["exam5-1002"].state is not State.STALE
    (dataset,) = (built.root / "weights").glob("Dataset297*/*/dataset.json")
    dataset.write_text(dataset.read_text() + "\n")
    after = built.assess().standings["segmentation"]
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {"exam5-1002"}
    assert after["exam5-1002"].reason == "study file: segmenter changed"


def test_a_withdrawn_scan_leaves_the_tables(built: BuiltStudy) -> None:
    (built.root / "incoming" / "exam6" / "1005.nii.gz").unlink()
    materialized = built.run(assets=UP_TO_COHORT).materialized
    assert scans_built(materialized) == {}
    muscle = built.workspace.database.query(
        "SELECT DISTINCT exam FROM muscle_metrics WHERE participant = '1005'"
    )
    assert list(muscle["exam"]) == ["exam5"]


def test_a_scan_that_is_gone_and_comes_back_reruns_tables_alone(built: BuiltStudy) -> None:
    path = built.root / "incoming" / "exam6" / "1005.nii.gz"
    content = path.read_bytes()
    path.unlink()
    gone = built.run().materialized
    path.write_bytes(content)
    back = built.run().materialized
    assert scans_built(gone) == scans_built(back) == {}
    assert tables_built(gone) == tables_built(back) >= {"muscle_metrics", "scans"} | COHORT | REPORT
    assert "clinical" not in back


def test_a_relabelled_exam_is_a_new_scan_and_the_old_one_leaves_the_tables(built: BuiltStudy) -> None:
    for folder in ("incoming", "masks"):
        (built.root / folder / "exam6" / "1005.nii.gz").rename(built.root / folder / "exam6" / "1009.nii.gz")
        (built.root / folder / "exam5" / "1005.nii.gz").rename(built.root / folder / "exam6" / "1005.nii.gz")
    materialized = built.run(assets=UP_TO_COHORT).materialized
    scans = scans_built(materialized)
    # 1005's follow-up is now another CT, 1009 is new at follow-up, and exam5-1005 is gone.
    assert {tuple(keys) for keys in scans.values()} == {("exam6-1005", "exam6-1009")}
    assert set(CHAIN) <= set(scans)
    rows = built.workspace.database.query(
        "SELECT DISTINCT exam, participant FROM muscle_metrics WHERE participant IN (?, ?) ORDER BY ALL",
        ["1005", "1009"],
    )
    assert rows.values.tolist() == [["exam6", "1005"], ["exam6", "1009"]]


def test_the_whole_study_moved_is_still_fresh(built: BuiltStudy, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    built.root.rename(moved)
    assert BuiltStudy(moved).run().materialized == {}


def test_only_the_selected_exam_is_built(built: BuiltStudy) -> None:
    for exam in ("exam5", "exam6"):
        write_scan(built.root, exam, "1001", muscle_hu=50.0, width=13.0)
    report = built.run(exams=frozenset({"exam5"}))
    assert {key for keys in report.materialized.values() for key in keys} == {"exam5-1001"}
    standing = built.assess().standings["ct_nifti"]["exam6-1001"]
    assert (standing.state, standing.reason) == (State.STALE, "input raw_scan changed")


def test_results_are_the_same_bytes_in_two_studies(built: BuiltStudy, tmp_path: Path) -> None:
    import shutil

    other = BuiltStudy(tmp_path / "other")
    shutil.copytree(
        built.root, other.root, ignore=shutil.ignore_patterns("scans", "report", "exports", ".*", "*.duckdb")
    )
    assert not other.run().failed
    for path in sorted([*built.root.glob("scans/**/*.*"), *built.root.glob("report/**/*.*")]):
        assert path.read_bytes() == (other.root / path.relative_to(built.root)).read_bytes(), path
