"""Images between storage (uint8), the model's range (float32) and storage again, as JAX functions.

Every random transform takes one key per example, so that what happens to an example depends neither on the
batch it is in nor on the number of devices.

    to model range     x = v / 255 in [0, 1], or 2 x - 1 = (v - 127.5) / 127.5 in [-1, 1] when centered
    dequantised        x = (v + u) / 256, u ~ U[0, 1), or 2 x - 1       (uniform dequantisation as in score_sde)
    to uint8           v = round(255 x), after clipping x to its range
"""

from typing import Any

import jax
import jax.numpy as jnp

ROUNDING_RULE = "clip to the range, scale to [0, 255], round to nearest (ties to even)"
"""The rule of `to_uint8` in words, for reports. Truncating 2 (v / 255) - 1 instead would shift 63 of 256 levels."""


def draw_flips(keys: jax.Array) -> jax.Array:
    """Which images are mirrored, (B,) bool, each with probability 1/2. keys (B,) typed."""
    return jax.vmap(jax.random.bernoulli)(keys)


def flip(images: jax.Array, flips: jax.Array) -> jax.Array:
    """Images (B, H, W, C) of any dtype, mirrored left to right where flips (B,); its own inverse."""
    return jnp.where(flips[:, None, None, None], images[:, :, ::-1], images)


def to_model_range(images: Any, centered: bool = True, dequantize_keys: jax.Array | None = None) -> jax.Array:
    """uint8 (B, ...) of NumPy or JAX -> float32 in [-1, 1] (centered) or [0, 1]; floating inputs (points) are returned.

    With `dequantize_keys` (B,), uniform noise fills each level: x = (v + u) / 256. The inverse of that map is
    floor(256 x); `to_uint8` of a dequantised image may differ from it by one level.
    """
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    x = images.astype(jnp.float32)
    if dequantize_keys is None:
        return (x - 127.5) / 127.5 if centered else x / 255
    x = (x + jax.vmap(lambda key: jax.random.uniform(key, images.shape[1:]))(dequantize_keys)) / 256
    return 2 * x - 1 if centered else x


def to_uint8(x: Any, centered: bool = True) -> Any:
    """Model range -> uint8 by ROUNDING_RULE; inverse of `to_model_range`. NumPy in, NumPy out; JAX likewise."""
    xp = x.__array_namespace__()
    x = x.astype(xp.float32)
    x = (x + 1) * 127.5 if centered else x * 255
    return xp.round(xp.clip(x, 0, 255)).astype(xp.uint8)
