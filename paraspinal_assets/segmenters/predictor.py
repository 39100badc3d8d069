"""nnU-Net's predictor, without the thread that it leaves behind when a volume is given up, and sooner ready.

A thread cuts the volume into patches and waits while two of them wait for the network. Where the network fails,
nobody takes them any more: the thread waits for ever and keeps the volume, on a GPU in its memory. Where the thread
itself fails, the network waits for ever.

A network is made with random weights, which takes a second, and then given those of its file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, Queue
from typing import Any

import torch
from nnunetv2.inference import predict_from_raw_data as nnunet
from torch.overrides import TorchFunctionMode

_this_thread = threading.local()


class _GivenUp(BaseException):
    """Ends the thread of a volume that is given up."""


class _PatchThread(threading.Thread):
    """The thread; it stands between nnU-Net's function and its queue."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> None:
        super().__init__(daemon=daemon)
        *volume, queue = args
        self._cut: Callable[[], None] | None = lambda: target(*volume, self)
        self._queue: Queue[Any] = queue
        self._given_up = False

    def start(self) -> None:
        _this_thread.patches = self
        super().start()

    def run(self) -> None:
        try:
            if self._cut is not None:
                self._cut()
        except _GivenUp:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where the patch is awaited
            self._queue.put((error, None))
        finally:
            self._cut = None

    def put(self, item: object) -> None:
        """Called by nnU-Net's function for each patch."""
        if self._given_up:
            raise _GivenUp
        self._queue.put(item)

    def give_up(self) -> None:
        """End the thread, and free its patches."""
        self._given_up = True
        self._empty()  # a patch that waits for its place goes in, and is the last one
        self.join()
        self._empty()

    def _empty(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass


class _NothingDrawn(TorchFunctionMode):
    """Leaves the weights of networks that this thread makes as they come; those of a file replace all of them."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return (kwargs or {})["tensor"]
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


class Predictor(nnunet.nnUNetPredictor):  # type: ignore[misc]
    """nnU-Net's predictor; see the module."""

    def initialize_from_trained_model_folder(self, *folder: Any, **choice: Any) -> None:
        with _NothingDrawn():
            super().initialize_from_trained_model_folder(*folder, **choice)

    def _internal_predict_sliding_window_return_logits(self, *volume: Any) -> Any:
        _this_thread.patches = None
        try:
            return super()._internal_predict_sliding_window_return_logits(*volume)
        except BaseException:
            if _this_thread.patches is not None:
                _this_thread.patches.give_up()
            raise
        finally:
            _this_thread.patches = None

    def _internal_maybe_mirror_and_predict(self, patch: Any) -> Any:
        if isinstance(patch, BaseException):
            raise patch
        return super()._internal_maybe_mirror_and_predict(patch)


nnunet.Thread = _PatchThread
