"""Embeddings of time labels.

    positional   f_i = 10000^(-i/(h-1)), i = 0..h-1, h = dim//2:  [sin(t f), cos(t f)]     (Ho et al. 2020)
    fourier      W ~ N(0, scale^2) fixed:  [sin(2 pi W log s), cos(2 pi W log s)]          (Song et al. 2021)
    class        a row of a table for each class, zeros for no class (-1)

EDM embeds log(s)/4 in place of the label (arXiv:2206.00364). Everything is evaluated in float32 whatever the compute
dtype of the network: arguments reach hundreds of radians.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from linnet.models.layers import default_init

EMBEDDINGS = ("fourier", "positional")


def positional(labels: jax.Array, dim: int, max_period: float = 10_000.0) -> jax.Array:
    """Sinusoidal embedding of labels (B,) -> (B, dim), float32; an odd dim is padded with a zero column."""
    half = dim // 2
    if half < 2:
        raise ValueError(f"positional embedding: needs at least 4 dimensions, got {dim}: raise model.nf")
    frequencies = jnp.exp(jnp.arange(half, dtype=jnp.float32) * (-math.log(max_period) / (half - 1)))
    arguments = labels.astype(jnp.float32)[:, None] * frequencies
    embedding = jnp.concatenate([jnp.sin(arguments), jnp.cos(arguments)], axis=-1)
    return jnp.pad(embedding, ((0, 0), (0, dim - 2 * half)))


class GaussianFourierProjection(nn.Module):
    """Random Fourier features of log noise levels, (B,) -> (B, 2 * features), float32; W is not trained."""

    features: int
    scale: float

    @nn.compact
    def __call__(self, log_labels: jax.Array) -> jax.Array:
        w = self.param("W", nn.initializers.normal(self.scale), (self.features,), jnp.float32)
        w = jax.lax.stop_gradient(w)
        # The published networks multiply in this order; it decides the rounding of large arguments.
        arguments = log_labels.astype(jnp.float32)[:, None] * w * 2 * jnp.pi
        return jnp.concatenate([jnp.sin(arguments), jnp.cos(arguments)], axis=-1)


def embed_labels(labels: jax.Array, kind: str, features: int, fourier_scale: float) -> jax.Array:
    """Embed labels (B,) in a compact module: "fourier" of the log -> (B, 2 features), else (B, features)."""
    if kind == "fourier":
        return GaussianFourierProjection(features, fourier_scale)(jnp.log(labels.astype(jnp.float32)))
    return positional(labels, features)


def noise_label(labels: jax.Array) -> jax.Array:
    """log(s)/4 of noise levels s > 0 (B,), float32."""
    return jnp.log(labels.astype(jnp.float32)) / 4


def class_embedding(table: jax.Array, label: jax.Array) -> jax.Array:
    """Rows of table (classes, E) for label (B,) int -> (B, E); zeros where it is -1."""
    return jnp.where((label >= 0)[:, None], jnp.take(table, jnp.maximum(label, 0), axis=0), 0.0)


def time_mlp(embedding: jax.Array, features: int, act: Callable, dtype: str) -> jax.Array:
    """Two dense layers on an embedding (B, E) inside a compact module -> (B, features)."""
    embedding = nn.Dense(features, kernel_init=default_init(), dtype=dtype)(embedding)
    return nn.Dense(features, kernel_init=default_init(), dtype=dtype)(act(embedding))


def noise_levels(labels: jax.Array, sigma_min: float, sigma_max: float, num_scales: int) -> jax.Array:
    """Noise level of integer labels (B,): a geometric sequence from sigma_max (label 0) down, float32."""
    sigmas = np.geomspace(sigma_max, sigma_min, num_scales).astype(np.float32)
    return jnp.asarray(sigmas)[labels.astype(jnp.int32)]
