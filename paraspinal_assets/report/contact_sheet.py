"""Many quality pictures on one page, for looking through an exam or its rejected scans."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from paraspinal_assets.report.qc_picture import VIEWS

CAPTION_HEIGHT: Final = 20
GAP: Final = 6
GREY_LEVELS: Final = 64
"""Colours kept in a PNG; a hundred scans stay within a few megabytes."""
DIGEST: Final = "digest"
"""Text chunk of a PNG that says what it was drawn from."""


def contact_sheet(
    pictures: Sequence[tuple[str, bytes]], *, title: str, columns: int, width: int
) -> Image.Image:
    """Put the views of quality pictures side by side under their captions, in the order given.

    Parameters
    ----------
    pictures
        Caption (scan key, reason codes) and PNG bytes of each; at least one.
    title
        Printed above.
    columns
        Pictures per row.
    width
        Of a single picture on the sheet, in pixels.

    Returns
    -------
    Image.Image
        RGB; the same pixels for the same pictures.
    """
    columns = min(columns, len(pictures))
    thumbnails = [(caption, _thumbnail(picture, width)) for caption, picture in pictures]
    cell_height = max(image.height for _, image in thumbnails) + CAPTION_HEIGHT + GAP
    rows = math.ceil(len(pictures) / columns)
    top = 40
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, top + rows * cell_height), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    draw.text((GAP, 10), title, fill=(255, 255, 255), font=ImageFont.load_default(18))
    for place, (caption, image) in enumerate(thumbnails):
        x = GAP + place % columns * (width + GAP)
        y = top + place // columns * cell_height
        draw.text((x, y + 1), _fit(caption, font, width), fill=(255, 255, 255), font=font)
        sheet.paste(image, (x, y + CAPTION_HEIGHT))
    return sheet


def _thumbnail(picture: bytes, width: int) -> Image.Image:
    """The views of a quality picture without the numbers beside them, which would be too small to read."""
    with Image.open(io.BytesIO(picture)) as page:
        left, top, right, bottom = VIEWS
        views = page.convert("RGB").crop((left, top, min(right, page.width), min(bottom, page.height)))
    height = max(round(views.height * width / views.width), 1)
    return views.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _fit(caption: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The caption, shortened from its end until it fits above its picture."""
    if font.getlength(caption) <= width:
        return caption
    while caption and font.getlength(f"{caption}...") > width:
        caption = caption[:-1]
    return f"{caption}..."


def sheet_png(sheet: Image.Image, digest: str) -> bytes:
    """A sheet as PNG that carries the digest of what it was drawn from."""
    text = PngInfo()
    text.add_text(DIGEST, digest)
    buffer = io.BytesIO()
    indexed = sheet.quantize(GREY_LEVELS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    indexed.save(buffer, format="PNG", compress_level=6, pnginfo=text)
    return buffer.getvalue()


def sheet_jpeg(sheet: Image.Image) -> bytes:
    """A sheet as JPEG, light enough to stand in a page."""
    buffer = io.BytesIO()
    sheet.save(buffer, format="JPEG", quality=55)
    return buffer.getvalue()
