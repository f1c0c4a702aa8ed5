"""Image grids as PNG: images in reading order, a grey line between them, pixels enlarged if images are small."""

import math
import os

import numpy as np

from linnet.files.atomic import atomic_write

VISIBLE_SIZE = 64
LINE = 96


def save_grid(
    images: np.ndarray, path: str | os.PathLike, columns: int | None = None, scale: int | None = None
) -> None:
    """Writes images (N, H, W, C) uint8, C = 1, 3 or 4 (grey, RGB, RGBA), as one PNG, one pixel of grey apart.

    columns: images per row, by default the square root of N rounded up. scale: integer enlargement by
    nearest neighbour, by default the largest that keeps the longer side of one image within 64 pixels.
    Cells without an image are zero. Raises ValueError on another dtype or shape.
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
    sheet = cells.reshape(rows, columns, height + 1, width + 1, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    sheet = sheet.repeat(scale, axis=0).repeat(scale, axis=1)
    with atomic_write(path) as file:
        Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(file, format="PNG")
