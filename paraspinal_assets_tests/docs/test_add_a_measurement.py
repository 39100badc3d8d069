"""The worked example of docs/add-a-measurement.md does what it says."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import tiny_parameters
from paraspinal_assets.study.schema import schemas
from paraspinal_assets_tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "add-a-measurement.md"
LEVELS = [f"T{number}" for number in range(1, 11)]
FUNCTION, ASSET = (block.text for block in blocks(PAGE, "python"))


@pytest.fixture(scope="module")
def measure():
    names: dict = {}
    exec(FUNCTION, names)
    return names["measure_spine_length"]


def test_the_function_measures_what_was_drawn(measure):
    # labels 24 to 43 are the bodies and posterior parts of T1 to T10
    labels = make_phantom(tiny_parameters(), np.random.default_rng(1)).labels
    spine = np.flatnonzero(((labels.data >= 24) & (labels.data < 44)).any(axis=(0, 1)))
    (row,) = measure(labels, LEVELS).itertuples()
    assert row.spine_length_mm == pytest.approx((spine[-1] - spine[0] + 1) * labels.spacing[2])
    assert measure(labels, [*LEVELS, "L5"])["reason"].tolist() == ["level_absent"]


def test_the_asset_joins_the_graph(tmp_path):
    code = FUNCTION + ASSET + (
        "\nfrom paraspinal_assets.defs.build import build_definitions\n"
        "from paraspinal_assets.defs.rules import asset_rules\n"
        "rule = asset_rules()['scan_spine_length']\n"
        "others = [r.batch for r in asset_rules().values() if r.partitioned and not r.external and r is not rule]\n"
        "assert rule.batch not in others, others\n"
        "print(sorted(str(key.to_user_string()) for key in spine_length.asset_deps[spine_length.key]))\n"
    )  # fmt: skip
    script = tmp_path / "spine_length.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['paraspinal_levels']", done.stderr


def test_the_table_has_the_form_of_the_shipped_ones():
    _model, table = (yaml.safe_load(block.text) for block in blocks(PAGE, "yaml"))
    ((name, entry),) = table.items()
    assert name not in schemas()
    shipped = yaml.safe_load((ROOT / "paraspinal_assets/study/table_schemas/scans.yaml").read_text())
    assert entry.keys() == shipped["bone_metrics"].keys()
    assert all(key in entry["columns"] for key in entry["key"])
