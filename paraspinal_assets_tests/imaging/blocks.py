"""A spine of boxes: T1-T10 with spinous processes, muscle left and right, fat and air, all known."""

import numpy as np

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT, body_label, rest_label
from paraspinal_assets.imaging.volume import Volume

LEVELS = tuple(f"T{i}" for i in range(1, 11))
SPACING = (2.0, 2.0, 3.0)
SHAPE = (80, 80, 100)


def block_spine(levels=LEVELS, *, bodies=True, pitch=8):
    """CT and labels; RAS+ with x to the patient's right, so left muscle has the lower x."""
    ct = np.full(SHAPE, -1000, np.int16)
    ct[8:72, 8:72] = -90
    ct[10:70, 10:70] = 45
    ct[14:30, 40:66, 10:90] = -850
    ct[50:66, 40:66, 10:90] = -850
    labels = np.zeros(SHAPE, np.uint8)
    labels[26:36, 16:28, 5:95] = AUTOCHTHON_LEFT
    labels[44:54, 16:28, 5:95] = AUTOCHTHON_RIGHT
    for place, level in enumerate(levels):
        top = 92 - place * pitch
        labels[34:46, 34:46, top - 6 : top] = body_label(level) if bodies else rest_label(level)
        labels[39:41, 20:34, top - 5 : top - 2] = rest_label(level)
    ct[labels >= 10] = 220
    affine = np.diag([*SPACING, 1.0])
    return Volume(ct, affine), Volume(labels, affine)
