"""Networks in nnU-Net's own results-folder format: plans, ``dataset.json`` and checkpoint.

The format that nnU-Net 2 writes and TotalSegmentator reads, for networks that are not trained by nnU-Net itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from totalsegmentator.map_to_binary import class_map, class_map_5_parts

from paraspinal_assets.segmenters.weights import NetworkSpec
from paraspinal_assets.study.store import StudyStore

INTENSITIES: Final = {
    "max": 3071.0, "mean": -50.38697721419439, "median": 27.0, "min": -1024.0,
    "percentile_00_5": -1004.0, "percentile_99_5": 1588.0, "std": 503.39235619144,
}  # fmt: skip
"""Normalisation of the published network 297: clip to the percentiles, subtract the mean, divide by the deviation."""

UNUSED_BIAS: Final = -60.0
"""Score of classes that were not trained: never the largest, and far above the -6500 at which nnU-Net's half
precision overflows."""


@dataclass(frozen=True)
class Design:
    """Shape of a network.

    Attributes
    ----------
    features
        Channels per stage of the U-Net; each stage halves the edge.
    patch
        Patch in voxels along z, y, x.
    spacing_mm
        Voxel edge at which it works; nnU-Net resamples from and to the image it is given.
    convolutions
        3x3x3 convolutions per stage, on the way down and up.
    """

    features: tuple[int, ...]
    patch: tuple[int, int, int]
    spacing_mm: float
    convolutions: int = 1


def class_numbers(spec: NetworkSpec) -> dict[str, int]:
    """Class name -> label number that TotalSegmentator expects of a network."""
    if spec.role in ("rough", "total"):
        numbers = class_map["total"]
    elif spec.role == "bodies":
        numbers = class_map[spec.task]
    else:
        numbers = class_map_5_parts[f"class_map_part_{spec.role}"]
    return {name: number for number, name in numbers.items()}


def architecture(design: Design) -> dict[str, Any]:
    """The network as nnU-Net's plans describe it."""
    stages = len(design.features)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(design.features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [design.convolutions] * stages,
            "n_conv_per_stage_decoder": [design.convolutions] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def build_network(design: Design, outputs: int, *, deep_supervision: bool = False) -> Any:
    """The network as a torch module, with nnU-Net's initial weights."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    described = architecture(design)
    return get_network_from_plans(
        described["network_class_name"],
        described["arch_kwargs"],
        described["_kw_requires_import"],
        1,
        outputs,
        allow_init=True,
        deep_supervision=deep_supervision,
    )


def plans(spec: NetworkSpec, design: Design) -> dict[str, Any]:
    """Content of ``plans.json``."""
    resampling: dict[str, Any] = {}
    for kind in ("data", "seg", "probabilities"):
        resampling[f"resampling_fn_{kind}"] = "resample_torch_fornnunet"
        resampling[f"resampling_fn_{kind}_kwargs"] = {"is_seg": kind == "seg", "force_separate_z": False}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(design.patch),
        "median_image_size_in_voxels": [float(n) for n in design.patch],
        "spacing": [design.spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **resampling,
        "batch_dice": False,
        "architecture": architecture(design),
    }
    return {
        "dataset_name": spec.folder,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [design.spacing_mm] * 3,
        "original_median_shape_after_transp": list(design.patch),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITIES},
    }


def spread_heads(state: Mapping[str, Any], rows: Mapping[int, int], outputs: int) -> dict[str, Any]:
    """Give a trained network the outputs that TotalSegmentator expects.

    Parameters
    ----------
    state
        Weights of a network with its own classes; output 0 is background.
    rows
        Trained output -> output wanted, without background.
    outputs
        Outputs wanted, background included; those that no trained output feeds never win.
    """
    import torch

    spread = dict(state)
    for name in [key for key in state if ".seg_layers." in key and key.endswith(".weight")]:
        weight, bias = state[name], state[name.replace(".weight", ".bias")]
        wide = torch.zeros(outputs, *weight.shape[1:])
        shift = torch.full((outputs,), UNUSED_BIAS)
        for trained, wanted in {0: 0, **rows}.items():
            wide[wanted], shift[wanted] = weight[trained], bias[trained]
        spread[name], spread[name.replace(".weight", ".bias")] = wide, shift
    return spread


def gather_heads(state: Mapping[str, Any], rows: Mapping[int, int]) -> dict[str, Any]:
    """The reverse of `spread_heads`: weights to train further; `rows` as there."""
    gathered = dict(state)
    order = [0, *(rows[trained] for trained in sorted(rows))]
    for name in [key for key in state if ".seg_layers." in key]:
        gathered[name] = state[name][order].clone()
    return gathered


def write_network(
    root: Path,
    spec: NetworkSpec,
    design: Design,
    state: Mapping[str, Any],
    labels: Sequence[str],
    *,
    description: str,
) -> Path:
    """Write a network where TotalSegmentator looks for it; weights in half precision.

    Parameters
    ----------
    root
        Weights folder.
    spec, design
        Which network it is for TotalSegmentator, and its shape.
    state
        Weights; as many outputs as labels, and background.
    labels
        Names of outputs 1, 2, ...
    description
        Goes into ``dataset.json``.
    """
    import torch

    folder = root / spec.model_folder
    dataset = {
        "name": spec.folder,
        "description": description,
        "licence": "Apache-2.0",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{name: number for number, name in enumerate(labels, start=1)}},
        "numTraining": 1,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    shared: dict[tuple[int, tuple[int, ...]], Any] = {}
    halves = {}
    for name, value in state.items():  # nnU-Net registers some weights under two names: store them once
        key = (value.data_ptr(), tuple(value.shape))
        halves[name] = shared.setdefault(key, value.detach().half())
    checkpoint = {
        "network_weights": halves,
        "trainer_name": spec.trainer,
        "init_args": {"configuration": "3d_fullres", "fold": 0},
        "inference_allowed_mirroring_axes": None,
    }
    packed = io.BytesIO()  # a file's name would become part of its bytes
    torch.save(checkpoint, packed)
    store = StudyStore(root)
    store.write_bytes(folder / "fold_0" / "checkpoint_final.pth", packed.getvalue())
    for name, content in (("plans.json", plans(spec, design)), ("dataset.json", dataset)):
        store.write_bytes(folder / name, (json.dumps(content, indent=1) + "\n").encode())
    return folder


def read_state(root: Path, spec: NetworkSpec) -> dict[str, Any]:
    """Weights of a network in a results folder, in single precision."""
    import torch

    checkpoint = torch.load(root / spec.files[2], map_location="cpu", weights_only=False)
    return {name: value.float() for name, value in checkpoint["network_weights"].items()}
