"""The one place that touches the inside of the TotalSegmentator and nnU-Net packages.

Neither has a public entry that keeps networks loaded from scan to scan. With the versions for which this was
tried (`TESTED`), networks are loaded once and run through nnU-Net's predictor; with any other version the
public ``totalsegmentator()`` call is used for every scan, slower but as its authors intend.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraspinal_assets.errors import SegmentationError
from paraspinal_assets.segmenters.weights import PLACEHOLDERS, NetworkSpec, weights_name

_log = logging.getLogger(__name__)

TESTED: Final = {"TotalSegmentator": ("2.18.",), "nnunetv2": ("2.8.",)}
"""Version prefixes for which reusing networks was shown to give the voxels of the public call."""

_CONFIG: Final = {
    "totalseg_id": "totalseg_OFFLINE0",
    "send_usage_stats": False,
    "prediction_counter": 0,
    "statistics_disclaimer_shown": True,
}


def package_versions() -> dict[str, str]:
    """Installed versions of the two packages; ``absent`` where one is not installed."""
    found = {}
    for name in TESTED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def can_reuse_networks() -> bool:
    """Whether the installed versions are among those tested for reuse."""
    versions = package_versions()
    return all(versions[name].startswith(prefixes) for name, prefixes in TESTED.items())


def private_home(home_dir: Path, weights: Path) -> None:
    """Make a TotalSegmentator home for this worker alone, and switch usage statistics off in it.

    The package rewrites ``config.json`` on every run without a lock, so that workers with one home damage it.
    nnU-Net reads its folders when it is imported: call this before.
    """
    home_dir.mkdir(parents=True, exist_ok=True)
    temporary = home_dir / f"config.json.{os.getpid()}"
    temporary.write_text(json.dumps(_CONFIG))
    temporary.replace(home_dir / "config.json")
    os.environ["TOTALSEG_HOME_DIR"] = str(home_dir)
    os.environ["TOTALSEG_WEIGHTS_PATH"] = str(weights)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[name] = str(weights)


def import_networks() -> None:
    """Import what networks need: ten seconds, in which a GPU need not be held, and longer beside other threads."""
    try:
        register_trainers()
    except Exception as error:  # noqa: BLE001 - it comes again when a network is loaded, and belongs to a scan there
        _log.warning("cannot import nnU-Net: %s", error)


def register_trainers() -> None:
    """Tell nnU-Net its trainer classes, so that it does not search for them.

    The search imports every trainer, and with them torchvision, which fails where its build does not match
    that of torch ("operator torchvision::nms does not exist").
    """
    import totalsegmentator.nnunet as package
    from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDAOrd0 import (
        nnUNetTrainer_DASegOrd0,
    )
    from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
        nnUNetTrainerNoMirroring,
    )
    from nnunetv2.training.nnUNetTrainer.variants.training_length.nnUNetTrainer_Xepochs_NoMirroring import (
        nnUNetTrainer_4000epochs_NoMirroring,
    )

    for trainer in (nnUNetTrainer_4000epochs_NoMirroring, nnUNetTrainerNoMirroring, nnUNetTrainer_DASegOrd0):
        package.custom_trainers[trainer.__name__] = trainer


@dataclass
class Network:
    """A network in memory, ready for any number of volumes, one at a time: nnU-Net's predictors are made so."""

    spec: NetworkSpec
    predictor: Any
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, image: NDArray[Any], edges: Iterable[float]) -> NDArray[np.uint8]:
        """Segment a volume.

        Parameters
        ----------
        image
            HU, shape ``(x, y, z)``, RAS+, at about ``spec.spacing_mm``.
        edges
            Its voxel edges in mm along x, y, z.

        Returns
        -------
        The network's own label numbers, same shape.
        """
        import torch

        from paraspinal_assets.segmenters.gpu import copy_to_gpu

        p = self.predictor
        plans, configuration = p.plans_manager, p.configuration_manager
        preprocessor = configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case_npy(
            image.transpose(2, 1, 0)[None],
            None,
            {"spacing": [float(edge) for edge in edges][::-1]},
            plans,
            configuration,
            p.dataset_json,
        )
        shape = tuple(properties["shape_after_cropping_and_before_resampling"])
        labels = np.zeros(properties["shape_before_cropping"], dtype=np.uint8)
        box = tuple(slice(low, high) for low, high in properties["bbox_used_for_cropping"])
        tensor = torch.from_numpy(data)
        if p.perform_everything_on_device:
            tensor = copy_to_gpu(tensor, p.device)
        with self._turn:
            scores = p.predict_sliding_window_return_logits(tensor)
            if scores.shape[1:] != shape:
                scores = configuration.resampling_fn_probabilities(
                    scores.cpu(), shape, configuration.spacing, properties["spacing"]
                )
            labels[box] = _first_maximum(torch.as_tensor(scores))
        return labels.transpose(plans.transpose_backward).transpose(2, 1, 0)

    def before_each_patch(self, hook: Callable[[], None]) -> Any:
        """Call `hook` before every patch; what it raises ends the volume. The handle has ``remove()``."""
        return self.predictor.network.register_forward_pre_hook(lambda *_: hook())

    def save_memory(self) -> None:
        """Collect the patches' results outside of the GPU from now on, and give back what it holds in reserve."""
        import torch

        self.predictor.perform_everything_on_device = False
        if self.predictor.device.type == "cuda":
            self.predictor.network.forget()
            torch.cuda.empty_cache()


def _first_maximum(logits: Any) -> NDArray[np.uint8]:
    """Index of the largest of the channels, the first one of equals: nnU-Net's argmax, three times as fast.

    Parameters
    ----------
    logits
        Tensor of shape ``(channels, z, y, x)``, fewer than 256 channels.
    """
    import torch

    best = logits[0].float()
    labels = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for channel in range(1, logits.shape[0]):
        values = logits[channel].float()
        labels.masked_fill_(values > best, channel)
        torch.maximum(best, values, out=best)
    found: NDArray[np.uint8] = labels.cpu().numpy()
    return found


def load_network(weights: Path, spec: NetworkSpec, device: str) -> Network:
    """Load a network from nnU-Net's results folder onto ``cpu`` or ``cuda:N``."""
    import torch
    from nnunetv2.configuration import default_num_processes
    from nnunetv2.inference import predict_from_raw_data as nnunet

    from paraspinal_assets.segmenters.predictor import Predictor

    # nnU-Net gives the GPU's free memory back three times a volume, and each time waits for all kernels. torch
    # does so by itself when it needs the memory.
    nnunet.empty_cache = lambda device: None
    register_trainers()
    # As nnU-Net does for every volume: sums in another number of threads are rounded otherwise.
    torch.set_num_threads(min(torch.get_num_threads(), default_num_processes))
    on = torch.device(device)
    with contextlib.redirect_stdout(io.StringIO()):  # on a CPU the constructor always announces just that
        predictor = Predictor(
            tile_step_size=spec.step,
            use_gaussian=True,
            use_mirroring=False,
            perform_everything_on_device=on.type == "cuda",
            device=on,
            verbose=False,
            verbose_preprocessing=False,
            allow_tqdm=False,
        )
    predictor.initialize_from_trained_model_folder(
        str(weights / spec.model_folder), use_folds=[0], checkpoint_name="checkpoint_final.pth"
    )
    # nnU-Net lets the fastest algorithm of the moment win, and voxels vary from run to run.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    predictor.list_of_parameters = []  # a second copy: the network has its only fold's
    if on.type == "cuda":
        from paraspinal_assets.segmenters.recorded import RecordedNetwork

        patch = (1, 1, *predictor.configuration_manager.patch_size)  # of one channel, the CT
        predictor.network = RecordedNetwork(predictor.network, patch, on)
    return Network(spec, predictor)


def public_call(image: Any, *, task: str, device: str, weights: Path, **options: Any) -> NDArray[np.uint8]:
    """TotalSegmentator's own entry, never downloading: label numbers of the task, shape of the image.

    Parameters
    ----------
    image
        nibabel image.
    task
        ``total`` or ``vertebrae_body``.
    device
        ``cpu``, ``cuda`` or ``cuda:1``.
    weights
        Weights folder.
    options
        Further options of the call.
    """
    import totalsegmentator.python_api as api

    register_trainers()
    for dataset in PLACEHOLDERS:
        (weights / weights_name(dataset)).mkdir(parents=True, exist_ok=True)

    def refuse(task_id: int) -> None:
        if not (weights / weights_name(task_id)).is_dir():
            raise SegmentationError(
                "E-SEG-01",
                f"{weights_name(task_id)} is not in {weights}",
                "run `paraspinal weights --fetch STUDY`",
            )

    api.download_pretrained_weights = refuse
    result = api.totalsegmentator(
        image,
        None,
        ml=True,
        task=task,
        device=device.replace("cuda", "gpu"),
        quiet=True,
        nr_thr_saving=1,
        nr_thr_resamp=1,
        **options,
    )
    labels: NDArray[np.uint8] = np.asanyarray(result.dataobj).astype(np.uint8, copy=False)
    return labels
