"""A network on a GPU, its kernels recorded once and replayed for every patch.

A patch takes some 150 kernels. Started one by one from Python, beside threads that read other scans, they leave the
GPU waiting for the next one a fifth of the time; a recording is started as one (a CUDA graph).
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

import torch

_log = logging.getLogger(__name__)

_WARM_UP: Final = 2
"""Runs before the recording, in which libraries are loaded and algorithms chosen: neither can be recorded."""

_AHEAD: Final = 4
"""Patches that may wait for the GPU. A volume's patches, all started at once, fill the driver's queue of kernels; then
whoever starts one, or copies an image, waits a third of a second for a place, and every other thread behind them."""


class RecordedNetwork(torch.nn.Module):
    """Stands in for a network whose patches all have one shape; one caller at a time.

    Where the GPU cannot record, or has no memory for it (a recording keeps what its patch needs), kernels are
    started one by one, which gives the same scores.

    Parameters
    ----------
    network
        The network; it is moved to the GPU.
    shape
        Shape ``(1, channels, z, y, x)`` of a patch.
    device
        The GPU.
    """

    def __init__(self, network: torch.nn.Module, shape: tuple[int, ...], device: torch.device) -> None:
        super().__init__()
        self.network = network.to(device).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
                module.half()  # as autocast does for every volume, and would do in every replay
        self._ends: deque[torch.cuda.Event] = deque()
        self._recording: tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor] | None = None
        try:
            self._record(torch.zeros(shape, device=device))
        except RuntimeError as error:
            _log.warning("the kernels of a network are started one by one, which is slower: %s", error)

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """Scores of a patch; the next call overwrites them."""
        if self._recording is None:
            scores: torch.Tensor = self.network(patch)
            return scores
        graph, input_, output = self._recording
        input_.copy_(patch)
        graph.replay()
        self._wait_for_an_earlier_patch(torch.cuda.current_stream(input_.device))
        return output

    def forget(self) -> None:
        """Start kernels one by one from now on, which needs less memory."""
        self._recording = None

    def _wait_for_an_earlier_patch(self, stream: torch.cuda.Stream) -> None:
        end = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # blocking: the thread sleeps
        end.record(stream)
        self._ends.append(end)
        if len(self._ends) > _AHEAD:
            self._ends.popleft().synchronize()

    def _record(self, patch: torch.Tensor) -> None:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(patch.device)  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream(patch.device)
        # Half precision as nnU-Net asks for it. The outermost stream is the present one, to which everything returns
        # in any case: torch leaves the recording's stream in force where a recording cannot be ended.
        with (
            torch.cuda.stream(current),
            torch.inference_mode(),
            torch.autocast(patch.device.type, cache_enabled=False),
        ):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    self.network(patch)
            # Only this thread is recorded: others may use the GPU meanwhile.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                scores = self.network(patch)
        self._recording = (graph, patch, scores)
