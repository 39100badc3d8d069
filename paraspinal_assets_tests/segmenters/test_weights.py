from __future__ import annotations

import shutil
from pathlib import Path
from zipfile import BadZipFile

import pytest

from paraspinal_assets.errors import MachineError, SegmentationError
from paraspinal_assets.segmenters.weights import (
    check_weights,
    fetch_weights,
    require_weights,
    required_networks,
    weights_folder,
)


def test_networks_needed():
    assert [n.dataset for n in required_networks()] == [298, 292, 294, 305]
    assert [n.dataset for n in required_networks(fast=True, bodies=False)] == [298, 297]
    assert required_networks()[1].url.endswith(
        "/v2.0.0-weights/Dataset292_TotalSegmentator_part2_vertebrae_1532subj.zip"
    )


def test_vertebrae_pp_is_an_option_with_its_own_network(tmp_path):
    bodies = required_networks(body_task="vertebrae_pp")[-1]
    assert (bodies.dataset, bodies.trainer, bodies.spacing_mm) == (803, "nnUNetTrainerNoMirroring", 1.5)
    with pytest.raises(SegmentationError, match=r"E-SEG-01.*803 \(bodies\)"):
        require_weights(check_weights(tmp_path, body_task="vertebrae_pp"))


def test_phantom_network_is_complete_small_and_marked(network_dir):
    for fast in (False, True):
        report = check_weights(network_dir, fast=fast)
        require_weights(report)
        assert report.phantom
        assert all(network.size < 2_000_000 for network in report.networks)
    assert "not for patients" in (network_dir / "README.md").read_text()
    assert all(list(network_dir.glob(f"Dataset{n}_*/.gitkeep")) for n in (291, 293, 295))


def test_missing_weights_are_one_error_with_command_and_files(tmp_path):
    report = check_weights(tmp_path)
    assert report.digest == "missing"
    with pytest.raises(SegmentationError, match="E-SEG-01") as raised:
        require_weights(report)
    text = str(raised.value)
    assert "paraspinal weights --fetch" in text
    assert text.count("checkpoint_final.pth") == 4
    assert str(tmp_path) in text


def test_digest_follows_the_content(tmp_path, network_dir):
    copy = tmp_path / "w"
    shutil.copytree(network_dir, copy)
    before = check_weights(copy, fast=True)
    assert before.digest == check_weights(network_dir, fast=True).digest
    plans = before.networks[0].path / "plans.json"
    plans.write_text(plans.read_text() + " ")
    assert check_weights(copy, fast=True).digest != before.digest


def test_folder_is_the_one_given_or_that_of_the_package(monkeypatch, tmp_path):
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path))
    assert weights_folder() == tmp_path / "nnunet" / "results"
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "w"))
    assert weights_folder() == tmp_path / "w"
    assert weights_folder(tmp_path / "given") == tmp_path / "given"


def test_fetch_uses_the_downloader_of_the_package(monkeypatch, tmp_path, network_dir):
    asked = []

    def download(dataset: int) -> None:
        asked.append(dataset)
        spec = next(n for n in required_networks() if n.dataset == dataset)
        shutil.copytree(network_dir / spec.folder, weights_folder() / spec.folder)

    monkeypatch.setattr("totalsegmentator.libs.download_pretrained_weights", download)
    after = fetch_weights(check_weights(tmp_path / "w"))
    assert asked == [298, 292, 294, 305]
    assert after.missing == ()


def test_fetch_replaces_a_folder_that_is_not_complete(monkeypatch, tmp_path, network_dir):
    weights = tmp_path / "w"
    shutil.copytree(network_dir, weights)
    spec = required_networks()[1]
    (weights / spec.files[2]).unlink()

    def unpack(_: str, folder: Path) -> None:
        shutil.copytree(network_dir / spec.folder, folder / spec.folder)

    monkeypatch.setattr("totalsegmentator.libs.download_url_and_unpack", unpack)
    assert fetch_weights(check_weights(weights)).missing == ()
    assert (weights / f"incomplete-1-{spec.folder}").is_dir()


@pytest.mark.parametrize("error", [ConnectionError("no route to host"), BadZipFile("File is not a zip file")])
def test_failed_download_is_one_error(monkeypatch, tmp_path, error):
    def download(_: int) -> None:
        raise error

    monkeypatch.setattr("totalsegmentator.libs.download_pretrained_weights", download)
    with pytest.raises(MachineError, match=f"E-SEG-04.*{error}"):
        fetch_weights(check_weights(tmp_path))
