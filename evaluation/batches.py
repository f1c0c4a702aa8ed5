"""Fixed-size batches of uint8 images through a compiled network, spread over the local devices.

Every batch, the last one included, has the same size (padded with zeros, the padding cut off again), so a
network is compiled once per image shape.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from linnet.devices import parallel


def map_batches(network: Callable, params: Any, images: np.ndarray, batch_size: int) -> dict[str, np.ndarray]:
    """network(params, images (batch, H, W, C)) -> {name: (batch, ...)}, for all of images (N, H, W, C).

    batch_size is rounded up to a multiple of the number of local devices. Raises ValueError unless images
    are uint8 with four axes and N >= 1.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) == 0:
        raise ValueError(f"expected uint8 images (N >= 1, H, W, C), got {images.dtype} {images.shape}")
    batch_size += -batch_size % jax.local_device_count()
    params = parallel.everywhere(params)
    outputs = []
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        padding = [(0, batch_size - len(part))] + [(0, 0)] * 3
        result = network(params, parallel.spread(np.pad(part, padding)))
        outputs.append({name: np.asarray(value)[: len(part)] for name, value in result.items()})
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
