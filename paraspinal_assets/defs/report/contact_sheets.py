"""The scans' quality pictures side by side, as files for a reader and as an overview for the report."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from paraspinal_assets.defs.table_asset import TableContext, Tables, table_asset
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore, json_digest

if TYPE_CHECKING:
    from PIL import Image

    from paraspinal_assets.report.blocks import PictureBlock
    from paraspinal_assets.report.sheet_plan import Entry, Sheet

INDEX: Final = "index.json"
"""Overviews with their titles and sheets, for the report."""
VERSION: Final = "1"
"""Of the asset's code; a sheet of another version is drawn again."""


@table_asset(group="report", inputs=["quality", "scans"], code_version=VERSION, kinds={"python", "png"})
def contact_sheets(context: TableContext) -> Tables:
    """Quality pictures side by side: the rejected scans with their reasons, then every exam."""
    import numpy as np

    from paraspinal_assets.report.contact_sheet import sheet_jpeg
    from paraspinal_assets.report.sheet_plan import plan_sheets

    store = context.workspace.store
    verdicts = context.workspace.database.read("quality")
    scans = [Scan(*names) for names in zip(verdicts["exam"], verdicts["participant"], strict=True)]
    seen = np.array(store.for_each(lambda scan: store.has(scan, "qc"), scans), bool)
    groups = plan_sheets(verdicts[seen])
    written: dict[str, str] = {}
    index: list[dict[str, Any]] = []
    metadata: dict[str, Any] = {}
    for group in groups:
        for sheet in group.sheets:
            written[f"{sheet.name}.png"] = _write(sheet, store)
        overview = sheet_jpeg(_draw(group.overview, store))
        path = store.write_bytes(store.contact_sheets_folder / f"{group.overview.name}.jpg", overview)
        written[path.name] = hashlib.sha256(overview).hexdigest()
        names = [f"{sheet.name}.png" for sheet in group.sheets]
        index.append({"overview": path.name, "title": group.overview.title, "sheets": names})
        if group.overview.name == "overview-rejected":
            metadata["rejected scans"] = dg.MetadataValue.md(_inline(group.overview, overview))
    store.write_json(store.contact_sheets_folder / INDEX, {"groups": index})
    folder = store.contact_sheets_folder
    store.remove_others(folder, [folder / name for name in (INDEX, *written)])
    store.publish(folder)
    metadata |= {
        "folder": dg.MetadataValue.path(str(folder)),
        "sheets": sum(len(group.sheets) for group in groups),
        "scans without a picture": int((~seen).sum()),
    }
    return Tables(metadata=metadata, data_version=json_digest(written))


def _draw(sheet: Sheet, store: StudyStore) -> Image.Image:
    from paraspinal_assets.report.contact_sheet import contact_sheet

    pictures = [(entry.caption, _read(entry, store)) for entry in sheet.entries]
    return contact_sheet(pictures, title=sheet.title, columns=sheet.columns, width=sheet.width)


def _read(entry: Entry, store: StudyStore) -> bytes:
    return store.fetch(Scan(entry.exam, entry.participant), "qc").read_bytes()


def _write(sheet: Sheet, store: StudyStore) -> str:
    """Draw a sheet unless its file shows these pictures already; returns the digest of what it shows."""
    from paraspinal_assets.report.contact_sheet import sheet_png

    digest = hashlib.sha256(f"{VERSION} {sheet}".encode())
    for entry in sheet.entries:
        digest.update(hashlib.sha256(_read(entry, store)).digest())
    shows = digest.hexdigest()
    path = store.contact_sheets_folder / f"{sheet.name}.png"
    if _shown(path) != shows:
        store.write_bytes(path, sheet_png(_draw(sheet, store), shows))
    return shows


def _shown(path: Path) -> str | None:
    """The digest that a sheet's file carries; None where there is no such file, or a damaged one."""
    from PIL import Image

    from paraspinal_assets.report.contact_sheet import DIGEST

    try:
        with Image.open(path) as sheet:
            return str(sheet.info.get(DIGEST))
    except OSError:
        return None


def _inline(overview: Sheet, picture: bytes) -> str:
    """The overview as a row of a Markdown table that names its scans, so that `forget` finds and drops it."""
    keys = " ".join(f"{entry.exam}-{entry.participant}" for entry in overview.entries)
    data = base64.b64encode(picture).decode()
    return f"| {overview.title} |\n| --- |\n| ![{keys}](data:image/jpeg;base64,{data}) |"


def overviews(store: StudyStore) -> list[PictureBlock]:
    """The overviews as they stand in the report, with links to the sheets."""
    from paraspinal_assets.report.blocks import PictureBlock

    folder = store.contact_sheets_folder
    return [
        PictureBlock(
            name=Path(group["overview"]).stem,
            title=group["title"],
            description=f"Contact sheet of quality pictures. {group['title']}.",
            jpeg=(folder / group["overview"]).read_bytes(),
            links=tuple(f"{folder.name}/{name}" for name in group["sheets"]),
        )
        for group in store.read_json(folder / INDEX)["groups"]
    ]
