"""How well the segmentation agrees with readers, where the study has manual masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraspinal_assets.defs.table_asset import TableContext, Tables, table_asset
from paraspinal_assets.segmenters.base import ScanInput, Segmentation
from paraspinal_assets.study.scan import Scan

if TYPE_CHECKING:
    import pandas as pd

    from paraspinal_assets.imaging.volume import Volume


@table_asset(
    group="segmentation",
    inputs=["segmentation", "ct_nifti", "reader_masks"],
    code_version="4",
    kinds={"python", "duckdb"},
    settings=lambda study: {
        "levels": study.levels,
        "slab": study.measurement.slab,
        "masks": study.readers.masks,
    },
)
def reader_agreement(context: TableContext) -> Tables:
    """Dice, surface distance, Bland-Altman limits and ICC of the segmentation against manual masks."""
    import pandas as pd

    from paraspinal_assets.imaging.agreement_tables import agreement_rows, agreement_summary
    from paraspinal_assets.imaging.reasons import REASONS
    from paraspinal_assets.segmenters.imported import ImportedSegmenter

    workspace = context.workspace
    frames: list[pd.DataFrame] = []
    unread: list[str] = []
    records = context.records("segmentation")
    for key in context.scans if workspace.study.readers.masks else ():
        scan = Scan.from_key(key)
        record = records.get(key)
        if record is None or record.failure is not None or record.note is not None:
            continue
        source = workspace.reader_source(scan)
        if source is None or not source.is_folder():
            continue
        with source.on_disk() as path:
            inputs = ScanInput(key, workspace.store.fetch(scan, "ct"), path)
            item = next(iter(ImportedSegmenter(workspace.study.levels).segment([inputs])))
        if not isinstance(item, Segmentation):
            unread.append(str(item.error))
            continue
        if not item.labels.data.any():
            unread.append(f"{key}: {REASONS[item.reason or 'empty_segmentation']}")
            continue
        study = workspace.study
        rows = agreement_rows(
            *_volumes(scan, context), item.labels, study.levels, slab=study.measurement.slab
        )
        frames.append(rows.assign(exam=scan.exam, participant=scan.participant))
    table = pd.concat(frames, ignore_index=True) if frames else _nothing()
    summary = agreement_summary(table)
    return Tables(
        {"reader_agreement": table, "reader_agreement_summary": summary},
        metadata={"scans compared": len(frames), "masks that could not be read": "; ".join(unread) or "none"},
    )


def _volumes(scan: Scan, context: TableContext) -> tuple[Volume, Volume]:
    from paraspinal_assets.imaging.volume_io import read_volume

    store = context.workspace.store
    return read_volume(store.fetch(scan, "ct")), read_volume(store.fetch(scan, "labels"))


def _nothing() -> pd.DataFrame:
    import pandas as pd

    from paraspinal_assets.imaging.agreement_tables import agreement_rows
    from paraspinal_assets.imaging.volume import Volume

    empty = Volume.empty("uint8")
    return agreement_rows(empty, empty, empty, ()).assign(exam=pd.Series(dtype="string"), participant="")
