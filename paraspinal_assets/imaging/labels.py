"""The label table of a segmentation: muscle sides, and each level as body and rest of the vertebra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from paraspinal_assets.errors import ParaspinalError
from paraspinal_assets.imaging.volume import Volume

Side = Literal["left", "right", "both"]

SPINE: Final[tuple[str, ...]] = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
)
"""Every level that can be named, from head to foot."""

UNION: Final = "union"
"""Name of the rows over all levels together, in which each voxel counts once."""

AUTOCHTHON_LEFT: Final = 1
AUTOCHTHON_RIGHT: Final = 2
_FIRST_VERTEBRA: Final = 10


def check_level(level: str) -> str:
    """The level itself, if it is one of `SPINE`; otherwise an error that lists the choice."""
    if level not in SPINE:
        raise ParaspinalError(
            "E-LEVEL-01", f"unknown vertebral level {level!r}", f"use one of {', '.join(SPINE)}"
        )
    return level


def body_label(level: str) -> int:
    """Label of the vertebral body of a level (T1 is 24)."""
    return _FIRST_VERTEBRA + 2 * SPINE.index(check_level(level))


def rest_label(level: str) -> int:
    """Label of the vertebra outside its body, or of the whole vertebra where bodies are not known (T1 is 25)."""
    return body_label(level) + 1


def vertebra_labels(level: str) -> tuple[int, int]:
    """Labels of a level's body and of the rest of its vertebra."""
    return body_label(level), rest_label(level)


def label_table(levels: Sequence[str]) -> dict[str, int]:
    """Names and values of a label volume, as written into its sidecar."""
    table = {"autochthon_left": AUTOCHTHON_LEFT, "autochthon_right": AUTOCHTHON_RIGHT}
    for level in levels:
        table[f"vertebra_{level}_body"] = body_label(level)
        table[f"vertebra_{level}_rest"] = rest_label(level)
    return table


def shift_levels(labels: Volume, levels: int) -> Volume:
    """Give every vertebra the name that lies `levels` further towards the feet (negative: the head).

    For scans in which a reader found all names shifted. Vertebrae whose new name would lie beyond `SPINE`
    lose their label.
    """
    if levels == 0:
        return labels
    table = np.arange(256, dtype=np.uint8)
    for position, level in enumerate(SPINE):
        target = position + levels
        inside = 0 <= target < len(SPINE)
        for label in (body_label, rest_label):
            table[label(level)] = label(SPINE[target]) if inside else 0
    return replace(labels, data=table[labels.data])
