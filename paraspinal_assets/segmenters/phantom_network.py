"""Training of the phantom network: tiny networks that know synthetic CTs and nothing else.

What makes so small a network work: one tall patch covers the whole crop, because only the place along the
spine tells which vertebra is which; all vertebrae are classes, so that neighbours compete; background counts
little at first; the intermediate resolutions are supervised too. A network that has learnt so finds too much:
before the last steps its background is put right by the weight that it had, and then every voxel counts the same.
What works at 1.5 mm works at 3 mm inside, and is trained on what the way there and back makes of image and scores.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.imaging.volume import Volume
from paraspinal_assets.segmenters.phantom_loss import back_to_scan, supervised_loss
from paraspinal_assets.segmenters.phantom_patches import CLASSES, TrainingScan, draw_patch
from paraspinal_assets.segmenters.results_folder import (
    Design,
    build_network,
    class_numbers,
    gather_heads,
    read_state,
    spread_heads,
    write_network,
)
from paraspinal_assets.segmenters.weights import (
    PHANTOM_NOTE,
    PLACEHOLDERS,
    NetworkSpec,
    Role,
    is_phantom,
    required_networks,
    weights_name,
)

MakePhantom = Callable[[np.random.Generator], tuple[Volume, Volume]]
"""Draws a CT in HU and its labels (values of `imaging.labels`), both RAS+ on one grid."""

_FEATURES: Final = (16, 24, 32, 48, 64)
_LEARNING_RATE: Final = 4e-3
_BACKGROUND_WEIGHT: Final = 0.08
"""Weight of a background voxel while a network learns what is where."""
THREADS: Final = 1
"""Threads of the training, also on a machine with more cores."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Course:
    """One network's training.

    Attributes
    ----------
    roles
        Networks of TotalSegmentator that it becomes.
    design
        Its shape when it is used.
    patch
        Patch in training, along z, y, x.
    iterations
        Steps of one patch each.
    follows
        Role of the network whose weights it starts from.
    balanced
        Share of the steps, the last ones, in which a background voxel counts as much as any other. 0 for the
        rough network, whose box should rather be too large.
    """

    roles: tuple[Role, ...]
    design: Design
    patch: tuple[int, int, int]
    iterations: int
    follows: Role | None = None
    balanced: float = 0.25


COURSES: Final = (
    Course(("rough",), Design(_FEATURES, (64, 48, 48), 6.0), (64, 48, 48), 1000, balanced=0.0),
    Course(("total",), Design(_FEATURES, (128, 64, 48), 3.0), (128, 64, 48), 850, follows="rough"),
    Course(
        ("vertebrae", "muscles"),
        Design(_FEATURES, (128, 64, 48), 3.0),
        (128, 64, 48),
        40,
        follows="total",
        balanced=1.0,
    ),
    Course(("bodies",), Design((12, 16, 24, 32), (112, 96, 128), 3.0), (64, 64, 64), 450),
)
"""Roughly 3,000 seconds of one core with AVX2 together, reckoned from single steps."""


def train_phantom_network(
    make_phantom: MakePhantom,
    root: Path,
    *,
    seed: int = 2024,
    phantoms: int = 64,
    effort: float = 1.0,
    start_from: Path | None = None,
    only: Sequence[Role] = ("rough", "total", "vertebrae", "bodies"),
    progress: Callable[[str], None] = _log.info,
) -> None:
    """Train the phantom network and write it into a weights folder.

    Parameters
    ----------
    make_phantom
        Source of training scans; drawn with generators seeded from `seed`.
    root
        Weights folder; networks in it are replaced.
    seed
        Seed of scans, patches and initial weights.
    phantoms
        Number of scans to draw.
    effort
        Factor on the number of iterations: 0.01 for a trial, 1 for the network that is shipped.
    start_from
        Weights folder with phantom networks to train further, in balanced steps alone; None starts from
        nothing. The network of vertebrae and muscles starts from that of 3 mm in any case.
    only
        Networks to train, by the first role of their course.
    progress
        Called with a line of text now and then.

    The same seed, options, versions of torch and nnU-Net and kind of processor give the same bytes, whatever
    the number of cores: it always trains in `THREADS` threads, because the order of a sum decides its last bit.

    Raises
    ------
    SegmentationError
        E-SEG-05 where `root` holds published networks, which are never replaced.
    """
    import torch

    _refuse_published(root)
    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    scans = [TrainingScan(*make_phantom(np.random.default_rng([seed, index]))) for index in range(phantoms)]
    specs = {spec.role: spec for fast in (True, False) for spec in required_networks(fast=fast)}
    trained: dict[Role, dict[str, Any]] = {}
    for number, course in enumerate(COURSES):
        role = course.roles[0]
        if role not in only:
            continue
        state = _first_state(course, trained, start_from, specs)
        balanced = course.balanced if start_from is None else float(course.balanced > 0)
        rng = np.random.default_rng([seed, 10_000 + number])
        steps = max(2, round(course.iterations * effort))
        trained[role] = _train(course, scans, steps, rng, state, balanced=balanced, progress=progress)
        for target in course.roles:
            _write(root, specs[target], course, trained[role])
    for dataset in PLACEHOLDERS:
        (root / weights_name(dataset)).mkdir(parents=True, exist_ok=True)


def _first_state(
    course: Course,
    trained: Mapping[Role, dict[str, Any]],
    start_from: Path | None,
    specs: Mapping[Role, NetworkSpec],
) -> dict[str, Any] | None:
    """Weights that a training starts from; None for random ones."""
    follows, adapts = course.follows, course.follows == "total"
    if follows is not None and follows in trained and (adapts or start_from is None):
        return trained[follows]
    if start_from is None:
        return None
    spec = specs["total" if adapts else course.roles[0]]
    return gather_heads(read_state(start_from, spec), _rows(spec))


def _refuse_published(root: Path) -> None:
    for dataset_json in sorted(root.glob("Dataset*/*/dataset.json")):
        if not is_phantom(dataset_json):
            raise SegmentationError(
                "E-SEG-05",
                f"{dataset_json.parent} is not a phantom network, and training would replace its folder",
                "choose a new folder, apart from the published weights",
            )


def _rows(spec: NetworkSpec) -> dict[int, int]:
    """Trained output -> TotalSegmentator's output; classes it does not have compete in outputs beyond its own.

    Outputs beyond the known ones count as background for TotalSegmentator.
    """
    numbers = class_numbers(spec)
    if spec.role == "bodies":
        return {1: numbers["vertebrae_body"]}
    known = {output: numbers[name] for output, name in enumerate(CLASSES, start=1) if name in numbers}
    if spec.role in ("rough", "total"):
        return known
    beyond = len(numbers) + 1
    others = [output for output in range(1, len(CLASSES) + 1) if output not in known]
    return known | {output: beyond + index for index, output in enumerate(others)}


def _write(root: Path, spec: NetworkSpec, course: Course, state: dict[str, Any]) -> None:
    rows = _rows(spec)
    highest = max(max(rows.values()), 2 if spec.role == "bodies" else 0)
    names = {number: name for name, number in class_numbers(spec).items()}
    labels = [names.get(number, f"other_{number}") for number in range(1, highest + 1)]
    wide = spread_heads(state, rows, highest + 1)
    write_network(root, spec, course.design, wide, labels, description=PHANTOM_NOTE)


def _train(
    course: Course,
    scans: Sequence[TrainingScan],
    steps: int,
    rng: np.random.Generator,
    state: dict[str, Any] | None,
    *,
    balanced: float,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Train one network; returns its weights with the trained outputs."""
    import torch

    role = course.roles[0]
    outputs = 2 if role == "bodies" else len(CLASSES) + 1
    network = build_network(course.design, outputs, deep_supervision=True).train()
    if state is not None:
        network.load_state_dict(state)
    network.to(memory_format=torch.channels_last_3d)  # twice as fast on a CPU
    rate = _LEARNING_RATE / (1 if state is None else 2 if balanced < 1 else 4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
    start, switch = time.perf_counter(), steps - round(balanced * steps)
    half = "AVX512" in torch.backends.cpu.get_cpu_capability()  # 200 times slower where it is emulated
    for step in range(steps):
        if step == switch and step > 0:
            _weigh_background(network)
        image, truth = draw_patch(scans[int(rng.integers(len(scans)))], role, course.patch, rng)
        background = _BACKGROUND_WEIGHT if step < switch else 1.0
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            scores = network(torch.from_numpy(image)[None, None].to(memory_format=torch.channels_last_3d))
        if role == "vertebrae":
            scores = [back_to_scan(scores[0]), *scores[1:]]
        loss = supervised_loss(scores, torch.from_numpy(truth.astype(np.int64))[None], outputs, background)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0 or step == steps - 1:
            took = time.perf_counter() - start
            progress(f"{role}: step {step + 1} of {steps}, loss {float(loss.detach()):.3f}, {took:.0f} s")
    weights: dict[str, Any] = network.to(memory_format=torch.contiguous_format).state_dict()
    return weights


def _weigh_background(network: Any) -> None:
    """Undo the weight of background: by Bayes' rule the odds of every other class are 1 / weight too high."""
    import torch

    with torch.no_grad():
        for layer in network.decoder.seg_layers:
            layer.bias[0] -= float(np.log(_BACKGROUND_WEIGHT))
