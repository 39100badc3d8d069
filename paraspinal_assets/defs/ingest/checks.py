"""The check on what is kept of scans' headers.

It is reported by the table `scans`, which is made once after all conversions: Dagster skips the checks of a
partitioned asset whenever a run builds several partitions.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from paraspinal_assets.defs.table_asset import Check
from paraspinal_assets.study.scan import Scan
from paraspinal_assets.study.store import StudyStore

LEFT_OUT: Final = frozenset({"reason", "detail"})
"""Keys of a sidecar that record why a scan is left out."""
HEADER_BYTES: Final = 352
COMPRESSED_BYTES: Final = 4096
"""So much of the compressed file is enough for the header."""
MAX_SHOWN: Final = 10


def only_allowed_headers(store: StudyStore, scans: Sequence[Scan]) -> Check:
    """Reads sidecar and header, not the voxels, of every scan."""
    found = store.for_each(lambda scan: [f"{scan.key}: {what}" for what in foreign(store, scan)], scans)
    wrong = [line for lines in found for line in lines]
    sentence = "; ".join(wrong[:MAX_SHOWN]) or f"{len(scans)} scans, nothing beside what is allowed"
    return Check("only_allowed_headers", not wrong, sentence)


def foreign(store: StudyStore, scan: Scan) -> Iterator[str]:
    """What a scan's sidecar and header have that they should not; values are not repeated."""
    from paraspinal_assets.imaging.dicom_sidecar import SIDECAR_KEYS
    from paraspinal_assets.imaging.nifti_header import foreign_content

    if store.has(scan, "ct_sidecar"):
        names = sorted(set(store.read_record(scan, "ct_sidecar")).difference(SIDECAR_KEYS, LEFT_OUT))
        if names:
            yield f"sidecar has {', '.join(names)}"
    start = store.beginning(scan, "ct", COMPRESSED_BYTES)
    if start is not None:
        header = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start, HEADER_BYTES)
        if foreign_content(header):
            yield "the NIfTI header has text or extensions"
