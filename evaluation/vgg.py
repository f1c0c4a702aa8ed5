"""Features of ImageNet's VGG16 (Simonyan & Zisserman 2015, arXiv:1409.1556), for a distance that is not FID: FD-VGG.

The 512 features of an image are the means over positions of relu5_3, the last tap of LPIPS's network (`models.lpips`),
whose weights are read from where LPIPS has them. VGG16 has no fixed size: images whose shorter side is below 64 are
enlarged to 64 (224, as it was trained, costs 12 times as much and shows nothing new in an image of 28 or 32 pixels),
larger ones are taken as they are. Numbers of different image sizes do not compare.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np

from linnet.evaluation.batches import map_batches
from linnet.models import lpips
from linnet.models.lpips_weights import load_params

SMALLEST = 64
PREPROCESSING = (
    "grey repeated to RGB; shorter side below 64: bilinear to 64 (half-pixel centres); x / 127.5 - 1, shift and scale "
    "of LPIPS; mean of relu5_3"
)


def load(path: str | os.PathLike | None = None) -> list:
    """The convolutions of VGG16, [[{"kernel" HWIO, "bias"}, ...], ...] float32. Errors as `load_params` has them."""
    return load_params("vgg", path)["stages"]


def enlarged(x: jax.Array) -> jax.Array:
    """float images (B, H, W, C) with the shorter side at SMALLEST or above: bilinear, proportions kept."""
    height, width = x.shape[1:3]
    shorter = min(height, width)
    if shorter >= SMALLEST:
        return x
    size = (round(height * SMALLEST / shorter), round(width * SMALLEST / shorter))
    return jax.image.resize(x, (len(x), *size, x.shape[-1]), "bilinear", antialias=False)


@jax.jit
def _network(stages: list, images: jax.Array) -> dict[str, jax.Array]:
    x = enlarged(images.astype(jnp.float32) / 127.5 - 1)
    with jax.default_matmul_precision("highest"):  # no TF32: the numbers of all devices compare
        return {"features": lpips.taps(stages, x, "vgg")[-1].mean(axis=(1, 2))}


def activations(stages: list, images: np.ndarray, batch_size: int = 64) -> dict[str, np.ndarray]:
    """{"features": (N, 512)} float32 for uint8 images (N, H, W, 1|3)."""
    return map_batches(_network, stages, images, batch_size)
