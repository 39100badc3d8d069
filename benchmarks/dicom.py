"""DICOM intake: 400 uncompressed slices of 512x512, against decoding them one by one into float64.

Run: python -m benchmarks.dicom [slices]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from paraspinal_assets.imaging.dicom import HeaderIndex, read_series
from paraspinal_assets.imaging.dicom_headers import files_below
from paraspinal_assets.imaging.fingerprint import fingerprint


def write_series(folder: Path, slices: int, size: int = 512) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 4096, (size, size), dtype=np.uint16)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index in range(slices):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.Modality, d.ImageType, d.PatientID = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "1"
        d.SeriesNumber, d.AcquisitionNumber, d.InstanceNumber = 2, 1, index + 1
        d.KVP, d.Exposure, d.ConvolutionKernel, d.SliceThickness = "120", "60", "B30f", "1"
        d.ImageOrientationPatient, d.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.7, 0.7]
        d.ImagePositionPatient = [-180, -180, float(index)]
        d.Rows = d.Columns = size
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
        d.RescaleSlope, d.RescaleIntercept = "1", "-1024"
        d.PixelData = np.roll(noise, index).tobytes()
        d["PixelData"].VR = "OW"
        d.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)


def slice_by_slice(folder: Path) -> np.ndarray:
    """The usual way: every slice read whole, decoded and rescaled in float64, then stacked."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    slices.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    return np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in slices])


def peak_mb() -> float:
    """Peak memory of this program; VmHWM starts anew with it, ru_maxrss would be handed down by its parent."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def timed(work, repeat: int = 3) -> tuple[float, float, object]:
    """Least wall seconds, least CPU seconds of all threads, and the result."""
    wall, cpu, result = np.inf, np.inf, None
    for _ in range(repeat):
        start, cpu_start = time.perf_counter(), time.process_time()
        result = work()
        wall = min(wall, time.perf_counter() - start)
        cpu = min(cpu, time.process_time() - cpu_start)
    return wall, cpu, result


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder, count)
        ours, ours_cpu, found = timed(lambda: read_series(folder))
        peak = peak_mb()
        index = HeaderIndex()
        cold, _, _ = timed(lambda: index.read(files_below(folder)), 1)
        warm, _, _ = timed(lambda: index.read(files_below(folder)))
        content, _, _ = timed(lambda: fingerprint(files_below(folder)))
        usual, usual_cpu, expected = timed(lambda: slice_by_slice(folder), 2)
    same = np.array_equal(found.volume.data, expected.transpose(2, 1, 0)[::-1, ::-1])
    print(f"{count} slices of 512x512, uncompressed; same voxels: {same}")
    print(f"read_series            {ours:6.2f} s   {ours_cpu:6.2f} CPU-s   peak {peak:.0f} MB")
    print(
        f"slice by slice         {usual:6.2f} s   {usual_cpu:6.2f} CPU-s   ratio {usual_cpu / ours_cpu:.1f}"
    )
    print(f"headers, first time    {cold:6.2f} s")
    print(f"headers, known content {warm:6.2f} s   ratio {cold / warm:.1f}")
    print(f"fingerprint            {content:6.2f} s")


if __name__ == "__main__":
    main()
