"""Every command in the README and in docs/ is run, page by page, on a small study where the page speaks of one.

What needs a network or a server, and what another test runs, is parsed by the command line instead, so that a
renamed option is found. On the same study: the notebook, and the snippets for R and Stata.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys

import click
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from paraspinal_assets.cli import main
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.dicom_writer import Acquisition, write_series
from paraspinal_assets.phantom.masks import class_masks, write_masks
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets_tests.defs.small_study import make_small_study
from paraspinal_assets_tests.docs.pages import FENCE, PAGES, ROOT, blocks

PARSED_ONLY = re.compile(r" ui | --fetch|train-phantom-network| analyze |s3://|data/real|data/demo")
SHELL = {"", "sh", "bash", "console"}


def commands(page, program):
    """The command lines of a page's shell blocks, in order, comments and prompts taken off."""
    found = []
    for block in blocks(page):
        text = block.text.replace("\\\n", " ") if block.language in SHELL else ""
        lines = [re.sub(r"\s+#.*", "", line.removeprefix("$ ")) for line in text.splitlines()]
        found += [line for line in lines if line.startswith(f"{program} ")]
    return found


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with everything that the pages name: a study that is built, one scan as DICOM with masks."""
    folder = tmp_path_factory.mktemp("docs")
    make_small_study(folder / "my-study")
    phantom = make_phantom(tiny_parameters(), np.random.default_rng(1))
    write_series(folder / "dicom" / "1001", phantom.ct, Acquisition("1001", "20120301"))
    write_masks(folder / "masks" / "1001", class_masks(phantom.labels.data), phantom.ct.affine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("PARASPINAL_STUDY", "")
        done = CliRunner().invoke(main, ["run", str(folder / "my-study"), "--workers", "1"])
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page, "paraspinal")], ids=lambda page: page.stem
)
def test_commands_of_a_page(page, sandbox, monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("PARASPINAL_STUDY", "")
    for line in commands(page, "paraspinal"):
        words = shlex.split(line)[1:]
        if PARSED_ONLY.search(line + " "):
            command = main.get_command(click.Context(main), words[0])
            assert command is not None, line
            command.make_context(words[0], words[1:])
            continue
        inside = sandbox / "my-study" if " study.yaml" in line else sandbox
        monkeypatch.chdir(tmp_path if words[0] == "init" else inside)
        if words[0] == "run":
            words += ["--workers", "1"]  # in this process
        result = CliRunner().invoke(main, words)
        absent = words[0] == "weights" and "to copy:" in result.output  # the published ones are not shipped
        assert result.exit_code == absent, f"{line}\n{result.output}"


INLINE = re.compile(r"`paraspinal\s+([\w-]+)([^`]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_the_text_exist_with_the_options_named(page):
    for name, rest in INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options | {"--help"}, name


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for page in PAGES for line in commands(page, "make")}
    assert {"demo", "dev"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_scripts_exist_with_the_options_named(page):
    for line in [*commands(page, "python"), *commands(page, "deploy/postgres/backup")]:
        words = shlex.split(line)
        if words[:2] == ["python", "-m"]:
            words[:3] = [f"{words[2].replace('.', '/')}.py"]
        script = ROOT / words[0]
        assert script.is_file(), line
        assert all(f'"{word}"' in script.read_text() for word in words if word.startswith("--")), line


def test_every_benchmark_can_be_started():
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
    code = "".join(f"import benchmarks.{name}\n" for name in names)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert len(names) > 5
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_notebook_draws_three_figures(sandbox, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    notebook = json.loads((ROOT / "docs" / "explore.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert 'STUDY = "../data/demo"' in code[0]
    names = {}
    with plt.rc_context({"backend": "agg"}):
        plt.close("all")
        for cell in [code[0].replace("../data/demo", str(sandbox / "my-study")), *code[1:]]:
            exec(cell, names)
        figures = [plt.figure(number) for number in plt.get_fignums()]
        assert [bool(figure.axes[0].has_data()) for figure in figures] == [True] * 3
        plt.close("all")
    assert names["profile"]["level"].nunique() == 10


def snippet(language):
    (block,) = blocks(ROOT / "docs" / "other-programs.md", language)
    return block.text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="no Rscript on this machine")
def test_r_reads_the_export_and_fits_what_the_study_has(sandbox):
    script = snippet("r") + 'cat(sprintf("\\n%.12g %d", coef(fit)["attenuation"], nobs(fit)))\n'
    done = subprocess.run(
        ["Rscript", "--vanilla", "-"], input=script, cwd=sandbox, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    estimate, rows = done.stdout.split()[-2:]
    exports = sandbox / "my-study" / "exports" / "parquet"
    ours = pd.read_parquet(exports / "linear_coefficients.parquet").set_index(["model", "term"])
    assert float(estimate) == pytest.approx(ours.loc[("model2", "attenuation"), "estimate"], rel=1e-8)
    assert int(rows) == pd.read_parquet(exports / "cohort.parquet")["analysed"].sum()


@pytest.mark.slow
def test_stata_s_snippet_names_variables_of_the_export(sandbox, tmp_path):
    done = CliRunner().invoke(
        main, ["export", str(sandbox / "my-study"), "--to", str(tmp_path / "tables"), "--format", "stata"]
    )
    assert done.exit_code == 0, done.output
    text = snippet("stata")
    table = pd.read_stata(tmp_path / re.search(r'use "(.+?)"', text)[1])
    made = re.findall(r"generate\((\w+)\)", text)
    used = re.search(r"regress (.+) if (\w+)", text)
    named = {word.removeprefix("i.") for word in used[1].split()} | {used[2]} | {"sex"}
    assert named - set(made) <= set(table.columns)
    assert table["sex"].isin(["Female", "Male"]).all()  # text, which is why it is encoded
