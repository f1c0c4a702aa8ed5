"""Images and points as pictures: what PNG files show of arrays in the range of the model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from linnet.data import transforms

PAIRS_IN_ROW = 4


def as_stored(x: Any, centered: bool) -> Any:
    """x in the range of the model, [-1, 1] if `centered`, else [0, 1] -> uint8 images; points (B, D) as they are."""
    return transforms.to_uint8(x, centered) if x.ndim == 4 else x


def save_picture(
    images: np.ndarray,
    path: str,
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    points: np.ndarray | None = None,
) -> None:
    """A grid of images with as many columns (None: as rows), or scatter plots of 2-D points, as PNG.

    captions: the text below each image; None for none. points: those (N, D) that lie below the others in the plot.
    """
    if images.ndim == 4:
        from linnet.evaluation.grid import save_grid

        return save_grid(images, path, columns, captions=captions)
    from linnet.evaluation.scatter import save_scatter

    return save_scatter(images, path, points)


def save_pairs(low_res: np.ndarray, images: np.ndarray, path: str, centered: bool) -> None:
    """low_res (n, h, w, C) in the range of the model, images (n, H, W, C) uint8 -> the PNG `path`."""
    enlarge = images.shape[1] // low_res.shape[1]
    low_res = transforms.to_uint8(low_res, centered).repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    pairs = np.stack([low_res, images], axis=1).reshape(-1, *images.shape[1:])
    save_picture(pairs, path, columns=2 * PAIRS_IN_ROW)
