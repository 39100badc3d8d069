from __future__ import annotations

import pytest

from paraspinal_assets.defs.asset_definitions import asset_definitions
from paraspinal_assets.defs.automation.batches import batch_sizes, with_batches
from paraspinal_assets.errors import StudyError


def test_the_study_file_sets_the_scans_per_run() -> None:
    assets = [asset for asset in asset_definitions().assets or () if hasattr(asset, "backfill_policy")]
    changed = with_batches(assets, {"segmentation": 7})
    sizes = {
        asset.key.to_user_string(): asset.backfill_policy.max_partitions_per_run
        for asset in changed
        if asset.backfill_policy
    }
    assert sizes == batch_sizes({}) | {"segmentation": 7}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"segmentation": 40}, "ct_nifti and segmentation both take 40 scans"),
        ({"cohort": 3}, "'cohort' is no asset with a partition for each scan"),
        ({"segmentaton": 3}, "'segmentaton' is no asset"),
    ],
)
def test_sizes_that_dagster_would_mix_up_are_refused(chosen: dict[str, int], words: str) -> None:
    with pytest.raises(StudyError, match=words) as raised:
        batch_sizes(chosen)
    assert raised.value.code == "E-STUDY-60"
