"""Scans per hour, GPU use and memory of three ways to run TotalSegmentator over a folder of scans.

(a) ``cli``: one process of the command line per scan and task, as cluster scripts do it;
(b) ``loop``: the public call ``totalsegmentator()`` again and again in one process;
(c) ``ours``: `TotalSegmentatorSegmenter`, networks loaded once; its steps overlap, so that their seconds add up to
    more than those per scan.

On a CPU, reduced size, with the phantom network::

    python -m benchmarks.segmentation --scans 20 --fast

On a GPU, full size, random weights in the true architecture (the published ones with ``--weights DIR``)::

    python -m benchmarks.segmentation --scans 500 --others 1 --device gpu \\
        --size 512 512 350 --spacing 0.7 0.7 1 --networks true

Last it prints how well (c) agrees with (b): the lowest Dice coefficient of any class in any scan that both did.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from paraspinal_assets.imaging.volume_io import write_volume
from paraspinal_assets.phantom.anatomy import make_phantom
from paraspinal_assets.phantom.parameters import draw_parameters
from paraspinal_assets.segmenters import package
from paraspinal_assets.segmenters.base import ScanInput, Segmentation
from paraspinal_assets.segmenters.compose import LabelComposer
from paraspinal_assets.segmenters.devices import resolve_device
from paraspinal_assets.segmenters.inference import TOTAL_NUMBERS
from paraspinal_assets.segmenters.results_folder import Design, build_network, class_numbers, write_network
from paraspinal_assets.segmenters.totalsegmentator import TotalSegmentatorSegmenter
from paraspinal_assets.segmenters.weights import PHANTOM_NOTE, PLACEHOLDERS, required_networks, weights_name

LEVELS = tuple(f"T{i}" for i in range(1, 11))
CLASSES = ["autochthon_left", "autochthon_right", *(f"vertebrae_{level}" for level in LEVELS)]
PHANTOM = Path(__file__).parents[1] / "data" / "phantom_network"
SIX_STAGES = (32, 64, 128, 256, 320, 320)
TRUE_DESIGNS = {
    "vertebrae": Design(SIX_STAGES, (128, 128, 128), 1.5, convolutions=2),
    "muscles": Design(SIX_STAGES, (128, 128, 128), 1.5, convolutions=2),
    "bodies": Design(SIX_STAGES, (128, 128, 128), 1.5, convolutions=2),
    "total": Design(SIX_STAGES[:5], (112, 112, 128), 3.0, convolutions=2),
}


def true_architecture(root: Path) -> None:
    """Random weights in the published shapes; the rough network is the trained one, for a realistic crop."""
    for fast in (True, False):
        for spec in required_networks(fast=fast):
            if spec.role == "rough":
                shutil.copytree(PHANTOM / spec.folder, root / spec.folder, dirs_exist_ok=True)
                continue
            names = {number: name for name, number in class_numbers(spec).items()}
            labels = [names[number] for number in range(1, max(names) + 1)]
            design = TRUE_DESIGNS[spec.role]
            state = build_network(design, len(labels) + 1).state_dict()
            write_network(root, spec, design, state, labels, description=PHANTOM_NOTE)
    for dataset in PLACEHOLDERS:
        (root / weights_name(dataset)).mkdir(exist_ok=True)


def make_scans(folder: Path, options: argparse.Namespace) -> None:
    """Phantoms of the size asked for; large ones are one phantom under many names."""
    for index in range(options.scans):
        path = folder / f"scan{index:03d}.nii.gz"
        if index and np.prod(options.size) > 2e7:
            os.link(folder / "scan000.nii.gz", path)
            continue
        rng = np.random.default_rng(index)
        parameters = draw_parameters(rng, shape=tuple(options.size), spacing=tuple(options.spacing))
        write_volume(path, make_phantom(parameters, rng).ct)


def run_cli(scans: list[Path], out: Path, weights: Path, options: argparse.Namespace) -> None:
    start = (
        "from paraspinal_assets.segmenters.package import register_trainers; register_trainers();"
        "from totalsegmentator.bin.TotalSegmentator import main; main()"
    )
    package.private_home(out / "home", weights)
    device = resolve_device(options.device).replace("cuda", "gpu")
    for scan in scans:
        common = [sys.executable, "-c", start, "-i", str(scan), "-d", device, "-q"]
        extra = ["--fast"] if options.fast else []
        command = [*common, "-o", str(out / scan.name[:7]), *extra, "--roi_subset", *CLASSES]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if options.bodies:
            command = [*common, "-o", str(out / f"{scan.name[:7]}-bodies"), "-ta", "vertebrae_body"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run_loop(scans: list[Path], out: Path, weights: Path, options: argparse.Namespace) -> None:
    package.private_home(out / "home", weights)
    call = {"device": resolve_device(options.device), "weights": weights}
    for scan in scans:
        image = nib.load(scan)
        total = package.public_call(image, task="total", fast=options.fast, roi_subset=CLASSES, **call)
        composer = LabelComposer(total.shape)
        composer.add_values(total, {name: TOTAL_NUMBERS[name] for name in CLASSES})
        if options.bodies:
            composer.add_bodies(package.public_call(image, task="vertebrae_body", **call) == 1)
        nib.save(nib.Nifti1Image(composer.labels, image.affine), out / scan.name)


def run_ours(
    scans: list[Path], out: Path, weights: Path, options: argparse.Namespace
) -> dict[str, float | None]:
    split: dict[str, float | None] = {}
    segmenter = TotalSegmentatorSegmenter(
        LEVELS,
        weights,
        out / "home",
        device=options.device,
        fast=options.fast,
        bodies=options.bodies,
        body_crop_mm=options.body_crop,
        synthetic_allowed=True,
    )
    for item in segmenter.segment([ScanInput(scan.name[:7], scan) for scan in scans]):
        if not isinstance(item, Segmentation):
            raise item.error
        for step, seconds in item.performance.items():
            if step.endswith("_s"):
                split[step] = (split.get(step) or 0.0) + float(str(seconds)) / len(scans)
        start = time.perf_counter()
        split.setdefault("first_after_s", start)
        write_volume(out / f"{item.key}.nii.gz", item.labels)
        split["writing_s"] = (split.get("writing_s") or 0.0) + (time.perf_counter() - start) / len(scans)
    return split


WAYS = {"cli": run_cli, "loop": run_loop, "ours": run_ours}


class GpuWatch(threading.Thread):
    """Utilisation of the GPU with its time, sampled twice a second; nothing where there is no nvidia-smi."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self.stop = threading.Event()

    def mean(self, *, since: float = 0.0) -> float | None:
        used = [percent for when, percent in self.samples if when >= since]
        return float(np.mean(used)) if used else None

    def run(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while shutil.which("nvidia-smi") and not self.stop.wait(0.5):
            answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
            self.samples += [(time.perf_counter(), float(answer[0]))] if answer else []


def lowest_dice(folder: Path) -> float | None:
    """Of any class in any scan, between (b) and (c); a class that both find nowhere counts as 1."""
    lowest = []
    for path in (folder / "loop").glob("scan*.nii.gz"):
        a, b = (np.asarray(nib.load(p).dataobj) for p in (path, folder / "ours" / path.name))
        counts = [np.bincount(x.ravel(), minlength=256) for x in (a, b, a[a == b])]
        both = counts[0] + counts[1] > 0
        lowest.append(np.min(2 * counts[2][both] / (counts[0] + counts[1])[both]))
    return float(min(lowest)) if lowest else None


def measure(way: str, folder: Path, weights: Path, options: argparse.Namespace) -> dict[str, float | None]:
    """Run one way in this process."""
    scans = sorted(folder.glob("scan*.nii.gz"))[: options.scans]
    if way != "ours" and options.others:
        scans = scans[: options.others]
    out = folder / way
    out.mkdir()
    watch = GpuWatch()
    watch.start()
    start = time.perf_counter()
    split = WAYS[way](scans, out, weights, options) or {}
    seconds = time.perf_counter() - start
    watch.stop.set()
    first = split.pop("first_after_s", start)
    if way == "ours" and len(scans) > 1:
        split["first_after_s"] = first - start
        split["scans_per_hour_after_first"] = 3600 * (len(scans) - 1) / (start + seconds - first)
        split["gpu_percent_after_first"] = watch.mean(since=first)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "scans": len(scans),
        "seconds_per_scan": seconds / len(scans),
        "cpu_seconds_per_scan": sum(u.ru_utime + u.ru_stime for u in usage) / len(scans),
        "scans_per_hour": 3600 * len(scans) / seconds,
        "peak_gb": max(u.ru_maxrss for u in usage) / 1e6,
        "gpu_percent": watch.mean(),
        **split,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--others", type=int, default=0, help="fewer scans for the ways (a) and (b)")
    parser.add_argument("--size", type=int, nargs=3, default=(128, 128, 110))
    parser.add_argument("--spacing", type=float, nargs=3, default=(3.0, 3.0, 3.0))
    parser.add_argument("--networks", choices=["phantom", "true"], default="phantom")
    parser.add_argument("--weights", type=Path, help="a weights folder, in place of --networks")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fast", action="store_true", help="the 3 mm network")
    parser.add_argument("--no-bodies", dest="bodies", action="store_false")
    parser.add_argument(
        "--body-crop", type=float, help="look for bodies around the vertebrae only, margin in mm"
    )
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--in-folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if (
        not sys.flags.safe_path
    ):  # a benchmark beside this one is called statistics.py, as a standard module is
        os.execv(sys.executable, [sys.executable, "-P", *sys.argv])
    if options.in_folder:
        weights = options.weights or PHANTOM
        print(json.dumps(measure(options.ways[0], options.in_folder, weights, options)))
        return
    with tempfile.TemporaryDirectory() as work:
        folder, weights = Path(work), options.weights or PHANTOM
        if options.networks == "true" and not options.weights:
            weights = folder / "weights"
            true_architecture(weights)
        make_scans(folder, options)
        results = {}
        for way in options.ways:
            again = [
                sys.executable,
                "-P",
                __file__,
                *sys.argv[1:],
                "--in-folder",
                work,
                "--weights",
                str(weights),
            ]
            done = subprocess.run([*again, "--ways", way], check=True, stdout=subprocess.PIPE, text=True)
            results[way] = json.loads(done.stdout.splitlines()[-1])
            print(
                way, {k: round(v, 2) if v is not None else None for k, v in results[way].items()}, flush=True
            )
        agreement = lowest_dice(folder) if {"loop", "ours"} <= results.keys() else None
    for way in results.keys() - {"ours"} if "ours" in results else ():
        ratio = results["ours"]["scans_per_hour"] / results[way]["scans_per_hour"]
        cpu = results[way]["cpu_seconds_per_scan"] / results["ours"]["cpu_seconds_per_scan"]
        print(
            f"ours against {way}: {ratio:.1f} times the scans per hour, {cpu:.1f} times less CPU time per scan"
        )
    if agreement is not None:
        print(f"ours against loop: lowest Dice coefficient of any class {agreement:.6f}")


if __name__ == "__main__":
    main()
