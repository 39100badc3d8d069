"""What measuring one 512x512x400 scan costs, against the published way of working and against inflating the CT.

    python -m benchmarks.measurement [--slices 400] [--skip-original]

Every row runs in a process of its own, best of three: wall and CPU seconds, and the peak memory. On a machine
that is busy with other work, the CPU seconds are the ones to compare.
The re-enactment does what the published steps 3 and 5 do for ten levels, without PyRadiomics: per level one full
load of the CT and of the vertebra, and one full-size float64 mask.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from isal import igzip

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, SPINE, body_label, rest_label
from paraspinal_assets.imaging.measure import measure_scan
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.imaging.volume_io import write_volume

LEVELS = SPINE[7:17]
REPEATS = 3


def make_scan(folder: Path, slices: int) -> None:
    """A noisy trunk with two muscle columns and ten vertebrae, labels, and one mask file per structure."""
    rng = np.random.default_rng(1)
    spacing = (0.7, 0.7, 300 / slices)
    affine = np.diag([*spacing, 1.0])
    x, y = np.meshgrid((np.arange(512) - 256) * 0.7, (np.arange(512) - 256) * 0.7, indexing="ij")
    trunk = (x / 165) ** 2 + (y / 115) ** 2 < 1
    left, right = ((x - side * 27) ** 2 / 20**2 + (y + 62) ** 2 / 17**2 < 1 for side in (-1, 1))
    body = x**2 / 17**2 + (y + 25) ** 2 / 14**2 < 1
    process = (abs(x) < 4) & (y > -75) & (y < -38)
    ct = np.full((512, 512, slices), -1024, np.int16, order="F")
    labels = np.zeros(ct.shape, np.uint8, order="F")
    height = slices // 11
    for z in range(slices):
        ct[..., z][trunk] = rng.normal(-300, 250, trunk.sum())
        for muscle, label in ((left, AUTOCHTHON_LEFT), (right, AUTOCHTHON_RIGHT)):
            ct[..., z][muscle] = rng.normal(35, 30, muscle.sum())
            labels[..., z][muscle] = label
    for n, level in enumerate(LEVELS):
        top = slices - height // 2 - n * height
        for z in range(top - height + 3, top):
            ct[..., z][body] = rng.normal(180, 60, body.sum())
            labels[..., z][body] = body_label(level)
        for z in range(
            max(0, top - height - height // 3), top - height // 2
        ):  # processes hang below their body
            ct[..., z][process] = rng.normal(350, 80, process.sum())
            labels[..., z][process] = rest_label(level)
    write_volume(folder / "ct.nii.gz", Volume(ct, affine))
    write_volume(folder / "plain.nii", Volume(ct, affine))
    write_volume(folder / "labels.nii.gz", Volume(labels, affine))
    masks = {"left": (AUTOCHTHON_LEFT,), "right": (AUTOCHTHON_RIGHT,)}
    masks |= {level: (body_label(level), rest_label(level)) for level in LEVELS}
    for name, values in masks.items():
        mask = np.isin(labels, values).astype(np.uint8)
        write_volume(folder / f"mask_{name}.nii.gz", Volume(mask, affine))


def inflate(folder: Path) -> None:
    with igzip.open(folder / "ct.nii.gz") as file:
        buffer = memoryview(bytearray(1 << 20))
        while file.readinto(buffer):
            pass


def ours(folder: Path, ct: str = "ct.nii.gz", radiomics: bool = False) -> None:
    measure_scan(folder / ct, folder / "labels.nii.gz", LEVELS, radiomics=radiomics, deformity=False)


def ours_plain(folder: Path) -> None:
    ours(folder, "plain.nii")


def ours_with_radiomics(folder: Path) -> None:
    ours(folder, radiomics=True)


def original(folder: Path) -> None:
    """Step 3: both sides added up and saved. Step 5: per level all is loaded again and masked in float64."""
    import nibabel as nib  # here, so that its memory is counted in this process alone

    sides = [nib.load(folder / f"mask_{side}.nii.gz") for side in ("left", "right")]
    combined = sides[0].get_fdata() + sides[1].get_fdata()
    nib.save(nib.Nifti1Image(combined, sides[0].affine), folder / "combined.nii.gz")
    for level in LEVELS:
        scan = nib.load(folder / "ct.nii.gz")
        hu = scan.get_fdata()
        muscle = nib.load(folder / "combined.nii.gz").get_fdata()
        vertebra = nib.load(folder / f"mask_{level}.nii.gz").get_fdata()
        occupied = np.flatnonzero(vertebra.any(axis=(0, 1)))
        mask = np.zeros(hu.shape)
        slab = slice(occupied[0], occupied[-1] + 1)
        mask[:, :, slab] = muscle[:, :, slab]
        values = hu[mask > 0]
        np.median(values), values.size * abs(np.linalg.det(scan.affine[:3, :3]))


def timed(
    job: Callable[[Path], None], folder: Path, repeats: int, answer: multiprocessing.SimpleQueue
) -> None:
    wall, cpu = [], []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        job(folder)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    # VmHWM starts anew with the process; ru_maxrss would be handed down by its parent
    status = Path("/proc/self/status").read_text()
    answer.put((min(wall), min(cpu), int(status.split("VmHWM:")[1].split()[0]) / 1024))


def run(job: Callable[[Path], None], folder: Path, repeats: int = REPEATS) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of a job in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=timed, args=(job, folder, repeats, answer))
    process.start()
    result = answer.get()
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--skip-original", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_scan(folder, options.slices)
        size = (folder / "ct.nii.gz").stat().st_size / 1e6
        print(f"512x512x{options.slices}, CT {size:.0f} MB gzipped, ten levels")
        print(f"{'':40} {'wall s':>8} {'CPU s':>8} {'MB':>6}  times inflate (CPU)")
        jobs: dict[str, tuple[Callable[[Path], None], int]] = {
            "inflate the CT alone (isal)": (inflate, REPEATS),
            "muscle + bone, gzip": (ours, REPEATS),
            "muscle + bone, plain": (ours_plain, REPEATS),
            "muscle + bone + radiomics, gzip": (ours_with_radiomics, REPEATS),
        }
        if not options.skip_original:
            jobs["the published way, without radiomics"] = (original, 1)
        cpu = {}
        for label, (job, repeats) in jobs.items():
            wall, cpu[label], memory = run(job, folder, repeats)
            ratio = cpu[label] / cpu["inflate the CT alone (isal)"]
            print(f"{label:40} {wall:8.2f} {cpu[label]:8.2f} {memory:6.0f}  {ratio:.2f}", flush=True)
        if not options.skip_original:
            slow, fast = cpu["the published way, without radiomics"], cpu["muscle + bone, gzip"]
            print(f"the published way costs {slow / fast:.0f} times as much as muscle + bone from gzip")


if __name__ == "__main__":
    main()
