"""The header of an ordinary DICOM file, walked in memory; whatever is not ordinary is left to pydicom.

A study has hundreds of headers per scan, and nearly all of them are little-endian with explicit value
representations. For these the elements are found here, some ten times as fast, as the raw elements that
pydicom finds; their conversion is pydicom's in either case, and done once for each distinct value, because
most values are the same in every slice of a series.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, Final, cast

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import AllTransferSyntaxes
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

_CHARACTER_SET: Final = BaseTag(0x00080005)
_TRANSFER_SYNTAX: Final = 0x00020010
_FIRST_PIXEL_TAG: Final = 0x7FE00008
_PIXEL_DATA: Final = 0x7FE00010
_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_PREAMBLE: Final = 132

_ORDINARY: Final = {
    str(syntax).encode(): str(syntax)
    for syntax in AllTransferSyntaxes
    if syntax.is_little_endian and not syntax.is_implicit_VR and not syntax.is_deflated
}
_VRS: Final = {vr.value.encode(): vr.value for vr in STANDARD_VR}
_LONG: Final = {vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32}
_SHARED_VRS: Final = frozenset(
    [
        *("AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    ]
)
"""Representations whose value follows from the bytes alone; not so sequences and unknown ones."""
_SHARED_BYTES: Final = 256
_unpack_element: Final = Struct("<HH2sH").unpack_from
_unpack_length: Final = Struct("<L").unpack_from


def explicit_header(head: bytes, wanted: Mapping[int, BaseTag]) -> tuple[Dataset, str, int] | None:
    """The wanted elements before the pixel data, without converting any.

    Parameters
    ----------
    head
        The first bytes of a file.
    wanted
        Tags to keep: number -> tag. The data set is asked by these same objects; pydicom compares others
        in slow steps.

    Returns
    -------
    Data set of raw elements, Transfer Syntax UID and position of the Pixel Data element; or None where the
    file is anything but plain: another encoding, an undefined length, elements out of order, a
    representation that the standard does not know, or a header that does not end within `head`.

    Source: DICOM PS3.5 section 7.1.2 (explicit VR), PS3.10 section 7.1 (file meta information).
    """
    if head[128:_PREAMBLE] != b"DICM":
        return None
    syntax: str | None = None
    elements: dict[BaseTag, DataElement | RawDataElement] = {}
    encodings: str | tuple[str, ...] = default_encoding
    at, last, size = _PREAMBLE, 0, len(head)
    while at + 12 <= size:
        group, number, code, length = _unpack_element(head, at)
        tag = group << 16 | number
        vr = _VRS.get(code)
        if tag <= last or vr is None:
            return None
        if tag >= _FIRST_PIXEL_TAG:
            return (_dataset(elements, encodings), syntax, at) if tag == _PIXEL_DATA and syntax else None
        if code in _LONG:
            length = _unpack_length(head, at + 8)[0]
            at += 4
        start, at, last = at + 8, at + 8 + length, tag
        if length == _UNDEFINED_LENGTH or at > size:
            return None
        if tag == _TRANSFER_SYNTAX:
            syntax = _ORDINARY.get(head[start:at].rstrip(b"\0 "))
        if group > 2 and syntax is None:
            return None
        if tag == _CHARACTER_SET:
            encodings = _encodings(vr, head[start:at])
        if tag in wanted:
            value = head[start:at] if length else cast("bytes | None", empty_value_for_VR(vr, raw=True))
            elements[wanted[tag]] = RawDataElement(wanted[tag], vr, length, value, start, False, True)
    return None


def _dataset(
    elements: dict[BaseTag, DataElement | RawDataElement], encodings: str | tuple[str, ...]
) -> Dataset:
    dataset = Dataset(elements)
    stated = encodings if isinstance(encodings, str) else list(encodings)
    dataset.set_original_encoding(False, True, stated)
    return dataset


@lru_cache(maxsize=64)
def _encodings(vr: str, value: bytes) -> tuple[str, ...]:
    raw = RawDataElement(_CHARACTER_SET, vr, len(value), value, 0, False, True)
    return tuple(convert_encodings(convert_raw_data_element(raw).value))


def element_value(dataset: Dataset, tag: BaseTag, keyword: str) -> Any:
    """Value of an element, or None where it is absent; values that many slices share are one object.

    Raises
    ------
    Exception
        Whatever a damaged element provokes in pydicom.
    """
    raw: DataElement | RawDataElement | None = dataset.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.VR in _SHARED_VRS and raw.length <= _SHARED_BYTES:
        encodings = dataset.original_character_set
        key = encodings if isinstance(encodings, str) else tuple(encodings)
        return _converted(tag, raw.VR, raw.value, raw.is_little_endian, key)
    return dataset.get(keyword)


@lru_cache(maxsize=8192)
def _converted(
    tag: BaseTag, vr: str, value: bytes | None, is_little_endian: bool, encodings: str | tuple[str, ...]
) -> Any:
    raw = RawDataElement(tag, vr, len(value or b""), value, 0, False, is_little_endian)
    return convert_raw_data_element(
        raw, encoding=encodings if isinstance(encodings, str) else list(encodings)
    ).value
