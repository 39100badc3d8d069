"""The page that a quality picture is drawn on: greys with text, and a layer of lines kept apart until the end."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from paraspinal_assets.imaging.labels import AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT
from paraspinal_assets.report.qc_planes import Plane

WINDOW_HU: Final = (-150.0, 250.0)
"""Soft-tissue window: black and white ends of the grey scale."""
CANVAS: Final = (1000, 680)
"""Width and height of the picture in pixels."""
MAX_BYTES: Final = 150_000
"""A picture that comes out larger is written again with fewer greys."""
GREYS: Final = (64, 32, 16, 8)
"""Grey steps tried in turn; noise is what makes a CT slice large, and it is not what the picture is for."""

# Okabe-Ito colours, told apart under every common colour blindness; in grey the line style tells them apart.
LEFT_COLOUR: Final = (230, 159, 0)
RIGHT_COLOUR: Final = (86, 180, 233)
BONE_COLOUR: Final = (240, 228, 66)
HALO: Final = (0, 0, 0)

_LEFT_INK, _RIGHT_INK, _BONE_INK, _HALO_INK = range(252, 256)
_INKS: Final = {_LEFT_INK: LEFT_COLOUR, _RIGHT_INK: RIGHT_COLOUR, _BONE_INK: BONE_COLOUR, _HALO_INK: HALO}


@dataclass
class Canvas:
    """A grey page with text on it, and a second layer of coloured lines kept apart until the end."""

    page: Image.Image
    ink: NDArray[np.uint8]

    @classmethod
    def blank(cls) -> Canvas:
        """A black page of size `CANVAS`."""
        return cls(Image.new("L", CANVAS, 0), np.zeros((CANVAS[1], CANVAS[0]), np.uint8))

    def text(self, at: tuple[float, float], text: str, size: int = 14, anchor: str = "la") -> None:
        """White text with a black rim; `anchor` as Pillow's."""
        ImageDraw.Draw(self.page).text(
            at, text, fill=255, font=_font(size), anchor=anchor, stroke_width=2, stroke_fill=0
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], width: int = 2) -> None:
        """A white line."""
        ImageDraw.Draw(self.page).line([start, end], fill=255, width=width)

    def paste(self, plane: Plane, at: tuple[int, int], size: tuple[int, int]) -> None:
        """Window, scale and place a slice, and draw the outlines of its labels at the resolution of the page."""
        low, high = WINDOW_HU
        grey = np.clip((plane.grey.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
        self.page.paste(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR), at)
        enlarged = Image.fromarray(np.ascontiguousarray(plane.labels.astype(np.uint8)))
        shown = np.asarray(enlarged.resize(size, Image.Resampling.NEAREST))
        left, top = at
        layer = self.ink[top : top + size[1], left : left + size[0]]
        edge = _edge(shown)
        muscle = (shown == AUTOCHTHON_LEFT) | (shown == AUTOCHTHON_RIGHT)
        layer[_grow(edge) & (shown == 0)] = _HALO_INK
        line = edge | (_grow(edge & muscle) & muscle)
        layer[line] = _line_ink(shown, at)[line]

    def sample(self, at: tuple[int, int], label: int) -> None:
        """A short piece of the line in which a label is outlined, for the legend."""
        left, top = at
        self.ink[top : top + 2, left : left + 34] = _line_ink(np.full((2, 34), label, np.uint8), at)

    def png(self) -> bytes:
        """The page as an indexed PNG of at most `MAX_BYTES`, with as many greys as fit."""
        grey = np.asarray(self.page)
        encoded = b""
        for steps in GREYS:
            indexed = (grey.astype(np.uint16) * steps // 256).astype(np.uint8)
            indexed[self.ink > 0] = self.ink[self.ink > 0]
            picture = Image.fromarray(indexed)
            picture.putpalette(_palette(steps))
            buffer = io.BytesIO()
            picture.save(buffer, format="PNG", compress_level=6)
            encoded = buffer.getvalue()
            if len(encoded) <= MAX_BYTES:
                break
        return encoded


def _edge(shown: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Labelled pixels with a 4-neighbour of another label; the rim of the picture counts as another."""
    padded = np.pad(shown, 1)
    same = (padded[:-2, 1:-1] == shown) & (padded[2:, 1:-1] == shown)
    same &= (padded[1:-1, :-2] == shown) & (padded[1:-1, 2:] == shown)
    edge: NDArray[np.bool_] = (shown > 0) & ~same
    return edge


def _grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask and its 4-neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _line_ink(shown: NDArray[np.uint8], at: tuple[int, int]) -> NDArray[np.uint8]:
    """Ink of a line through each pixel: left muscle solid, right dashed, vertebrae dotted on dark."""
    rows, columns = np.ogrid[at[1] : at[1] + shown.shape[0], at[0] : at[0] + shown.shape[1]]
    phase = (rows + columns) % 36
    dashed = np.where(phase % 9 < 6, np.uint8(_RIGHT_INK), np.uint8(_HALO_INK))
    dotted = np.where(phase % 4 < 2, np.uint8(_BONE_INK), np.uint8(_HALO_INK))
    ink = np.where(shown == AUTOCHTHON_RIGHT, dashed, dotted)
    ink[shown == AUTOCHTHON_LEFT] = _LEFT_INK
    return ink


def _palette(steps: int) -> list[int]:
    greys = [round(step * 255 / (steps - 1)) for step in range(steps)]
    table = [(grey, grey, grey) for grey in greys] + [(0, 0, 0)] * (256 - steps)
    for ink, colour in _INKS.items():
        table[ink] = colour
    return [part for colour in table for part in colour]


@cache
def _font(size: int) -> Any:
    """Pillow's own font: the same glyphs on every machine, whatever fonts it has."""
    return ImageFont.load_default(size)
