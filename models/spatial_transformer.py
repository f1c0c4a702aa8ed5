"""Attention to the image itself and to a second image: the transformer block of latent diffusion, depth 1.

    x + project(block(project(norm(x)))),  block: x += attention(norm(x));  x += attention(norm(x), context);
    x += dense(value gelu(gate)),  (value, gate) = dense(norm(x))

As the DDDM networks use it (arXiv:2405.13540): the context is an image of any size, projected pixel by pixel.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from linnet.models.unet_layers import Conv, Dense, GroupNorm, attend

NORM_EPSILON = 1e-6  # of the first norm; other norms of these networks have 1e-5
LAYER_NORM_EPSILON = 1e-5


class CrossAttention(nn.Module):
    """Attention from tokens x (B, L, D) to `context` (B, M, D): Dense_0 to Dense_2 are q, k, v, Dense_3 the output."""

    heads: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, context: jax.Array) -> jax.Array:
        width = x.shape[-1]
        projected = [Dense(width, use_bias=False, dtype=self.dtype)(tokens) for tokens in (x, context, context)]
        q, k, v = (h.reshape(*h.shape[:2], self.heads, width // self.heads) for h in projected)
        return Dense(width, dtype=self.dtype)(attend(q, k, v))


class SpatialTransformer(nn.Module):
    """(x (B, spatial..., C), context (B, spatial'..., C')) -> shape of x; `width` channels inside."""

    width: int
    heads: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, context: jax.Array) -> jax.Array:
        batch, channels = x.shape[0], x.shape[-1]
        h = GroupNorm(NORM_EPSILON, dtype=self.dtype)(x)
        h = Conv(self.width, kernel_size=1, dtype=self.dtype)(h).reshape(batch, -1, self.width)
        c = Conv(self.width, kernel_size=1, dtype=self.dtype)(context).reshape(batch, -1, self.width)
        tokens = self._norm(h)
        h = h + CrossAttention(self.heads, dtype=self.dtype)(tokens, tokens)
        h = h + CrossAttention(self.heads, dtype=self.dtype)(self._norm(h), c)
        value, gate = jnp.split(Dense(8 * self.width, dtype=self.dtype)(self._norm(h)), 2, axis=-1)
        h = h + Dense(self.width, dtype=self.dtype)(value * nn.gelu(gate, approximate=False))
        h = h.reshape(*x.shape[:-1], self.width)
        return x + Conv(channels, kernel_size=1, zero=True, dtype=self.dtype)(h)

    @nn.nowrap
    def _norm(self, h):
        return nn.LayerNorm(LAYER_NORM_EPSILON)(h).astype(self.dtype)
