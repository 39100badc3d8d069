"""A daemon that was down finds what changed meanwhile, rebuilds exactly that, and then leaves it alone."""

from __future__ import annotations

import gzip

import pytest
from dagster import DagsterRunStatus, RunsFilter

from paraspinal_assets.defs.automation import backfill
from paraspinal_assets.defs.instance import study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets_tests.defs.automation.daemon import built_since, daemon, wait_for
from paraspinal_assets_tests.defs.conftest import BuiltStudy
from paraspinal_assets_tests.defs.small_study import write_scan

pytestmark = pytest.mark.slow

AUTOMATION = """
automation: {enabled: true, quiet_seconds: 1, look_every_seconds: 10, schedule: "* * * * *"}
"""
CHAIN = ["segmentation", "quality", "paraspinal_levels", "scan_muscle", "scan_bone", "scan_radiomics"]
CHAIN += ["scan_deformity"]


def test_what_changed_while_the_daemon_was_down_is_rebuilt_once(built: BuiltStudy) -> None:
    (built.root / "study.yaml").write_text((built.root / "study.yaml").read_text() + AUTOMATION)
    assets = [name for name, rule in asset_rules().items() if not rule.external]
    with study_instance(built.workspace) as instance:
        before = instance.event_log_storage.get_maximum_record_id() or 0
        # Two changes: a participant whose exam 6 arrives, and a scan that was exported again, identical voxels.
        write_scan(built.root, "exam6", "1007", muscle_hu=33.0)
        path = built.root / "incoming" / "exam5" / "1001.nii.gz"
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9, mtime=1))
        finished = RunsFilter(job_name="rebuild_stale", statuses=[DagsterRunStatus.SUCCESS])
        with daemon(built.workspace):
            wait_for(lambda: built_since(instance, ["exports"], before), "the rebuild", built.root)
            count = instance.get_runs_count(finished)
            # The schedule ticks every minute: wait for ticks that find nothing to do.
            wait_for(lambda: instance.get_runs_count(finished) >= count + 2, "another tick", built.root)
        found = built_since(instance, assets, before)
        scans = {asset: keys for asset, keys in found.items() if asset_rules()[asset].partitioned}
        assert scans == {"ct_nifti": ["exam5-1001", "exam6-1007"]} | {key: ["exam6-1007"] for key in CHAIN}
        assert {asset for asset, keys in found.items() if not asset_rules()[asset].partitioned} >= {
            *("muscle_metrics", "scans", "cohort", "provenance", "study_report", "exports")
        }
        assert max(len(keys) for asset, keys in found.items() if not asset_rules()[asset].partitioned) == 1
        (launched,) = instance.get_backfills()
        assert launched.status.value == "COMPLETED_SUCCESS"
        assert backfill.REBUILD in launched.tags
        # Runs are in batches: the two scans of ct_nifti are no neighbours, every other asset ran once.
        runs = instance.get_runs(RunsFilter(tags={"dagster/backfill": launched.backfill_id}))
        assert len(runs) == 2 + len(CHAIN)
