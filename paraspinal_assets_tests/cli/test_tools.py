from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from paraspinal_assets.cli import main
from paraspinal_assets.cli.main import COMMANDS
from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.dicom_writer import Acquisition, write_series
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets_tests.imaging import dicom_factory
from paraspinal_assets_tests.imaging.test_dicom_variants import second_series

STATISTICS = Path(__file__).parents[1] / "data" / "statistics"
IMAGING = Path(__file__).parents[1] / "data" / "imaging"


def paraspinal(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


MEASURED = {
    "muscle": "level,side,voxels,volume_mm3,mean_hu,median_hu,sd_hu,p25,p75,fat_fraction,"
    "low_attenuation_fraction,normal_fraction,area_mm2,touches_border,reason",
    "bone": "level,voxels,trabecular_mean_hu,trabecular_median_hu,vbmd_mg_cm3,reason",
    "slabs": "level,first_slice,last_slice,vertebra_first_slice,vertebra_last_slice,gap,touches_border",
    "deformity": "level,anterior_mm,middle_mm,posterior_mm,anterior_posterior_ratio,middle_posterior_ratio,"
    "genant_grade,genant_shape,reason",
}
"""First lines of the files, on which other people's programs rely."""


@pytest.mark.parametrize(("case", "slab"), [("synth_small", "body"), ("edge_gaps", "original")])
def test_measure_writes_the_published_scripts_numbers(tmp_path: Path, case: str, slab: str) -> None:
    """Masks as the scripts leave them, `T1.nii.gz`; in the second case the vertebrae overlap."""
    inputs = {"--ct": IMAGING / case / "ct.nii.gz", "--segmentation": IMAGING / case / "seg"}
    options = [word for pair in inputs.items() for word in pair]
    result = paraspinal("measure", *options, "--out", tmp_path, "--slab", slab, "--radiomics")
    assert result.exit_code == 0, result.output
    assert ("lie in more than one mask" in result.output) == (case == "edge_gaps")
    has_bodies = (IMAGING / case / "seg" / "vertebrae_body.nii.gz").exists()
    assert ("bone.csv is of whole vertebrae" in result.output) != has_bodies
    for name, header in MEASURED.items():
        assert (tmp_path / f"{name}.csv").read_text().splitlines()[0] == header
    numbers = json.loads((IMAGING / f"{case}_{'trab' if slab == 'body' else 'full'}.json").read_text())
    both = pd.read_csv(tmp_path / "muscle.csv").query("side == 'both'").set_index("level")
    textures = pd.read_csv(tmp_path / "radiomics.csv").set_index("level")
    volumes = ["original_shape_VoxelVolume", "original_shape_MeshVolume"]
    assert list(textures.columns) == [*numbers["columns"], *volumes, "reason"]
    for level, want in numbers["levels"].items():
        assert list(both.loc[level, ["voxels", "median_hu"]]) == [want["voxels"], want["median_hu"]]
        assert textures.loc[level, numbers["columns"]].to_dict() == pytest.approx(want["features"], rel=1e-9)
    assert both.loc["union", "voxels"] == numbers["union_T1_T10"]["voxels"]


def test_measure_says_what_is_missing(tmp_path: Path) -> None:
    phantom = make_phantom(tiny_parameters(), np.random.default_rng(3))
    write_volume(tmp_path / "ct.nii.gz", phantom.ct)
    words = ("measure", "--ct", tmp_path / "ct.nii.gz", "--out", tmp_path / "out", "--segmentation")
    result = paraspinal(*words, tmp_path / "none")
    assert result.exit_code == 1
    assert "no segmentation" in result.output


def test_measure_says_that_sides_are_swapped(tmp_path: Path) -> None:
    case = IMAGING / "synth_small"
    masks = shutil.copytree(case / "seg", tmp_path / "masks")
    (masks / "autochthon_left.nii.gz").rename(masks / "t")
    (masks / "autochthon_right.nii.gz").rename(masks / "autochthon_left.nii.gz")
    (masks / "t").rename(masks / "autochthon_right.nii.gz")
    words = ("measure", "--ct", case / "ct.nii.gz", "--out", tmp_path / "out", "--segmentation")
    assert "sides_swapped" in paraspinal(*words, masks).output
    assert "sides_swapped" not in paraspinal(*words, case / "seg").output


@pytest.mark.slow
def test_analyze_reproduces_the_reference_cohort(tmp_path: Path) -> None:
    table, folds = STATISTICS / "A.csv", STATISTICS / "A_folds.csv"
    result = paraspinal(
        "analyze",
        table,
        "--out",
        tmp_path,
        "--preset",
        "paraspinal-mesa",
        "--folds",
        folds,
        "--impute",
        "original",
        "--reference",
        "Race=White",
    )
    assert result.exit_code == 0, result.output
    terms = set(pd.read_csv(tmp_path / "linear_coefficients.csv")["term"])
    assert {term for term in terms if term.startswith("Race")} == {"RaceBlack", "RaceChinese", "RaceHispanic"}
    fit = pd.read_csv(tmp_path / "linear_fit.csv").set_index("model")
    auc = pd.read_csv(tmp_path / "auc.csv").set_index(["model", "estimate"])
    assert list(fit.index) == [f"model{i}" for i in range(1, 7)]
    assert auc.loc[("vBMD_Attenuation", "apparent"), "auc"] == pytest.approx(0.8371272727272727, rel=1e-12)
    html = (tmp_path / "report.html").read_text()
    assert "<script" not in html
    for name in ("sensitivity-contour-estimate.svg", "sensitivity-contour-t.png", "sensitivity-extreme.svg"):
        assert any(path.name == name for path in tmp_path.iterdir()), sorted(
            path.name for path in tmp_path.iterdir()
        )


def test_analyze_refuses_a_table_that_is_not_there(tmp_path: Path) -> None:
    result = paraspinal("analyze", tmp_path / "none.csv", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "no table at" in result.output


@pytest.mark.parametrize(
    ("table", "folds", "exit_code", "words"),
    [
        (".", None, 2, "it is a folder"),
        ("empty.csv", None, 2, "cannot be read"),
        ("header.csv", None, 2, "has a header but no rows"),
        ("twice.csv", None, 2, "has the column 'VFx' twice"),
        ("semicolons.csv", None, 2, "its cells seem to be separated by ';'"),
        ("A.csv", "unnamed.csv", 2, "has no column 'fold'; it has Fold"),
        ("A.csv", "short.csv", 1, "2 folds were given for 1316 rows"),
    ],
)
def test_analyze_says_what_is_wrong_with_a_file(
    tmp_path: Path, table: str, folds: str | None, exit_code: int, words: str
) -> None:
    contents = {
        "empty.csv": "",
        "header.csv": "vBMD,VFx\n",
        "twice.csv": "vBMD,VFx,VFx\n1,0,1\n",
        "semicolons.csv": "vBMD;VFx\n1,5;0\n",
        "unnamed.csv": "Fold\n1\n",
        "short.csv": "fold\n1\n2\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    given = STATISTICS / table if table == "A.csv" else tmp_path / table
    options = [] if folds is None else ["--folds", tmp_path / folds]
    result = paraspinal("analyze", given, "--out", tmp_path / "out", *options)
    assert result.exit_code == exit_code
    assert words in result.output
    assert not (tmp_path / "out").exists()


def test_analyze_refuses_an_unknown_preset(tmp_path: Path) -> None:
    result = paraspinal("analyze", STATISTICS / "A.csv", "--out", tmp_path / "out", "--preset", "mesa")
    assert result.exit_code == 2
    assert "'mesa' is not 'paraspinal-mesa'" in result.output


def test_analyze_refuses_a_reference_without_a_level(tmp_path: Path) -> None:
    result = paraspinal(
        "analyze", STATISTICS / "A.csv", "--out", tmp_path / "out", "--reference", "Race White"
    )
    assert result.exit_code == 2
    assert "write --reference COLUMN=LEVEL" in result.output


def test_analyze_does_not_load_dagster() -> None:
    program = (
        "import sys; from paraspinal_assets.cli import main; "
        "main(['analyze', '--help'], standalone_mode=False); sys.exit('dagster' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_help_lists_every_command() -> None:
    listed = paraspinal("--help").output
    assert all(f"\n  {command} " in listed for command in COMMANDS)


def test_convert_chooses_the_series_by_the_rule_of_the_study(tmp_path):
    ct = make_phantom(tiny_parameters(), np.random.default_rng(3)).ct
    for kernel in ("B35f", "B60f"):
        acquisition = Acquisition(f"two kernels {kernel}", "20110713", kernel=kernel)
        write_series(tmp_path / "dicom" / kernel, ct, acquisition)
    out = tmp_path / "ct.nii.gz"
    refused = paraspinal("convert", tmp_path / "dicom", "--out", out)
    assert "E-DICOM-04" in refused.output
    assert not out.exists()
    study = tmp_path / "study.yaml"
    demo = files("paraspinal_assets.study") / "templates" / "demo.yaml"
    rule = "imaging: dicom/exam5\n    series: {kernel: [B60f]}"
    study.write_text(demo.read_text().replace("imaging: dicom/exam5", rule, 1))
    done = paraspinal("convert", tmp_path / "dicom", "--out", out, "--study", study, "--exam", "exam5")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "ct.json").read_text())["kernel"] == "B60f"


@pytest.mark.parametrize("name", ["", "ct.dcm"])
def test_convert_writes_to_no_folder_and_to_nothing_but_nifti(tmp_path, name):
    folder = dicom_factory.write(tmp_path / "in", dicom_factory.plain())
    result = paraspinal("convert", folder, "--out", tmp_path / name)
    assert result.exit_code == 2
    assert "name it like ct.nii.gz" in result.output
    assert list(tmp_path.iterdir()) == [folder]


def test_convert_names_the_files_and_series_that_its_message_numbers(tmp_path):
    series = dicom_factory.plain()
    folder = dicom_factory.write(tmp_path / "in", [*series, *map(second_series, series)])
    said = paraspinal("convert", folder, "--out", tmp_path / "ct.nii.gz").output
    assert "E-DICOM-04" in said
    assert "series 4 is described as 'LUNG'" in said
    folder = dicom_factory.write(tmp_path / "gap", series[:4] + series[5:])
    said = paraspinal("convert", folder, "--out", tmp_path / "ct.nii.gz").output
    assert f"file 5 of 9 is {folder / 'IM0004.dcm'}" in said
