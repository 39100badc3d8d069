from __future__ import annotations

import pytest

from paraspinal_assets.defs.asset_definitions import asset_definitions
from paraspinal_assets.defs.automation import runner
from paraspinal_assets.defs.automation.batches import batch_sizes, chosen_sizes, with_batches
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.errors import StudyError
from paraspinal_assets.segmenters import devices
from paraspinal_assets_tests.study.builders import study


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


@pytest.mark.parametrize(
    ("settings", "gpus", "batch", "expected"),
    [
        ({"device": "cpu"}, 1, {}, [20] * 50),
        ({"device": "auto"}, 1, {}, [20] * 50),
        ({"device": "gpu"}, 1, {}, [500, 500]),
        ({"device": "gpu:1"}, 4, {}, [500, 500]),
        ({"device": "gpu"}, 4, {}, [84] * 11 + [76]),
        ({"device": "gpu"}, 0, {}, [500, 500]),
        ({"device": "gpu"}, 1, {"segmentation": 200}, [200] * 5),
        ({"device": "gpu", "segmenter": "imported"}, 1, {}, [20] * 50),
    ],
)
def test_a_gpu_is_given_few_long_runs(monkeypatch, settings, gpus, batch, expected) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda: gpus)
    keys = [f"exam5-{number}" for number in range(1000)]
    todo = {
        asset_rules()["segmentation"]: list(keys),
        asset_rules()["quality"]: list(keys),
        asset_rules()["cohort"]: [None],
    }
    made = study(segmentation=settings, automation={"batch": batch})
    sharing = runner._sharing(todo, 16, made)
    tasks = list(runner._tasks(todo, keys, sharing, batch_sizes(chosen_sizes(made))))
    assert [task.size for task in tasks if task.asset == "segmentation"] == expected
    assert {task.size for task in tasks if task.asset == "quality"} == {21, 13}
    assert [task.keys for task in tasks if task.asset == "cohort"] == [()]
