"""What a GPU does beside the networks: resampling, and taking in images, on a stream of its own.

nnU-Net's kernels run on torch's default stream, where a copy from ordinary memory would wait for all of them, and
they for it. Here nothing is handed to another stream before it is complete.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paraspinal_assets.segmenters.resampling import Neighbours

_PLANES: Final = 32
"""Planes that are resampled at a time: some 60 MB for a chest CT."""


def copy_to_gpu(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy of an image in the GPU's memory."""
    with torch.cuda.stream(_stream(device)):
        copy = tensor.pin_memory().to(device, non_blocking=True)
        torch.cuda.current_stream(device).synchronize()
    return copy


def zoom_linear(
    data: NDArray[Any], shape: Sequence[int], axes: Sequence[Neighbours], device: torch.device
) -> NDArray[np.int32]:
    """Linear interpolation with the sums of `resampling` in their order, so with its voxels.

    Every product and every sum is a kernel of its own, which rounds as numpy does.

    Parameters
    ----------
    data
        Shape ``(x, y, z)``.
    shape
        Shape of the result.
    axes
        Neighbours of the new places along x, y and z.
    device
        A GPU; any device of torch gives the same voxels.
    """
    with torch.inference_mode(), torch.cuda.stream(_stream(device)):
        result = torch.empty(tuple(shape[::-1]), dtype=torch.int32, device=device)
        x, y = (_pairs(axis, device) for axis in axes[:2])
        z = axes[2]
        for start in range(0, shape[2], _PLANES):
            part = slice(start, start + _PLANES)
            low, high = int(z.below[part][0]), int(z.above[part][-1]) + 1
            planes = torch.from_numpy(np.ascontiguousarray(data.T[low:high])).to(device)
            pairs = _pairs(z, device, part, low)
            total = torch.zeros_like(result[part], dtype=torch.float64)
            for columns, x_weight in x:
                lines = planes.index_select(2, columns).double() * x_weight
                for rows, y_weight in y:
                    corner = lines.index_select(1, rows) * y_weight[:, None]
                    for near, z_weight in pairs:
                        total += corner.index_select(0, near) * z_weight[:, None, None]
            result[part] = total
        voxels: NDArray[np.int32] = result.cpu().numpy()
    return voxels.transpose(2, 1, 0)


def _pairs(
    axis: Neighbours, device: torch.device, part: slice = slice(None), first: int = 0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Indices and weights of the lower and the upper neighbours."""
    both = ((axis.below, axis.weight_below), (axis.above, axis.weight_above))
    return [
        (torch.from_numpy(near[part] - first).to(device), torch.from_numpy(weight[part]).to(device))
        for near, weight in both
    ]


@cache
def _stream(device: torch.device) -> torch.cuda.Stream | None:
    """The stream; without a GPU None, which `torch.cuda.stream` takes for no change."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
