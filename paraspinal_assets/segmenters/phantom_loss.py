"""What the phantom network is trained to make small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_SUPERVISION: Final = (1.0, 0.5, 0.25)
"""Share of each resolution, the finest first."""


def supervised_loss(scores: Sequence[Any], truth: Any, outputs: int, background: float) -> Any:
    """Cross entropy and Dice at the network's finest three resolutions, as one torch scalar.

    Parameters
    ----------
    scores
        Tensors of shape ``(1, outputs, z, y, x)``, each of half the size of the one before.
    truth
        Tensor of shape ``(1, z, y, x)``, int64.
    outputs
        Number of classes, background included.
    background
        Weight of a background voxel in the cross entropy, relative to any other.
    """
    import torch
    from torch.nn import functional

    weights = torch.ones(outputs)
    weights[0] = background
    total: Any = 0
    for level, share in enumerate(_SUPERVISION):
        every = 2**level
        target = truth[:, ::every, ::every, ::every].contiguous()
        score = scores[level].float()
        total = total + share * (
            functional.cross_entropy(score, target, weights) + _dice_loss(score, target, outputs)
        )
    return total


def back_to_scan(scores: Any) -> Any:
    """Scores at a scan's own 3 mm, where its labels are decided after the way through 1.5 mm.

    nnU-Net brings scores to 1.5 mm linearly, TotalSegmentator brings the labels back by the nearest voxel, corner
    voxels aligned: from each voxel's pair the outer half along every axis is kept, a quarter of which is the next
    voxel's score. A network that is not trained for it finds muscles too small, because scores of background
    outweigh theirs.

    Parameters
    ----------
    scores
        Tensor of shape ``(1, outputs, z, y, x)``.
    """
    import torch

    for axis in (2, 3, 4):
        size = scores.shape[axis]
        here = torch.arange(size)
        outward = (here + torch.where(2 * here < size - 1, -1, 1)).clamp(0, size - 1)
        scores = 0.75 * scores + 0.25 * scores.index_select(axis, outward)
    return scores


def _dice_loss(score: Any, target: Any, outputs: int) -> Any:
    """1 - mean soft Dice over the classes that the patch holds, background left out."""
    import torch

    chance = torch.softmax(score, 1)
    flat = target.flatten()
    right = chance.gather(1, target[:, None]).flatten()
    common = torch.zeros(outputs).index_add(0, flat, right)
    counts = torch.bincount(flat, minlength=outputs).float()
    sums = chance.sum((0, 2, 3, 4)) + counts
    present = counts > 0
    present[0] = False
    if not bool(present.any()):
        return chance[:, 1:].mean()
    return 1 - ((2 * common + 1) / (sums + 1))[present].mean()
