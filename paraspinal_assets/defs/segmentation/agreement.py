"""How well the segmentation agrees with readers, where the study has manual masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraspinal_assets.defs.event_index import Record
from paraspinal_assets.defs.table_asset import TableContext, Tables, table_asset
from paraspinal_assets.imaging.reasons import REASONS
from paraspinal_assets.segmenters.base import ScanInput, Segmentation
from paraspinal_assets.study.scan import Scan

if TYPE_CHECKING:
    import pandas as pd

    from paraspinal_assets.imaging.volume import Volume


@table_asset(
    group="segmentation",
    inputs=["segmentation", "ct_nifti", "reader_masks"],
    code_version="5",
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
    from paraspinal_assets.segmenters.imported import ImportedSegmenter

    workspace = context.workspace
    frames: list[pd.DataFrame] = []
    left_out: list[tuple[str, str, str, str]] = []
    records = context.records("segmentation")
    for key in context.scans if workspace.study.readers.masks else ():
        scan = Scan.from_key(key)
        source = workspace.reader_source(scan)
        if source is None:
            continue
        why = _not_segmented(records.get(key))
        if why is not None:
            left_out.append((scan.exam, scan.participant, *why))
            continue
        with source.on_disk() as path:
            inputs = ScanInput(key, workspace.store.fetch(scan, "ct"), path)
            item = next(iter(ImportedSegmenter(workspace.study.levels).segment([inputs])))
        if not isinstance(item, Segmentation):
            left_out.append((scan.exam, scan.participant, item.error.code, item.error.message))
            continue
        if not item.labels.data.any():
            code = item.reason or "empty_segmentation"
            left_out.append((scan.exam, scan.participant, code, REASONS[code]))
            continue
        study = workspace.study
        rows = agreement_rows(
            *_volumes(scan, context), item.labels, study.levels, slab=study.measurement.slab
        )
        frames.append(rows.assign(exam=scan.exam, participant=scan.participant))
    table = pd.concat(frames, ignore_index=True) if frames else _nothing()
    summary = agreement_summary(table)
    problems = pd.DataFrame(left_out, columns=["exam", "participant", "code", "message"], dtype="string")
    return Tables(
        {
            "reader_agreement": table,
            "reader_agreement_summary": summary,
            "reader_agreement_problems": problems,
        },
        metadata={"scans compared": len(frames), "scans left out": len(left_out)},
    )


def _not_segmented(record: Record | None) -> tuple[str, str] | None:
    """Code and words where there is nothing to compare a reader's masks with."""
    if record is not None and record.failure is not None:
        return record.failure.code, record.failure.message
    code = "segmentation_missing" if record is None else record.note
    return None if code is None else (code, REASONS[code])


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
