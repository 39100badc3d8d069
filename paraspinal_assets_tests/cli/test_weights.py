from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paraspinal_assets.cli import main
from paraspinal_assets.segmenters.weights import check_weights
from paraspinal_assets_tests.defs.small_study import make_small_study

NETWORK = Path(__file__).parents[2] / "data" / "phantom_network"


def paraspinal(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def study_with(root: Path, weights: Path) -> Path:
    path = make_small_study(root, people=())
    path.write_text(
        path.read_text().replace("segmenter: imported", f"weights: {weights}\n  body_task: vertebrae_body")
    )
    return path


def test_weights_names_every_network_with_its_digest_and_licence(tmp_path: Path) -> None:
    result = paraspinal("weights", study_with(tmp_path / "study", NETWORK))
    assert result.exit_code == 0, result.output
    assert str(NETWORK) in result.output
    for network in check_weights(NETWORK).networks:
        line = next(text for text in result.output.splitlines() if text.startswith(str(network.spec.dataset)))
        for words in (str(network.digest), "no licence needed", "phantom network, not for patients"):
            assert words in line


def test_missing_weights_are_listed_for_a_machine_without_internet(tmp_path: Path) -> None:
    result = paraspinal("weights", "--check", study_with(tmp_path / "study", tmp_path / "none"))
    assert result.exit_code == 1
    copied = [line.removeprefix("to copy: ") for line in result.output.splitlines() if "to copy: " in line]
    assert copied == list(check_weights(tmp_path / "none").copy_list())
    assert "E-SEG-01" in result.output


@pytest.mark.slow
def test_the_phantom_network_is_trained_from_the_command_line(tmp_path: Path) -> None:
    result = paraspinal(
        "train-phantom-network", tmp_path, "--phantoms", 1, "--effort", 0.001, "--only", "rough"
    )
    assert result.exit_code == 0, result.output
    assert "rough: step 2 of 2" in result.output
    assert [network.phantom for network in check_weights(tmp_path).networks] == [True, False, False, False]
