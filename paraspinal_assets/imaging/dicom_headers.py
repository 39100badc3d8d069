"""Headers of DICOM slices: found in a folder tree, read in parallel, and remembered by content.

What is read is an allow-list of attributes; pixel data stays on disk. A multi-frame file gives one
`SliceHeader` per frame (`dicom_multiframe`), so that everything after this module knows only slices.

The memory of a `HeaderIndex` lives in the process alone: headers hold identifying text, and none of it
is written to disk.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from paraspinal_assets.imaging.dicom_codes import dicom_error
from paraspinal_assets.imaging.dicom_elements import element_value, explicit_header

_KEYWORDS: Final = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "Modality", "ImageType", "PatientID", "SeriesNumber", "SeriesDescription", "AcquisitionNumber",
    "AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "GantryDetectorTilt",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "LossyImageCompression",
    "KVP", "Exposure", "ConvolutionKernel", "SliceThickness", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "Manufacturer", "ManufacturerModelName", "SoftwareVersions",
    "DeidentificationMethodCodeSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_TAGS: Final = {keyword: Tag(keyword) for keyword in _KEYWORDS}
_WANTED: Final = {int(tag): tag for tag in _TAGS.values()}
# pydicom warns of odd values by quoting them; a header's values must not reach a log, nor the standard error of a
# run, which Dagster keeps. The reader checks every value it uses itself.
config.settings.reading_validation_mode = config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\b")

CT_CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image Storage",
}
_HEAD_BYTES: Final = 32_768
_PREAMBLE: Final = 132
_SLICE_SUFFIXES: Final = {".dcm", ".dicom", ".ima"}
_PIXEL_DATA: Final = {b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"}


@dataclass(frozen=True)
class SliceHeader:
    """One slice: a single-frame file, or one frame of a multi-frame file.

    Attributes
    ----------
    path
        The file.
    dataset
        The attributes read (no pixel data); of a frame, with its functional groups flattened in.
    transfer_syntax
        Transfer Syntax UID.
    pixel_offset
        Byte position of the Pixel Data element; None where it is not at a fixed place (deflated files).
    file_size
        Bytes in the file.
    frame
        Index of the frame in the file; 0 for single-frame files.
    frames
        Number of frames in the file.
    file_number
        What messages call the file, which are stored and must not quote its name: see `numbered`.
    """

    path: Path
    dataset: Dataset = field(repr=False)
    transfer_syntax: str
    pixel_offset: int | None
    file_size: int
    frame: int = 0
    frames: int = 1
    file_number: str = "file ?"
    _read: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def get(self, keyword: str, default: Any = None) -> Any:
        """Value of an attribute, looked up once; `default` where it is absent or empty."""
        if keyword not in self._read:
            try:
                value = element_value(self.dataset, _TAGS[keyword], keyword)
            except Exception as error:  # whatever a damaged element provokes
                raise dicom_error("E-DICOM-02", f"{self.name}: {keyword} cannot be read") from error
            self._read[keyword] = None if value is None or value == "" else value
        found = self._read[keyword]
        return default if found is None else found

    @property
    def name(self) -> str:
        """What messages call the slice: its file by number, and the frame where there are several."""
        return self.file_number if self.frames == 1 else f"{self.file_number}, frame {self.frame + 1}"

    @property
    def image_type(self) -> list[str]:
        """Values of ImageType, upper case. Source: DICOM PS3.3 C.7.6.1.1.2, C.8.2.1.1.1, C.8.16.1."""
        value = self.get("ImageType", [])  # pydicom gives a single value as a string
        return [str(item).strip().upper() for item in ([value] if isinstance(value, str) else value)]


class HeaderIndex:
    """Headers by content: a file whose first bytes and size are known is not parsed again.

    Two threads hide the latency of a local disk, and more of them get in each other's way while parsing;
    give `workers` for a file server. The oldest headers are forgotten beyond `limit` (about 20 kB each).

    Safe to share between threads. One index serves any number of scans; walking a tree again costs one
    short read per file. `below` keeps the last tree, so that the scans of one tree, asked for in turn, cost
    one walk; keep an index no longer than the files may be trusted to stay as they are (a batch of scans).
    """

    def __init__(self, workers: int | None = None, *, limit: int = 20_000) -> None:
        self._workers = workers or 2
        self._limit = limit
        self._known: dict[bytes, SliceHeader] = {}
        self._lock = threading.Lock()
        self._tree: tuple[Path, list[SliceHeader]] | None = None

    def below(self, folder: Path) -> list[SliceHeader]:
        """Headers of all DICOM files below a folder, sorted by path; the folder asked for last is not read again.

        Raises
        ------
        DicomError
            E-DICOM-01, if there is no such folder; E-DICOM-02 as for `read`.
        """
        tree = self._tree
        if tree is None or tree[0] != folder:
            tree = self._tree = folder, self.read(files_below(folder))
        return tree[1]

    def read(self, paths: Sequence[Path]) -> list[SliceHeader]:
        """Headers of the DICOM files among `paths`, in the order given; other files are left out.

        Messages call a file by its number in `paths`.

        Raises
        ------
        DicomError
            E-DICOM-02, if a file that must be a slice is empty, cut off or unreadable.
        """
        share = max(1, -(-len(paths) // self._workers))
        named = [(path, numbered(number, len(paths))) for number, path in enumerate(paths, 1)]
        parts = [named[first : first + share] for first in range(0, len(paths), share)]
        with ThreadPoolExecutor(self._workers) as pool:
            return [header for part in pool.map(self._some, parts) for header in part]

    def _some(self, named: Sequence[tuple[Path, str]]) -> list[SliceHeader]:
        return [header for path, name in named if (header := self._one(path, name)) is not None]

    def _one(self, path: Path, name: str) -> SliceHeader | None:
        with unnamed_os_errors(name), path.open("rb", buffering=_HEAD_BYTES) as file:
            head = file.read(_HEAD_BYTES)
            if not _is_dicom(path, head, name):
                return None
            size = os.fstat(file.fileno()).st_size
            key = hashlib.sha256(head + size.to_bytes(8, "little")).digest()
            known = self._known.get(key)
            if known is not None:
                return replace(known, path=path, file_number=name)
            header = replace(_parse(path, file, head, size, name), file_number=name)
        # A key is safe only where the whole header lies within the bytes it was made of.
        if header.pixel_offset is not None and header.pixel_offset < _HEAD_BYTES:
            with self._lock:
                self._known[key] = header
                while len(self._known) > self._limit:
                    del self._known[next(iter(self._known))]
        return header


def numbered(number: int, count: int) -> str:
    """A file as messages give it: by its place among the files that `files_below` lists."""
    return f"file {number} of {count}"


@contextmanager
def unnamed_os_errors(name: str) -> Iterator[None]:
    """Errors of the operating system about a file give `name` for it: they are stored like other messages."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error


def files_below(folder: Path) -> list[Path]:
    """Every plain file under a folder that may be a DICOM image, sorted by path."""
    if not folder.is_dir():
        raise dicom_error("E-DICOM-01", f"{folder} is not a folder")
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root, name) for name in names if not name.startswith(".") and name.upper() != "DICOMDIR"
        ]
    return sorted(found)


def _is_dicom(path: Path, head: bytes, name: str) -> bool:
    """Whether a file is DICOM; an error where its name says so and its content does not."""
    if head[128:_PREAMBLE] == b"DICM" or _bare_dataset(head):
        return True
    suffix = path.suffix.lower()
    claims = suffix in _SLICE_SUFFIXES
    # Slices are often named without a suffix, or by UID; a stump of one must not pass for a note.
    unnamed = suffix == "" or suffix[1:].isdigit()
    stump = len(head) < _PREAMBLE and not (head and all(9 <= byte < 127 for byte in head))
    if claims or (unnamed and stump):
        what = "is empty" if not head else "is cut off or not DICOM"
        raise dicom_error("E-DICOM-02", f"{name} {what} ({len(head)} bytes read)")
    return False


def _bare_dataset(head: bytes) -> bool:
    """Whether the bytes start a data set without preamble: group 0008, little endian, a low element."""
    return len(head) > _PREAMBLE and head[:2] == b"\x08\x00" and head[3] == 0 and head[2] < 0x20


def _parse(path: Path, file: BinaryIO, head: bytes, size: int, name: str) -> SliceHeader:
    try:
        found = explicit_header(head, _WANTED)
        if found is not None:
            dataset, syntax, offset = found
            return SliceHeader(path, dataset, syntax, offset, size)
        file.seek(0)
        dataset = dcmread(file, stop_before_pixels=True, specific_tags=_KEYWORDS, force=True)
        dataset.get("Rows")
    except Exception as error:  # pydicom and zlib raise whatever a damaged file provokes
        raise dicom_error(
            "E-DICOM-02", f"{name}: the header cannot be read ({type(error).__name__})"
        ) from error
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    if syntax == DeflatedExplicitVRLittleEndian:
        return SliceHeader(path, dataset, syntax, None, size)
    offset = file.tell()
    if file.read(4) not in _PIXEL_DATA:
        offset = size
        if _must_have_pixels(dataset):
            raise dicom_error("E-DICOM-02", f"{name} ends before its pixel data ({size} bytes)")
    return SliceHeader(path, dataset, syntax, offset, size)


def _must_have_pixels(dataset: Dataset) -> bool:
    """Whether a file is a CT image, or too short to say what it is."""
    sop_class = dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID")
    return sop_class in CT_CLASSES if sop_class else dataset.get("Modality", "CT") == "CT"
