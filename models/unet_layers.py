"""Blocks of the U-Net of improved DDPM (arXiv:2102.09672) and of guided diffusion (ADM, arXiv:2105.05233).

Everything works on x (B, spatial..., C) with one, two or three spatial axes. Resampling is by 2 along every spatial
axis, except the first of three (frames of a video), which keeps its length.

    residual   h = conv(silu(norm(x)));  h = norm(h + e) or norm(h) (1 + scale) + shift, from emb;  x + conv(silu(h))
    attention  x + dense(softmax(q k^T / sqrt(d)) v), heads cut before or after the split into q, k and v

Convolutions and matrix products run in `dtype`; parameters, norms and softmax stay in float32.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from linnet.models import resample
from linnet.models.layers import Dropout, matmul, product

LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}
EPSILON = 1e-5
GROUPS = 32

fan_in_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""U(-1/sqrt(n), 1/sqrt(n)) for n inputs of each output: what these networks are trained from."""


def resampled_axes(x: jax.Array) -> tuple[int, ...]:
    """The spatial axes of x (B, spatial..., C) that change when the image is halved or doubled."""
    return (2, 3) if x.ndim == 5 else tuple(range(1, x.ndim - 1))


def doubled(x: jax.Array) -> jax.Array:
    """Nearest-neighbour upsampling."""
    for axis in resampled_axes(x):
        x = jnp.repeat(x, 2, axis)
    return x


def halved(x: jax.Array) -> jax.Array:
    """Mean over neighbours."""
    window = tuple(2 if axis in resampled_axes(x) else 1 for axis in range(1, x.ndim - 1))
    return nn.avg_pool(x, window, window)


class Conv(nn.Module):
    """Convolution with padding 1 on all sides (none for kernel_size 1): kernel (k, ..., C, features), bias.

    `downsample`: stride 2, `upsample`: of the doubled image, along `resampled_axes`. `zero`: starts at 0. `before`:
    padding before each axis that is halved; behind it lies 1.
    """

    features: int
    kernel_size: int = 3
    downsample: bool = False
    upsample: bool = False
    zero: bool = False
    before: int = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        k = self.kernel_size
        dims = x.ndim - 2
        init = nn.initializers.zeros_init() if self.zero else fan_in_init
        kernel = self.param("kernel", init, (k,) * dims + (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if k == 1:
            y = matmul(x, kernel.reshape(x.shape[-1], self.features))
        elif self.upsample and dims == 2:
            y = resample.nearest_conv(x, kernel)
        else:
            x = doubled(x) if self.upsample else x
            halving = resampled_axes(x) if self.downsample else ()
            axes = range(1, dims + 1)
            strides = [2 if axis in halving else 1 for axis in axes]
            padding = [(self.before if axis in halving else k // 2, k // 2) for axis in axes]
            y = lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUTS[dims])
        return y + bias.astype(self.dtype)


class Dense(nn.Module):
    """Matrix product over channels; parameters kernel (C, features) and, with use_bias, bias (features,)."""

    features: int
    use_bias: bool = True
    zero: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.zeros_init() if self.zero else fan_in_init
        y = matmul(x.astype(self.dtype), self.param("kernel", init, (x.shape[-1], self.features)).astype(self.dtype))
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros_init(), (self.features,)).astype(self.dtype)


class GroupNorm(nn.Module):
    """Group normalisation of gcd(num_groups, C) groups (32 in all published networks); parameters scale, bias (C,).

    With `modulation` = (scale, shift), each (B, C), the result is norm(x) (1 + scale) + shift. Both maps fold into
    one multiply-add per element; statistics are in float32.
    """

    epsilon: float = EPSILON
    num_groups: int = GROUPS
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, modulation: tuple[jax.Array, jax.Array] | None = None) -> jax.Array:
        channels = x.shape[-1]
        spatial = tuple(range(1, x.ndim - 1))
        groups = math.gcd(self.num_groups, channels)
        scale = self.param("scale", nn.initializers.ones_init(), (channels,))
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,))
        x = x.astype(jnp.float32)

        def per_group(v):
            return v.mean(spatial).reshape(len(v), groups, -1).mean(-1)

        mean, square = per_group(x), per_group(x * x)
        inverse = lax.rsqrt(jnp.maximum(square - mean * mean, 0.0) + self.epsilon)
        a = jnp.repeat(inverse, channels // groups, axis=1) * scale
        b = bias - jnp.repeat(mean, channels // groups, axis=1) * a
        if modulation is not None:
            factor, shift = 1 + modulation[0].astype(jnp.float32), modulation[1].astype(jnp.float32)
            a, b = a * factor, b * factor + shift
        return (x * jnp.expand_dims(a, spatial) + jnp.expand_dims(b, spatial)).astype(self.dtype)


class ResBlock(nn.Module):
    """Residual block conditioned on emb; `direction` "up" or "down" resamples both branches without parameters."""

    features: int
    dropout: float = 0.0
    scale_shift: bool = False
    direction: str | None = None
    epsilon: float = EPSILON
    num_groups: int = GROUPS
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, emb: jax.Array, keys: jax.Array | None) -> jax.Array:
        """x (B, spatial..., C), emb (B, E) -> (B, spatial'..., features)."""
        norm = functools.partial(GroupNorm, self.epsilon, self.num_groups, self.dtype)
        h = nn.silu(norm()(x))
        if self.direction:
            resize = {"up": doubled, "down": halved}[self.direction]
            h, x = resize(h), resize(x)
        h = Conv(self.features, dtype=self.dtype)(h)
        e = Dense(self.features * (1 + self.scale_shift), dtype=self.dtype)(nn.silu(emb))
        if self.scale_shift:
            scale, shift = jnp.split(e, 2, axis=-1)
            h = norm()(h, (scale, shift))
        else:
            h = norm()(h + jnp.expand_dims(e, range(1, x.ndim - 1)))
        h = Dropout(self.dropout)(nn.silu(h), keys)
        h = Conv(self.features, zero=True, dtype=self.dtype)(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, kernel_size=1, dtype=self.dtype)(x)
        return x + h


class AttentionBlock(nn.Module):
    """Self-attention over all positions, with `heads` heads.

    The 3 C channels of the first dense layer are (head, qkv, d) or, with `new_order`, (qkv, head, d).
    """

    heads: int
    new_order: bool = False
    epsilon: float = EPSILON
    num_groups: int = GROUPS
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, channels = x.shape[0], x.shape[-1]
        h = GroupNorm(self.epsilon, self.num_groups, self.dtype)(x).reshape(batch, -1, channels)
        h = Dense(3 * channels, dtype=self.dtype)(h)
        order, axis = ((3, self.heads), 2) if self.new_order else ((self.heads, 3), 3)
        qkv = h.reshape(batch, h.shape[1], *order, channels // self.heads)
        h = attend(*(lax.index_in_dim(qkv, i, axis, keepdims=False) for i in range(3)))
        return x + Dense(channels, zero=True, dtype=self.dtype)(h).reshape(x.shape)


def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(d)) v: q (B, L, heads, d), k and v (B, M, heads, d) -> (B, L, heads d)."""
    logits = product("blhd,bmhd->bhlm", q * q.shape[-1] ** -0.5, k)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    h = jnp.einsum("bhlm,bmhd->blhd", weights, v)
    return h.reshape(*h.shape[:2], -1)
