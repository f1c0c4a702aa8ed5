"""Complexity of an image: the length of a lossless encoding (PNG), in bits per dimension.

Networks give simple images a high likelihood, whatever they were trained on. Taking this length from the bits per
dimension leaves what the network finds unlikely (Serra et al. 2020, arXiv:1909.11480, eq. 2).
"""

import io

import numpy as np


def png_bits(images: np.ndarray) -> np.ndarray:
    """(N,) bits per dimension of uint8 images (N, H, W, 1|3|4) as PNG of the highest compression, headers included."""
    from PIL import Image

    bits = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG", optimize=True)
        bits.append(8 * file.tell() / image.size)
    return np.array(bits)
