"""Peak signal-to-noise ratio of 8-bit images: 10 log10(255^2 / mean square error) in decibels."""

import numpy as np


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """(...,) of uint8 images a and b, each (..., H, W, C); an error of 0 counts as that of one level in one number.

    where: (..., H, W, 1) bool, the pixels that count; None: all.
    """
    square = (a.astype(np.float64) - b) ** 2
    counted = np.ones(square.shape, bool) if where is None else np.broadcast_to(where, square.shape)
    axes = (-3, -2, -1)
    error = np.maximum((square * counted).sum(axes), 1) / counted.sum(axes)
    return 10 * np.log10(255**2 / error)
