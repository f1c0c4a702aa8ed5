"""Estimates before the first step (see training.estimates): of a checkpoint that is begun from, or noise."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet import interop
from linnet.data.pipeline import one_pass
from linnet.data.source import Source
from linnet.data.transforms import to_model_range
from linnet.training import estimates

COMPARED = 256
"""Images whose order is compared with that of the estimates."""


def first_estimates(config: ConfigDict, source: Source, shape: tuple[int, ...], ckpt: Any = None) -> np.ndarray:
    """Estimates (N, ...) of the source's examples before the first step: those in `ckpt`, if it holds some, or noise.

    ValueError where those of `ckpt` are of other images.
    """
    found = interop.estimates(ckpt) if ckpt is not None else None
    if found is None:
        return estimates.initial(config.seed, len(source), shape, config.training.memory_dtype)
    if found.shape[1:] == shape and len(found) > 1:
        check_order(found, source, config.data.centered, ckpt)
    return found


def check_order(values: np.ndarray, source: Source, centered: bool, ckpt: Any) -> None:
    """ValueError unless the first estimates are nearer to their images than to the images after them."""
    images = next(one_pass(source, COMPARED))["image"]
    x = np.asarray(to_model_range(images, centered=centered))
    first = values[: len(x)].astype(np.float32)
    gap = np.abs(first - x[: len(first)]).mean()
    other = np.abs(first - np.roll(x, -1, axis=0)[: len(first)]).mean()
    if gap > 0.95 * other:
        raise ValueError(
            f"the estimates in {ckpt} are no nearer to the training images ({gap:.3g}) than to others ({other:.3g}): "
            "they are of other images, or in another order"
        )
