"""The parameters that a config asks for: names and shapes, without computing any."""

import functools

import jax
import jax.numpy as jnp
from flax import traverse_util
from ml_collections import ConfigDict

from linnet.models import create_model
from linnet.sde_lib import SDES

CONDITIONS = {"super_resolution": "low_res", "cross_attention": "context"}
"""Field of a network that makes it take an image besides its input -> name of that argument."""


def expected_shapes(
    config: ConfigDict, shape: tuple[int, ...] | None = None, k: int | None = None
) -> dict[str, tuple[int, ...]]:
    """{"Conv_0/kernel": (3, 3, 6, 128), ...} of the network of `config`.

    shape: (H, W, C) of the images or (D,) of the points; None: from config.data. k: components of the state per
    channel; None: those of the process config.sde.name. ValueError where config.data leaves the shape open.
    """
    shape = _shape_of_data(config) if shape is None else tuple(shape)
    k = SDES[config.sde.name].k if k is None else k
    u = jax.ShapeDtypeStruct((1, *shape[:-1], k * shape[-1]), jnp.float32)
    label = jax.ShapeDtypeStruct((1,), jnp.float32)
    module = create_model(config)
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    conditions = {name: image for field, name in CONDITIONS.items() if getattr(module, field, False)}
    tree = jax.eval_shape(functools.partial(module.init, jax.random.key(0)), u, label, **conditions)["params"]
    return {name: leaf.shape for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()}


def _shape_of_data(config):
    data = config.data
    if data.dataset == "points":
        return (2,)
    size = (data.image_size,) * 2 if isinstance(data.image_size, int) else tuple(data.image_size)
    if not (all(size) and data.num_channels):
        raise ValueError("config.data.image_size and config.data.num_channels must be set to load a checkpoint")
    return (*size, data.num_channels)
