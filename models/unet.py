"""The U-Net of improved DDPM (arXiv:2102.09672) and of guided diffusion (ADM, arXiv:2105.05233).

    embed label and class -> convolution -> levels of residual blocks, with attention at the listed resolutions, halving
    between them -> block, attention, block -> levels back over stored feature maps -> norm, silu, convolution

Options are the flags of those projects under their names (https://github.com/openai/improved-diffusion,
https://github.com/openai/guided-diffusion), whose parameters interop.unet_names maps, and four of diffusers'
UNet2DModel, which is this network too. Besides a class it can be given a low-resolution image (super-resolution:
upsampled and stacked onto the input) and a context image (DDDM, arXiv:2405.13540: every attention block becomes a
transformer block that also attends to the context, or the context is stacked onto the input).
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from linnet import registry
from linnet.models.blocks import rematerialised
from linnet.models.checks import check_labels, present
from linnet.models.embeddings import class_embedding, noise_label
from linnet.models.layers import DTYPES, dropout_keys
from linnet.models.spatial_transformer import SpatialTransformer
from linnet.models.unet_layers import (
    EPSILON,
    GROUPS,
    AttentionBlock,
    Conv,
    Dense,
    GroupNorm,
    ResBlock,
    doubled,
    halved,
    resampled_axes,
)

CHANNEL_MULT = {
    512: (0.5, 1, 1, 2, 2, 4, 4),
    256: (1, 1, 2, 2, 4, 4),
    128: (1, 1, 2, 3, 4),
    64: (1, 2, 3, 4),
    32: (1, 2, 2, 2),
}
"""Published channel multipliers by image height."""

MAX_PERIOD = 10_000.0


def sinusoid(labels: jax.Array, dim: int, shift: float = 0.0) -> jax.Array:
    """[cos(t f), sin(t f)] with f_i = 10000^(-i/(h-shift)), i = 0..h-1, h = dim//2: (B,) -> (B, dim), float32."""
    half = dim // 2
    frequencies = jnp.exp(jnp.arange(half, dtype=jnp.float32) * (-math.log(MAX_PERIOD) / (half - shift)))
    arguments = labels.astype(jnp.float32)[:, None] * frequencies
    embedding = jnp.concatenate([jnp.cos(arguments), jnp.sin(arguments)], axis=-1)
    return jnp.pad(embedding, ((0, 0), (0, dim - 2 * half)))


class UNet(nn.Module):
    """U-Net (u, time label, conditions) -> array of the shape of u, with learn_sigma of twice its channels, float32.

    channel_mult: channels of each level in units of num_channels; (): CHANNEL_MULT of the image height.
    attention_resolutions: heights of the feature maps at which attention acts.
    num_head_channels: channels of a head; -1: num_heads heads. num_heads_upsample: heads on the way back; -1: as many.
    freq_shift: of the frequencies that embed the time, see `sinusoid`. norm_eps, norm_num_groups: of all norms.
    downsample_padding: 1, or 0: convolutions that halve pad the right and the lower border only.
    log_label: embed log(time label)/4, as EDM's network does. num_classes: 0 for none. super_resolution: low_res must
    be given. cross_attention, concat: context must be given, which attention looks at, or which is stacked onto the
    input.
    """

    num_channels: int = 128
    channel_mult: tuple[float, ...] = ()
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (16, 8)
    num_heads: int = 4
    num_head_channels: int = -1
    num_heads_upsample: int = -1
    use_scale_shift_norm: bool = True
    resblock_updown: bool = False
    conv_resample: bool = True
    use_new_attention_order: bool = False
    freq_shift: float = 0.0
    norm_eps: float = EPSILON
    norm_num_groups: int = GROUPS
    downsample_padding: int = 1
    dropout: float = 0.0
    log_label: bool = False
    num_classes: int = 0
    learn_sigma: bool = False
    super_resolution: bool = False
    cross_attention: bool = False
    concat: bool = False
    dtype: str = "float32"
    remat: bool = False

    def __post_init__(self):
        registry.check(DTYPES, self.dtype, "config.model.dtype")
        registry.check((0, 1), self.downsample_padding, "config.model.downsample_padding")
        if self.cross_attention and (4 * self.num_channels) % self.num_heads:
            raise ValueError(
                f"UNet: num_heads={self.num_heads} does not divide 4 num_channels = {4 * self.num_channels}"
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, x, time_label, train=False, label=None, low_res=None, context=None):
        """x (B, spatial..., C) with one to three spatial axes, time_label (B,) -> (B, spatial..., C or 2 C).

        label (B,) int: the class, -1 for no class; None for all -1. low_res, context (B, spatial..., C'): images of
        any size. train: False, or one key per example (B,) for dropout. ValueError for sizes that do not fit the
        levels, and for conditions that are missing or that the network was not built for.
        """
        check_labels("UNet", x, time_label)
        multipliers = self._multipliers(x)
        given = {
            "num_classes": (self.num_classes, label),
            "super_resolution": (self.super_resolution, low_res),
            "cross_attention or concat": (self.cross_attention or self.concat, context),
        }
        for field, (takes, value) in given.items():
            if value is not None and not takes:
                raise ValueError(f"UNet: got a condition that needs {field}, which this network was built without")
        emb = self._embed(time_label, label)
        image = x
        channels = x.shape[-1]
        x = jnp.concatenate([x, self._low_res(x, low_res)], axis=-1) if self.super_resolution else x
        if self.concat:
            x = jnp.concatenate([x, self._present("context", context, image)], axis=-1)
        context = self._present("context", context, image) if self.cross_attention else None
        h = Conv(int(multipliers[0] * self.num_channels), dtype=self.dtype)(x)
        keys = dropout_keys(train, self.dropout)
        h, skips = self._encode(h, emb, keys, context, multipliers)
        h = self._middle(h, emb, keys, context)
        h = self._decode(h, skips, emb, keys, context, multipliers)
        h = nn.silu(GroupNorm(self.norm_eps, self.norm_num_groups)(h))
        return Conv(channels * (2 if self.learn_sigma else 1), zero=True)(h)

    def _embed(self, time_label, label):
        """Embedding of time and class, (B, 4 num_channels) float32."""
        emb = self._embed_time(time_label)
        if self.num_classes:
            table = self.param("class_embedding", nn.initializers.normal(1.0), (self.num_classes, emb.shape[-1]))
            if label is not None:
                emb = emb + class_embedding(table, label)
        return emb

    def _embed_time(self, time_label):
        """Embedding of time, (B, 4 num_channels) float32."""
        width = 4 * self.num_channels
        noise = noise_label(time_label) if self.log_label else time_label
        emb = Dense(width)(sinusoid(noise, self.num_channels, self.freq_shift))
        return Dense(width)(nn.silu(emb))

    def _encode(self, h, emb, keys, context, multipliers):
        """Features of the first level -> those of the last, and the feature maps that the way back reads."""
        skips = [h]
        for level, multiplier in enumerate(multipliers):
            features = int(multiplier * self.num_channels)
            for _ in range(self.num_res_blocks):
                h = self._resblock(features)(h, emb, keys)
                h = self._attend_where_listed(h, context, self.num_heads)
                skips.append(h)
            if level < len(multipliers) - 1:
                h = self._resample(h, emb, keys, "down")
                skips.append(h)
        return h, skips

    def _middle(self, h, emb, keys, context):
        """Features of the last level, after a block, attention and a block."""
        h = self._resblock(h.shape[-1])(h, emb, keys)
        h = self._attend(h, context, self.num_heads)
        return self._resblock(h.shape[-1])(h, emb, keys)

    def _decode(self, h, skips, emb, keys, context, multipliers):
        """Features of the last level and the stack -> features at full resolution."""
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(self.num_res_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = self._resblock(int(multiplier * self.num_channels))(h, emb, keys)
                h = self._attend_where_listed(h, context, self._heads_upsample())
            if level > 0:
                h = self._resample(h, emb, keys, "up")
        return h

    def _resample(self, h, emb, keys, direction):
        """Halve or double: by a residual block, a convolution, or without parameters."""
        if self.resblock_updown:
            return self._resblock(h.shape[-1], direction)(h, emb, keys)
        if not self.conv_resample:
            return {"up": doubled, "down": halved}[direction](h)
        down, up = direction == "down", direction == "up"
        return Conv(h.shape[-1], downsample=down, upsample=up, before=self.downsample_padding, dtype=self.dtype)(h)

    def _attend_where_listed(self, h, context, heads):
        return self._attend(h, context, heads) if h.shape[-3 if h.ndim > 3 else 1] in self.attention_resolutions else h

    def _attend(self, h, context, heads):
        if self.cross_attention:
            return SpatialTransformer(4 * self.num_channels, self.num_heads, dtype=self.dtype)(h, context)
        heads = heads if self.num_head_channels == -1 else h.shape[-1] // self.num_head_channels
        if heads == 0 or h.shape[-1] % heads:
            raise ValueError(
                f"UNet: {h.shape[-1]} channels do not split into {heads} heads; change num_heads, "
                "num_head_channels or num_channels"
            )
        norm = self.norm_eps, self.norm_num_groups
        return AttentionBlock(heads, self.use_new_attention_order, *norm, dtype=self.dtype)(h)

    def _low_res(self, x, low_res):
        """The low-resolution image at the size of x, by linear interpolation."""
        low_res = self._present("low_res", low_res, x)
        return jax.image.resize(low_res, (*x.shape[:-1], low_res.shape[-1]), "linear")

    @nn.nowrap
    def _present(self, name, value, x):
        return present("UNet", name, value, x, self.is_initializing())

    @nn.nowrap
    def _multipliers(self, x):
        """channel_mult, or the published one for the height of x. ValueError where x does not fit its levels."""
        sizes = [x.shape[axis] for axis in resampled_axes(x)]
        multipliers = self.channel_mult or CHANNEL_MULT.get(sizes[0])
        if multipliers is None:
            known = ", ".join(map(str, CHANNEL_MULT))
            raise ValueError(
                f"UNet: no published channel_mult for height {sizes[0]} (there are some for {known}); set "
                "model.channel_mult"
            )
        multiple = 2 ** (len(multipliers) - 1)
        if any(size % multiple for size in sizes):
            raise ValueError(
                f"UNet: image size {'x'.join(map(str, sizes))} must be a multiple of {multiple} in every "
                f"direction ({len(multipliers)} levels); resize or crop the images, or shorten channel_mult"
            )
        return multipliers

    @nn.nowrap
    def _heads_upsample(self):
        return self.num_heads if self.num_heads_upsample == -1 else self.num_heads_upsample

    @nn.nowrap
    def _resblock(self, features, direction=None):
        block = rematerialised(ResBlock) if self.remat else ResBlock
        norm = self.norm_eps, self.norm_num_groups
        return block(features, self.dropout, self.use_scale_shift_norm, direction, *norm, dtype=self.dtype)
