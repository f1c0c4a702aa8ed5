"""Layers of the U-Nets: convolution, group normalisation, attention, residual blocks, resampling.

Class and parameter names are those of the Flax checkpoints that score_sde and gDDIM published
(https://github.com/yang-song/score_sde), so such parameters load by name. Every layer takes a compute
`dtype`: convolutions and matrix products run in it, parameters, normalisation statistics and softmax stay
in float32.

Written for few passes over the activations: normalisation reads its input once for both moments and applies
scale and shift as one multiply-add per element; 1x1 convolutions are matrix products.
"""

import functools
import zlib
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from linnet.models import resample
from linnet.randomness import fold

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "swish": nn.swish,
    "relu": nn.relu,
    "elu": nn.elu,
    "lrelu": functools.partial(nn.leaky_relu, negative_slope=0.2),
}

DTYPES = ("float32", "bfloat16")
"""Compute dtypes of the networks."""


def default_init(scale: float = 1.0) -> nn.initializers.Initializer:
    """Uniform, fan-average initialisation of DDPM; scale 0 means 1e-10, as in the published code."""
    return nn.initializers.variance_scaling(scale or 1e-10, "fan_avg", "uniform")


def residual_sum(x: jax.Array, h: jax.Array, rescale: bool) -> jax.Array:
    """x + h, divided by sqrt(2) where `rescale` asks for a sum of unchanged variance."""
    return (x + h) * 2**-0.5 if rescale else x + h


def matmul(x: jax.Array, w: jax.Array) -> jax.Array:
    """x (..., C) times w (C, D) as one two-dimensional product: the fastest gradients on CPU."""
    return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def product(axes: str, q: jax.Array, k: jax.Array) -> jax.Array:
    """einsum(axes, q, k) in float32; the gradient's products are of the dtype of q and k, as those of the value."""
    return jnp.einsum(axes, q, k, preferred_element_type=jnp.float32)


@product.defjvp
def _(axes, primals, tangents):
    (q, k), (dq, dk) = primals, tangents
    tangent = jnp.einsum(axes, dq, k) + jnp.einsum(axes, q, dk)
    return product(axes, q, k), tangent.astype(jnp.float32)


class Conv(nn.Module):
    """`kernel_size` 1 or 3, zero padding "SAME", optional stride 2 or nearest-neighbour upsampling before it.

    Parameters kernel (k, k, C, features) and bias (features,).
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    upsampled: bool = False
    init_scale: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        k = self.kernel_size
        shape = (k, k, x.shape[-1], self.features)
        kernel = self.param("kernel", default_init(self.init_scale), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if k == 1:
            y = matmul(x, kernel[0, 0])
        elif self.upsampled:
            y = resample.nearest_conv(x, kernel)
        else:
            y = lax.conv_general_dilated(
                x, kernel, (self.stride, self.stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return y + bias.astype(self.dtype)


class Conv2d(nn.Module):
    """3x3 convolution fused with FIR resampling, `direction` "up" or "down"; parameters weight, bias."""

    features: int
    direction: str
    fir_kernel: tuple[float, ...]
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        weight = self.param("weight", default_init(), (3, 3, x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        fused = {"up": resample.upsample_conv, "down": resample.conv_downsample}[self.direction]
        y = fused(x.astype(self.dtype), weight.astype(self.dtype), self.fir_kernel)
        return y + bias.astype(self.dtype)


class NIN(nn.Module):
    """Dense layer over channels ("network in network", a 1x1 convolution); parameters W (C, features), b."""

    features: int
    init_scale: float = 0.1
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        w = self.param("W", default_init(self.init_scale), (x.shape[-1], self.features), jnp.float32)
        b = self.param("b", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        return matmul(x.astype(self.dtype), w.astype(self.dtype)) + b.astype(self.dtype)


class GroupNorm(nn.Module):
    """Group normalisation with epsilon 1e-6 (Wu and He 2018); parameters scale and bias (C,).

    `num_groups` groups where they divide C, else (and by default) min(C//4, 32). Mean and mean of squares
    are summed per channel first, in float32, and combined per group on (B, groups) numbers; scale, shift,
    mean and deviation then fold into one multiply-add y = a x + d with a, d of shape (B, C).
    """

    num_groups: int | None = None
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        groups = self.num_groups
        if not groups or channels % groups:
            groups = min(channels // 4, 32)
        if groups == 0 or channels % groups:
            raise ValueError(
                f"GroupNorm: {channels} channels do not split into {groups} equal groups; "
                "choose model.nf and ch_mult so that they do (multiples of 32 always do)"
            )
        scale = self.param("scale", nn.initializers.ones_init(), (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,), jnp.float32)
        x = x.astype(jnp.float32)
        count = height * width * (channels // groups)

        def per_group(s):
            return s.reshape(batch, groups, -1).sum(-1) / count

        mean, square = per_group(x.sum((1, 2))), per_group((x * x).sum((1, 2)))
        inverse = lax.rsqrt(jnp.maximum(square - mean * mean, 0.0) + 1e-6)
        a = jnp.repeat(inverse, channels // groups, axis=1) * scale
        d = bias - jnp.repeat(mean, channels // groups, axis=1) * a
        return (x * a[:, None, None] + d[:, None, None]).astype(self.dtype)


class Dropout(nn.Module):
    """Zeroes entries with probability `rate` and scales up the others (Srivastava et al. 2014).

    With one key per example, what is dropped from an example depends on its key and the layer's path alone: neither
    on the batch it is in nor on the device.
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        """x (B, ...), keys (B,) or None: no dropout."""
        if keys is None:
            return x
        layer = zlib.crc32("/".join(self.path).encode())

        def keep(key):
            return jax.random.bernoulli(fold(key, layer), 1 - self.rate, x.shape[1:])

        return jnp.where(jax.vmap(keep)(keys), x / (1 - self.rate), 0).astype(x.dtype)


def dropout_keys(train: bool | jax.Array, rate: float) -> jax.Array | None:
    """The keys of `Dropout` from a network's argument `train`: None for False or rate 0.

    Raises ValueError for True, which says that dropout is on but not what is dropped.
    """
    if train is False or rate == 0:
        return None
    if train is True:
        raise ValueError("train=True with dropout: give one key per example instead, train=jax.random.split(key, B)")
    return train


class AttnBlockpp(nn.Module):
    """Single-head self-attention over all pixels, logits scaled by C^(-1/2), inside a residual sum."""

    skip_rescale: bool = False
    init_scale: float = 0.0
    dtype: str = "float32"
    num_groups: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        h = GroupNorm(self.num_groups, dtype=self.dtype)(x).reshape(batch, height * width, channels)
        q, k, v = (NIN(channels, dtype=self.dtype)(h) for _ in range(3))
        logits = product("bqc,bkc->bqk", q * channels**-0.5, k)
        weights = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
        h = jnp.einsum("bqk,bkc->bqc", weights, v)
        h = NIN(channels, init_scale=self.init_scale, dtype=self.dtype)(h)
        return residual_sum(x, h.reshape(x.shape), self.skip_rescale)


class AttnBlock(AttnBlockpp):
    """`AttnBlockpp` as DDPM has it: 32 groups, and the name that its checkpoints use."""

    num_groups: int | None = 32


class _Resample(nn.Module):
    """Double or halve the image, with or without a convolution to `features`: what Upsample and Downsample share."""

    features: int
    with_conv: bool
    fir_kernel: tuple[float, ...] | None = None
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if not self.with_conv:
            return self.filtered(x, self.fir_kernel or resample.BOX)
        if self.fir_kernel:
            return Conv2d(self.features, self.direction, self.fir_kernel, dtype=self.dtype)(x)
        return Conv(self.features, **self.resampling, dtype=self.dtype)(x)


class Upsample(_Resample):
    """Double the image: FIR filter or nearest neighbour, with or without a 3x3 convolution to `features`."""

    direction = "up"
    resampling = {"upsampled": True}
    filtered = staticmethod(resample.upsample)


class Downsample(_Resample):
    """Halve the image: FIR filter or 2x2 mean, or a 3x3 convolution of stride 2 to `features`."""

    direction = "down"
    resampling = {"stride": 2}
    filtered = staticmethod(resample.downsample)


class Combine(nn.Module):
    """Join an image pyramid x with features h: 1x1 convolution of x, then "sum" or "cat" (twice as wide)."""

    method: str
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, h: jax.Array) -> jax.Array:
        x = Conv(h.shape[-1], kernel_size=1, dtype=self.dtype)(x)
        return x + h if self.method == "sum" else jnp.concatenate([x, h], axis=-1)
