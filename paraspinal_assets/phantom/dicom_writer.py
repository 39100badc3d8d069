"""A phantom written as a CT series, with headers as a hospital's scanner leaves them.

The headers carry names, dates and numbers of a person who does not exist (`CANARIES`): a test plants them
here and searches for them in everything that the platform writes. UIDs come from the series' name, never from
a clock or a random source, so that the same phantom gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import PYDICOM_ROOT_UID, UID, CTImageStorage, ExplicitVRLittleEndian

from paraspinal_assets.imaging.volume import Volume

CANARIES: Final[dict[str, str]] = {
    "PatientName": "CANARYSON^PETRONELLA",
    "PatientID": "MRN-CANARY-7781234",
    "OtherPatientNames": "CANARYSON^NELLA",
    "PatientAddress": "17 Canary Row, Featherton",
    "PatientTelephoneNumbers": "555-CANARY-0199",
    "InstitutionName": "Canary General Hospital",
    "InstitutionAddress": "1 Plumage Avenue, Featherton",
    "InstitutionalDepartmentName": "CANARY RADIOLOGY",
    "StationName": "CANARYCT01",
    "ReferringPhysicianName": "CANARYDOC^ROSALIND",
    "PerformingPhysicianName": "CANARYPERF^ISIDOR",
    "OperatorsName": "CANARYTECH^OTTOLINE",
    "AccessionNumber": "ACCCANARY552",
    "StudyID": "STCANARY9",
    "DeviceSerialNumber": "SN-CANARY-40417",
    "StudyDescription": "CANARY chest without contrast",
    "ProtocolName": "CANARY protocol",
    "PatientComments": "Canary comment: lives at the harbour",
    "RequestingPhysician": "CANARYREQ^AMBROSE",
    "MedicalRecordLocator": "CANARYLOCATOR77",
}
"""DICOM keyword -> planted value that must not be found in any output."""

CANARY_BIRTH_DATE: Final = "19310917"
CANARY_TIME: Final = "134755.271828"
UID_ROOT: Final = f"{PYDICOM_ROOT_UID}1789"
"""Prefix of all planted UIDs; also a canary."""

RESCALE_INTERCEPT: Final = -1024
_SLOT: Final = 12


@dataclass(frozen=True)
class Acquisition:
    """How a series was acquired, as its headers say.

    Attributes
    ----------
    name
        Names the series; its UIDs derive from it.
    date
        Acquisition date, ``YYYYMMDD``.
    manufacturer, model, kernel
        Scanner and reconstruction kernel.
    kvp
        Tube voltage in kV.
    """

    name: str
    date: str
    manufacturer: str = "Siemens"
    model: str = "Sensation 64"
    kernel: str = "B35f"
    kvp: float = 120.0


def planted_values(acquisition: Acquisition) -> tuple[str, ...]:
    """Every identifying text in the headers of a series, for a privacy test to search for."""
    return (*CANARIES.values(), CANARY_BIRTH_DATE, CANARY_TIME, UID_ROOT, acquisition.date)


def uid(*names: str) -> str:
    """A UID that follows from names alone; at most 64 characters, PS3.5 section 9."""
    digest = hashlib.sha256("/".join(names).encode()).hexdigest()
    return f"{UID_ROOT}.{int(digest[:20], 16) | 1}"


def write_series(
    folder: Path,
    ct: Volume,
    acquisition: Acquisition,
    *,
    keep: Callable[[int], bool] = lambda index: True,
) -> int:
    """Write a CT as one file per axial slice, head first, and return how many files there are.

    Parameters
    ----------
    folder
        Created if need be; files are named ``IM0001.dcm`` onwards, from head to foot.
    ct
        int16 HU in RAS+ order with axes along the world's; stored unsigned with a rescale intercept.
    acquisition
        What the headers say.
    keep
        Which slices to write, by their index from the head; leaving one out makes a broken series.

    The header is encoded once by pydicom with blank slots of fixed width (instance UID, instance number,
    position); per slice only the slots and the pixels change. PS3.5 lets DS and IS be padded with spaces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nx, ny, nz = ct.data.shape
    # RAS+ to DICOM's left and posterior: both in-plane axes run the other way, and rows come first.
    pixels = np.ascontiguousarray(
        (ct.data[::-1, ::-1, ::-1].astype(np.int32) - RESCALE_INTERCEPT)
        .clip(0, 65535)
        .astype("<u2")
        .transpose(2, 1, 0)
    )
    corner = ct.affine @ np.array([nx - 1, ny - 1, nz - 1, 1.0])
    spacing = ct.spacing
    header, slots = _template(ct, acquisition)
    written = 0
    for index in range(nz):
        if not keep(index):
            continue
        z = float(corner[2]) - index * spacing[2]
        values = {
            "uid": f"{10001 + index}",
            "number": f"{index + 1:>{_SLOT}d}",
            "position": "\\".join(f"{v:>{_SLOT}.4f}" for v in (-corner[0], -corner[1], z)),
            "location": f"{z:>{_SLOT}.4f}",
        }
        for key, places in slots.items():
            text = values[key].encode("ascii")
            for place in places:
                header[place : place + len(text)] = text
        with open(folder / f"IM{index + 1:04d}.dcm", "wb") as file:
            file.write(header)
            file.write(pixels[index].tobytes())
        written += 1
    return written


def _template(ct: Volume, acquisition: Acquisition) -> tuple[bytearray, dict[str, tuple[int, ...]]]:
    """The encoded header up to the pixel values, and where its slots lie."""
    blank = {
        "uid": "99999",
        "number": "7" * _SLOT,
        "position": "\\".join(["8888888.8888"] * 3),
        "location": "9999999.9999",
    }
    instance = f"{uid(acquisition.name, 'instance')}.{blank['uid']}"
    data = _dataset(ct, acquisition)
    data.SOPInstanceUID = instance
    data.InstanceNumber = blank["number"]
    data.ImagePositionPatient = blank["position"].split("\\")
    data.SliceLocation = blank["location"]
    size = int(data.Rows * data.Columns * 2)
    data.PixelData = bytes(size)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationVersionName = "PHANTOM"
    data.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    header = bytearray(buffer.getvalue()[:-size])
    slots = {}
    for key, value in blank.items():
        pattern = f"{instance}" if key == "uid" else value
        skip = len(instance) - len(value) if key == "uid" else 0
        slots[key] = tuple(place + skip for place in _places(header, pattern.encode()))
    return header, slots


def _places(header: bytearray, pattern: bytes) -> list[int]:
    places, start = [], header.find(pattern)
    while start >= 0:
        places.append(start)
        start = header.find(pattern, start + 1)
    return places


def _dataset(ct: Volume, acquisition: Acquisition) -> Dataset:
    nx, ny, _ = ct.data.shape
    spacing = ct.spacing
    data = Dataset()
    for keyword, value in CANARIES.items():
        setattr(data, keyword, value)
    data.SpecificCharacterSet = "ISO_IR 100"
    data.PatientBirthDate = CANARY_BIRTH_DATE
    data.PatientSex = "O"
    data.PatientAge = "079Y"
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
        setattr(data, keyword, acquisition.date)
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(data, keyword, CANARY_TIME)
    data.SOPClassUID = CTImageStorage
    data.StudyInstanceUID = uid(acquisition.name, "study")
    data.SeriesInstanceUID = uid(acquisition.name, "series")
    data.FrameOfReferenceUID = uid(acquisition.name, "frame")
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Modality = "CT"
    data.Manufacturer = acquisition.manufacturer
    data.ManufacturerModelName = acquisition.model
    data.SoftwareVersions = "phantom"
    data.SeriesDescription = f"Chest {spacing[2]:.1f} {acquisition.kernel}"
    data.BodyPartExamined = "CHEST"
    data.PatientPosition = "HFS"
    data.KVP = acquisition.kvp
    data.XRayTubeCurrent = 110
    data.Exposure = 55
    data.ExposureTime = 500
    data.GantryDetectorTilt = 0
    data.TableHeight = 150
    data.ConvolutionKernel = acquisition.kernel
    data.ReconstructionDiameter = round(nx * spacing[0], 3)
    data.SliceThickness = round(spacing[2], 4)
    data.SpacingBetweenSlices = round(spacing[2], 4)
    data.SeriesNumber = 2
    data.AcquisitionNumber = 1
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = ny, nx
    data.PixelSpacing = [round(spacing[1], 4), round(spacing[0], 4)]
    data.BitsAllocated = 16
    data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 0
    data.WindowCenter = 40
    data.WindowWidth = 400
    data.RescaleIntercept = RESCALE_INTERCEPT
    data.RescaleSlope = 1
    data.RescaleType = "HU"
    return data
