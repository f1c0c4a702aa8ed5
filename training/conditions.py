"""What a conditional network is given in training besides the image and the time: its class, its low-resolution image.

Classifier-free guidance (arXiv:2207.12598) needs a network that also knows the image without a class: each label is
dropped (-1) with probability config.training.label_dropout. Low-resolution images are means over blocks of pixels.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from linnet.arrays import Array
from linnet.models.guidance import NO_CLASS
from linnet.randomness import Part, fold


def make_conditions(config: ConfigDict) -> Callable[..., dict[str, Array]]:
    """conditions(batch, x, keys) -> keyword arguments of the network of config.model, each (B, ...).

    batch holds "label" (B,) int where model.num_classes is set. x (B, H, W, C) are the images in model range. keys (B,)
    drop labels; None: no label is dropped. ValueError for a config that contradicts itself.
    """
    classes, dropout = config.model.get("num_classes", 0), config.training.label_dropout
    low_res = config.data.low_res_size if config.model.get("super_resolution", False) else 0
    if dropout and not classes:
        raise ValueError("config.training.label_dropout needs a class-conditional network: config.model.num_classes")
    if config.model.get("super_resolution", False) != bool(config.data.low_res_size):
        raise ValueError("config.model.super_resolution and config.data.low_res_size go together: set both or neither")

    def conditions(batch, x, keys):
        condition = {}
        if classes:
            condition["label"] = batch["label"] if keys is None else drop(batch["label"], keys, dropout)
        if low_res:
            condition["low_res"] = block_means(x, low_res)
        return condition

    return conditions


def drop(labels: Array, keys: Array, probability: float) -> Array:
    """labels (B,) with NO_CLASS in place of each with `probability`; keys (B,) of the examples decide."""
    chosen = jax.vmap(lambda key: jax.random.bernoulli(key, probability))(fold(keys, Part.LABEL))
    return jnp.where(chosen, NO_CLASS, labels)


def block_means(x: Any, size: int) -> Any:
    """x (B, H, W, C) -> (B, size, size W/H, C), means over square blocks. ValueError where blocks do not fit."""
    _, height, width, _ = x.shape
    block = height // size
    if height % size or width % block:
        raise ValueError(f"config.data.low_res_size={size} must divide the image size {height}x{width}")
    parts = x.reshape(len(x), size, block, width // block, block, x.shape[-1])
    return parts.mean((2, 4))
