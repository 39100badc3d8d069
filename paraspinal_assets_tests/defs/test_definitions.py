from __future__ import annotations

import subprocess
import sys

import dagster as dg

from paraspinal_assets.defs.build import build_definitions
from paraspinal_assets.defs.rules import asset_rules, waves

GROUPS = {
    "ingest": {"raw_scan", "raw_segmentation", "clinical_files", "reader_masks", "ct_nifti"},
    "segmentation": {"segmentation", "quality", "reader_agreement"},
    "measurement": {
        *("paraspinal_levels", "scan_muscle", "scan_bone", "scan_radiomics", "scan_deformity"),
        *("muscle_metrics", "bone_metrics", "radiomics", "deformity"),
    },
    "cohort": {"scans", "clinical", "outcomes", "cohort", "quartile_cohort", "table_one"},
    "analysis": {
        *(
            "regression",
            "model_comparison",
            "sensitivity",
            "fracture_models",
            "auc",
            "longitudinal",
            "subgroups",
        ),
    },
    "report": {"provenance", "contact_sheets", "study_report", "exports"},
}


def specs() -> dict[str, dg.AssetSpec]:
    graph = build_definitions().resolve_asset_graph()
    return {key.to_user_string(): graph.get(key).to_asset_spec() for key in graph.get_all_asset_keys()}


def test_every_asset_is_in_its_group() -> None:
    found: dict[str, set[str]] = {}
    for name, spec in specs().items():
        found.setdefault(str(spec.group_name), set()).add(name)
    assert found == GROUPS


def test_every_asset_says_what_it_is() -> None:
    for name, spec in specs().items():
        assert spec.description, name
        assert spec.owners, name
        assert spec.kinds, name
        assert asset_rules()[name].external or spec.code_version, name
        assert asset_rules()[name].external or "dagster/code_references" in spec.metadata, name


def test_dagster_and_the_rules_agree_on_dependencies() -> None:
    for name, spec in specs().items():
        assert {dep.asset_key.to_user_string() for dep in spec.deps} == set(asset_rules()[name].inputs), name


def test_no_two_assets_have_the_same_batch_size() -> None:
    # Dagster puts assets with equal backfill policies into one run and skips the second without a word.
    sizes = [rule.batch for rule in asset_rules().values() if rule.partitioned and not rule.external]
    assert len(sizes) == len(set(sizes))


def test_waves_build_inputs_first() -> None:
    done: set[str] = set()
    for wave in waves():
        for rule in wave:
            assert set(rule.inputs) <= done, rule.name
        done |= {rule.name for rule in wave}
    assert done == set(asset_rules())


def test_a_scan_depends_on_scans_alone() -> None:
    for rule in asset_rules().values():
        assert not rule.partitioned or all(asset_rules()[name].partitioned for name in rule.inputs), rule.name


def test_the_code_location_loads_without_a_warning() -> None:
    code = "import paraspinal_assets.definitions as d; d.defs.resolve_asset_graph()"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    own = [line for line in run.stderr.splitlines() if "paraspinal_assets" in line or "BetaWarning" in line]
    assert run.returncode == 0, run.stderr[-2000:]
    assert own == []
