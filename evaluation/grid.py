"""Image grids as PNG: images in reading order, a grey line between them, pixels enlarged if images are small.

Each image may have a caption below it, such as its class, cut to the width of the image.
"""

import math
import os
from collections.abc import Sequence

import numpy as np

from linnet.files.atomic import atomic_write

VISIBLE_SIZE = 64
LINE = 96
CAPTION = 14
"""Pixels of a line of text."""


def save_grid(
    images: np.ndarray,
    path: str | os.PathLike,
    columns: int | None = None,
    scale: int | None = None,
    captions: Sequence[str] | None = None,
) -> None:
    """Writes images (N, H, W, C) uint8, C = 1, 3 or 4 (grey, RGB, RGBA), as one PNG, one pixel of grey apart.

    columns: images per row, by default the square root of N rounded up. scale: integer enlargement by
    nearest neighbour, by default the largest that keeps the longer side of one image within 64 pixels.
    captions: N texts. Cells without an image are zero. Raises ValueError on another dtype or shape.
    """
    from PIL import Image

    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3, 4) or len(images) == 0:
        raise ValueError(f"a grid needs uint8 images (N, H, W, 1|3|4), got {images.dtype} {images.shape}")
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    scale = scale or max(1, VISIBLE_SIZE // max(height, width))
    rows = math.ceil(n / columns)
    cells = np.full((rows * columns, height + 1, width + 1, channels), LINE, np.uint8)
    cells[:, :height, :width] = 0
    cells[:n, :height, :width] = images
    cells = cells.repeat(scale, axis=1).repeat(scale, axis=2)
    if captions is not None:
        texts = (*captions, *[""] * (rows * columns - n))
        strips = np.stack([caption(text, (width + 1) * scale) for text in texts])
        strips = np.repeat(strips[..., None], channels, axis=-1)
        cells = np.concatenate([cells[:, : height * scale], strips, cells[:, height * scale :]], axis=1)
    sheet = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    sheet = sheet.reshape(rows * cells.shape[1], columns * cells.shape[2], channels)[:-scale, :-scale]
    with atomic_write(path) as file:
        Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(file, format="PNG")


def caption(text: str, width: int) -> np.ndarray:
    """White text on the grey of the lines, (CAPTION, width) uint8; what does not fit is cut off."""
    from PIL import Image, ImageDraw

    strip = Image.new("L", (width, CAPTION), LINE)
    ImageDraw.Draw(strip).text((1, 0), text, fill=255)
    return np.asarray(strip)
