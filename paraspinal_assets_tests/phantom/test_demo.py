import fcntl
import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.phantom import demo
from paraspinal_assets.phantom.broken import BREAKAGES
from paraspinal_assets.phantom.demo import make_demo_study


def digest(root):
    total = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(root)).encode())
        total.update(path.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "study"
    seen = []
    make_demo_study(root, participants=2, seed=5, workers=1, broken=False, progress=lambda *n: seen.append(n))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return root


@pytest.fixture(scope="module")
def broken_study(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "study"
    make_demo_study(root, participants=1, seed=5, workers=1)
    return root


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(pair, tmp_path):
    make_demo_study(tmp_path, participants=2, seed=5, workers=2, broken=False)
    assert digest(tmp_path) == digest(pair)


def test_another_seed_writes_another_study(pair, tmp_path):
    make_demo_study(tmp_path, participants=2, seed=6, workers=1, broken=False)
    assert digest(tmp_path) != digest(pair)


def test_an_interrupted_study_is_finished(pair, tmp_path, monkeypatch):
    real, calls = demo.write_scan, []

    def stops_halfway(folder, scan):
        calls.append(scan.key)
        if len(calls) == 3:
            real(folder, scan)
            (next((folder / "dicom").iterdir())).unlink()
            raise KeyboardInterrupt
        return real(folder, scan)

    monkeypatch.setattr(demo, "write_scan", stops_halfway)
    arguments = {"participants": 2, "seed": 5, "workers": 1, "broken": False}
    with pytest.raises(KeyboardInterrupt):
        make_demo_study(tmp_path, **arguments)
    assert not (tmp_path / "truth.json").exists()
    assert len(list(tmp_path.glob("dicom/*/*"))) == 2
    make_demo_study(tmp_path, **arguments)
    assert len(calls) == 5
    assert digest(tmp_path) == digest(pair)


def test_a_complete_study_is_left_alone(pair, monkeypatch):
    monkeypatch.setattr(demo, "write_scan", lambda *_: pytest.fail("drawn again"))
    make_demo_study(pair, participants=2, seed=5, broken=False)


def test_a_study_made_otherwise_is_refused(pair):
    with pytest.raises(ParaspinalError, match="E-PHANTOM-10"):
        make_demo_study(pair, participants=3, seed=5, broken=False)


def test_two_processes_do_not_write_one_study(tmp_path):
    (tmp_path / ".making").mkdir()
    with open(tmp_path / ".making/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ParaspinalError, match="E-PHANTOM-13"):
            make_demo_study(tmp_path, participants=1)


def test_a_scan_removed_from_a_complete_study_is_named(pair, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(pair, copy)
    shutil.rmtree(copy / "dicom/exam6/1002")
    with pytest.raises(ParaspinalError, match="exam6/1002 is missing"):
        make_demo_study(copy, participants=2, seed=5, broken=False)


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "write_scan", full)
    with pytest.raises(ParaspinalError, match="No space left") as caught:
        make_demo_study(tmp_path, participants=1, workers=1)
    assert caught.value.code == "E-PHANTOM-12"


def test_scans_of_others_are_refused(tmp_path):
    (tmp_path / "dicom").mkdir()
    with pytest.raises(ParaspinalError, match="not made by an earlier call"):
        make_demo_study(tmp_path, participants=1)


def test_files_are_where_the_study_file_says(pair):
    assert sorted(p.name for p in pair.iterdir()) == [
        "clinical", "dicom", "reader", "review.csv", "segmentations", "truth.json",
    ]  # fmt: skip
    assert len(list((pair / "dicom/exam5/1001").glob("*.dcm"))) == 100
    names = {p.name for p in (pair / "segmentations/exam6/1002").iterdir()}
    levels = {f"vertebrae_T{i}.nii.gz" for i in range(1, 11)}
    assert names == levels | {
        f"{n}.nii.gz" for n in ("autochthon_left", "autochthon_right", "vertebrae_body")
    }


@pytest.mark.slow
def test_every_breakage_is_there_and_named(broken_study):
    truth = json.loads((broken_study / "truth.json").read_text())
    broken = {entry["kind"]: entry for entry in truth["broken"]}
    assert set(broken) == {b.kind for b in BREAKAGES}
    assert all(entry["reason"] in REASONS for entry in broken.values())

    def folder(kind, part="dicom"):
        return broken_study / part / broken[kind]["exam"] / broken[kind]["participant"]

    assert len(list(folder("missing_slice").iterdir())) == 99
    assert not folder("no_follow_up").exists()
    assert list(folder("empty_folder").iterdir()) == []
    assert (folder("shifted_levels", "segmentations") / "vertebrae_C7.nii.gz").exists()
    review = pd.read_csv(broken_study / "review.csv")
    assert set(review["decision"]) == {"accept", "reject", "relabel+1"}


@pytest.mark.slow
def test_tables_hold_everybody_once_per_exam(broken_study):
    tables = {p.stem: pd.read_csv(p) for p in (broken_study / "clinical").glob("*.csv")}
    everybody = [1001 + i for i in range(1 + len(BREAKAGES))]
    assert list(tables["participants"]["participant"]) == everybody
    assert list(tables["covariates"]["participant"]) == everybody
    assert len(tables["exams"]) == 2 * len(everybody) - 1
    assert len(tables["fractures"]) == len(everybody) - 1


def test_truth_states_the_calibration_and_what_it_gives(pair):
    truth = json.loads((pair / "truth.json").read_text())
    slope, intercept = truth["calibration"]["slope"], truth["calibration"]["intercept"]
    for scan in truth["scans"]:
        assert scan["vbmd_mg_cm3"] == pytest.approx(slope * scan["trabecular_hu"] + intercept, abs=1e-3)
        assert np.isfinite(scan["union"]["median_hu"])
