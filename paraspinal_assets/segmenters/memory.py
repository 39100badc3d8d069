"""When memory has run out, and what gives it back."""

from __future__ import annotations

import gc
import sys
import traceback
from typing import Final

_RAN_OUT: Final = (
    "DefaultCPUAllocator",  # torch, for the machine's own memory
    "CUDA error: out of memory",  # the driver, for what torch does not allocate itself
    "_ALLOC_FAILED",  # cuBLAS, and cuDNN before 9
    "_ALLOCATION_FAILED",  # cuDNN
)
"""In the texts of the plain RuntimeErrors by which torch says that there is no memory left."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the GPU or off it."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _RAN_OUT)


def free_memory() -> None:
    """Free what nothing refers to any more, networks and their hooks in a circle too, and what torch holds of a GPU."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def let_go(error: BaseException | None) -> None:
    """Clear the frames that an error went through: while it is kept, they would keep networks and the CT."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
