"""What a compressed frame says of itself, and whether all of it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from paraspinal_assets.imaging.dicom_codes import dicom_error
from paraspinal_assets.imaging.dicom_headers import SliceHeader

_ITEM: Final = b"\xfe\xff\x00\xe0"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE: Final = b"\xff\xd9"
_FRAME_MARKERS: Final = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_J2K_START: Final = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Codestream:
    """Number of bits of a codestream, and its sign where it has one (JPEG 2000)."""

    family: Literal["jpeg", "jpeg-ls", "jpeg2000"]
    precision: int
    is_signed: bool | None


def codestream(frame: bytes) -> Codestream | None:
    """Precision and sign from the header of a JPEG, JPEG-LS or JPEG 2000 frame; None if there is none.

    Source: ITU-T T.81 B.2.2 (frame header), T.87 C.2.2 (JPEG-LS), T.800 A.5.1 (SIZ marker).
    """
    start = frame.find(_J2K_START, 0, 4096)
    if start >= 0:
        ssiz = start + 4 + 2 + 2 + 8 * 4 + 2
        if ssiz >= len(frame):
            return None
        return Codestream("jpeg2000", (frame[ssiz] & 0x7F) + 1, bool(frame[ssiz] & 0x80))
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 5 < len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAME_MARKERS:
            return Codestream("jpeg-ls" if marker == 0xF7 else "jpeg", frame[at + 4], None)
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def check_encapsulation(header: SliceHeader) -> None:
    """Refuse encapsulated pixel data that does not reach its end (PS3.5 A.4); decoders make do with less."""
    if header.transfer_syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian) or header.pixel_offset is None:
        return
    with header.path.open("rb") as file:
        file.seek(header.pixel_offset + 12)
        data = file.read()
    at, last = 0, b""
    while data[at : at + 4] == _ITEM:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        last = data[at + 8 : at + 8 + length]
        at += 8 + length
    if data[at : at + 4] != _SEQUENCE_END:
        raise dicom_error("E-DICOM-02", f"{header.name} is cut off: its pixel data has no end")
    if header.transfer_syntax != RLELossless and _END_OF_IMAGE not in last[-4:]:
        raise dicom_error("E-DICOM-02", f"{header.name}: the last codestream does not reach its end")
