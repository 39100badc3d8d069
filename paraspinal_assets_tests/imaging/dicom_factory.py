"""A small synthetic CT series, and its variants: what scanners, archives and accidents make of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

SLICES, ROWS, COLUMNS = 10, 36, 32
SPACING = (0.8, 0.7, 2.5)  # between rows, between columns, between slices
ORIGIN = (-12.5, -30.0, 100.0)  # LPS, centre of the first voxel of the lowest slice
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
CANARIES = [
    "CANARY^NAME",
    "CANARY-ID",
    "CANARY-HOSPITAL",
    "CANARY-STATION",
    "CANARY-ACC",
    "19470815",
    "20110713",
]

Series = list[Dataset]


def hounsfield() -> np.ndarray:
    """Truth: Hounsfield units, shape (slice, row, column), lowest slice first; all different patterns."""
    rng = np.random.default_rng(5)
    volume = rng.integers(-1024, 1500, (SLICES, ROWS, COLUMNS)).astype(np.int16)
    volume[:, 0, 0], volume[:, 1, 1] = -1024, 3071
    volume[:, 5:12, 6:14] = (40 + 3 * np.arange(SLICES))[:, None, None]
    return volume


def ras(volume: np.ndarray) -> np.ndarray:
    """(slice, row, column) of an axial LPS stack, lowest first, to (x, y, z) RAS+."""
    return volume.transpose(2, 1, 0)[::-1, ::-1]


def ras_affine() -> np.ndarray:
    """The affine that belongs to `ras`, from first principles."""
    affine = np.diag([SPACING[1], SPACING[0], SPACING[2], 1.0])
    affine[0, 3] = -(ORIGIN[0] + SPACING[1] * (COLUMNS - 1))
    affine[1, 3] = -(ORIGIN[1] + SPACING[0] * (ROWS - 1))
    affine[2, 3] = ORIGIN[2]
    return affine


def plain() -> Series:
    """Unsigned 12-bit slices with intercept -1024, Explicit VR Little Endian, lowest first."""
    uids = [generate_uid(entropy_srcs=[name]) for name in ("study", "series", "frame of reference")]
    return [_slice(index, hu, uids) for index, hu in enumerate(hounsfield())]


def _slice(index: int, hu: np.ndarray, uids: Sequence[str]) -> Dataset:
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = CT_IMAGE
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=["slice", str(index)]
    )
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = uids
    d.Modality, d.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    d.PatientName, d.PatientID, d.InstitutionName, d.StationName, d.AccessionNumber = CANARIES[:5]
    d.PatientBirthDate, d.StudyDate = CANARIES[5:7]
    d.AcquisitionDate = d.StudyDate
    d.SeriesNumber, d.AcquisitionNumber, d.InstanceNumber = 3, 1, SLICES - index
    d.SeriesDescription = "CHEST 2.5"
    d.Manufacturer, d.ManufacturerModelName, d.SoftwareVersions = "ACME", "Scan 64", ["v1", "b2"]
    d.KVP, d.Exposure, d.ConvolutionKernel, d.SliceThickness = "120", "50", "B30f", "2.5"
    d.ContrastBolusAgent = ""
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator, method.CodeMeaning = "113100", "DCM", "Basic Profile"
    private = Dataset()
    private.CodeValue, private.CodingSchemeDesignator, private.CodeMeaning = "CANARY-ACC", "99LOCAL", "local"
    d.DeidentificationMethodCodeSequence = Items([method, private])
    d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    d.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + SPACING[2] * index]
    d.PixelSpacing = list(SPACING[:2])
    d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
    d.RescaleSlope, d.RescaleIntercept, d.RescaleType = "1", "-1024", "HU"
    d.PixelData = (hu.astype(np.int32) + 1024).astype("<u2").tobytes()
    d["PixelData"].VR = "OW"
    return d


def stored(d: Dataset) -> np.ndarray:
    """Stored values of a slice of `plain`, int32."""
    return np.frombuffer(d.PixelData, "<u2").reshape(d.Rows, d.Columns).astype(np.int32)


def changed(d: Dataset, **attributes: object) -> Dataset:
    """A copy with other attributes; None deletes one."""
    out = copy.deepcopy(d)
    for keyword, value in attributes.items():
        if value is None:
            delattr(out, keyword)
        else:
            setattr(out, keyword, value)
    return out


def renewed(d: Dataset, **attributes: object) -> Dataset:
    """A changed copy that is an instance of its own."""
    out = changed(d, **attributes)
    out.SOPInstanceUID = out.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return out


def with_values(
    d: Dataset, values: np.ndarray, *, signed: bool, intercept: int, bits: int = 16, **more: object
) -> Dataset:
    """A copy with other stored values, meant to be the same attenuation."""
    kind = "<i2" if signed else "<u2"
    assert values.min() >= np.iinfo(kind).min
    assert values.max() <= np.iinfo(kind).max
    return changed(
        d, PixelData=values.astype(kind).tobytes(), PixelRepresentation=int(signed), RescaleIntercept=str(intercept),
        BitsStored=bits, HighBit=bits - 1, **more,
    )  # fmt: skip


def signed(d: Dataset, bits: int = 16) -> Dataset:
    return with_values(d, stored(d) - 1024, signed=True, intercept=0, bits=bits)


def in_syntax(d: Dataset, syntax: str) -> Dataset:
    out = copy.deepcopy(d)
    out.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        out.PixelData = np.frombuffer(d.PixelData, "<u2").astype(">u2").tobytes()
    return out


def moved(d: Dataset, dz: float, dy: float = 0.0) -> Dataset:
    x, y, z = map(float, d.ImagePositionPatient)
    return changed(d, ImagePositionPatient=[f"{x:.5f}", f"{y + dy:.5f}", f"{z + dz:.5f}"])


def localizer(d: Dataset, **attributes: object) -> Dataset:
    attributes = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], **attributes}
    return renewed(
        d, ImageOrientationPatient=[1, 0, 0, 0, 0, -1], Rows=16,
        Columns=30, PixelSpacing=[1, 1], PixelData=np.full((16, 30), 1100, "<u2").tobytes(), **attributes,
    )  # fmt: skip


def enhanced(series: Series) -> Dataset:
    """One Enhanced CT object; frames in reverse order, each with its own rescale (intercept 10 x index)."""
    first = series[0]
    d = changed(first, RescaleSlope=None, RescaleIntercept=None, RescaleType=None, ImagePositionPatient=None)
    for keyword in (
        "ImageOrientationPatient",
        "PixelSpacing",
        "KVP",
        "Exposure",
        "ConvolutionKernel",
        "SliceThickness",
    ):
        delattr(d, keyword)
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    d.NumberOfFrames, d.BitsStored, d.HighBit = len(series), 16, 15
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=first.ImageOrientationPatient)]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=first.PixelSpacing, SliceThickness="2.5")]
    shared.CTReconstructionSequence = [_item(ConvolutionKernel="B30f")]
    d.SharedFunctionalGroupsSequence = [shared]
    frames, groups = [], []
    for index, one in reversed(list(enumerate(series))):
        intercept = -1024 - 10 * index
        group = Dataset()
        group.PlanePositionSequence = [_item(ImagePositionPatient=one.ImagePositionPatient)]
        group.PixelValueTransformationSequence = [
            _item(RescaleSlope="1", RescaleIntercept=str(intercept), RescaleType="HU")
        ]
        group.CTXRayDetailsSequence = [_item(KVP=120.0)]
        group.CTExposureSequence = [_item(ExposureInmAs=50.0)]
        groups.append(group)
        frames.append(stored(one) - 1024 - intercept)
    d.PerFrameFunctionalGroupsSequence = groups
    d.PixelData = np.stack(frames).astype("<u2").tobytes()
    return d


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def write(folder: Path, series: Series, name: Callable[[int], str] = "IM{:04d}.dcm".format) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, d in enumerate(series):
        d.save_as(folder / name(index), enforce_file_format=True)
    return folder
