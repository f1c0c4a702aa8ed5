"""The autoencoder of latent diffusion (Rombach et al., arXiv:2112.10752) as diffusers has it: AutoencoderKL.

    encoder   conv_in, down_blocks (resnets, downsamplers), mid_block, conv_norm_out, conv_out; then quant_conv
    decoder   post_quant_conv; then conv_in, mid_block, up_blocks (resnets, upsamplers), conv_norm_out, conv_out
    resnet    x + conv2(silu(norm2(conv1(silu(norm1(x)))))), conv_shortcut(x) where the channels differ
    attention x + to_out(softmax(q k^T / sqrt(C)) v) of one head over all positions

The encoder gives the mean and the logarithm of the variance of a Gaussian; the latent of a picture is its mean.
Parameters have diffusers' names, with "_" between a name and its number.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-6


class Resnet(nn.Module):
    """(B, H, W, C) -> (B, H, W, features)."""

    features: int
    groups: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = nn.silu(nn.GroupNorm(self.groups, epsilon=EPSILON, name="norm1")(x))
        h = nn.Conv(self.features, (3, 3), name="conv1")(h)
        h = nn.silu(nn.GroupNorm(self.groups, epsilon=EPSILON, name="norm2")(h))
        h = nn.Conv(self.features, (3, 3), name="conv2")(h)
        if x.shape[-1] != self.features:
            x = nn.Conv(self.features, (1, 1), name="conv_shortcut")(x)
        return x + h


class Attention(nn.Module):
    """(B, H, W, C) -> the same."""

    groups: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        h = nn.GroupNorm(self.groups, epsilon=EPSILON, name="group_norm")(x).reshape(batch, -1, channels)
        q, k, v = (nn.Dense(channels, name=name)(h) for name in ("to_q", "to_k", "to_v"))
        weights = jax.nn.softmax(jnp.einsum("bic,bjc->bij", q, k) / jnp.sqrt(channels), axis=-1)
        h = nn.Dense(channels, name="to_out_0")(jnp.einsum("bij,bjc->bic", weights, v))
        return x + h.reshape(x.shape)


class Middle(nn.Module):
    """Resnet, attention (where there is one), resnet."""

    groups: int
    attends: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Resnet(x.shape[-1], self.groups, name="resnets_0")(x)
        x = Attention(self.groups, name="attentions_0")(x) if self.attends else x
        return Resnet(x.shape[-1], self.groups, name="resnets_1")(x)


class Resample(nn.Module):
    """By 2: up to the nearest pixels and a convolution, or a convolution of stride 2 that pads right and below."""

    up: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.up:
            return nn.Conv(x.shape[-1], (3, 3), name="conv")(x.repeat(2, axis=1).repeat(2, axis=2))
        return nn.Conv(x.shape[-1], (3, 3), strides=2, padding=((0, 1), (0, 1)), name="conv")(x)


class Level(nn.Module):
    """`depth` resnets, and resampling where it is not the last level."""

    features: int
    depth: int
    groups: int
    up: bool
    last: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for j in range(self.depth):
            x = Resnet(self.features, self.groups, name=f"resnets_{j}")(x)
        if self.last:
            return x
        return Resample(self.up, name="upsamplers_0" if self.up else "downsamplers_0")(x)


class Coder(nn.Module):
    """Encoder, or with `up` decoder: (B, H, W, C) -> (B, H / 2^(n-1), ..., out) or H 2^(n-1), n the number of widths.

    widths: channels of each level, from the pictures to the latents.
    """

    out: int
    widths: tuple[int, ...]
    depth: int
    groups: int
    attends: bool
    up: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        widths = self.widths[::-1] if self.up else self.widths
        middle = Middle(self.groups, self.attends, name="mid_block")
        x = nn.Conv(widths[0], (3, 3), name="conv_in")(x)
        x = middle(x) if self.up else x
        for i, width in enumerate(widths):
            name = f"{'up' if self.up else 'down'}_blocks_{i}"
            x = Level(width, self.depth + self.up, self.groups, self.up, i == len(widths) - 1, name=name)(x)
        x = x if self.up else middle(x)
        x = nn.silu(nn.GroupNorm(self.groups, epsilon=EPSILON, name="conv_norm_out")(x))
        return nn.Conv(self.out, (3, 3), name="conv_out")(x)


class AutoencoderKL(nn.Module):
    """encode: pictures (B, H, W, in_channels) in [-1, 1] -> latents (B, h, w, latent_channels); decode: back.

    Fields are those of diffusers' config.json.
    """

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    norm_num_groups: int = 32
    mid_block_add_attention: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True

    def setup(self) -> None:
        """The layers of both ways."""
        shared = (
            *(tuple(self.block_out_channels), self.layers_per_block, self.norm_num_groups),
            self.mid_block_add_attention,
        )
        self.encoder = Coder(2 * self.latent_channels, *shared, up=False)
        self.decoder = Coder(self.out_channels, *shared, up=True)
        if self.use_quant_conv:
            self.quant_conv = nn.Conv(2 * self.latent_channels, (1, 1))
        if self.use_post_quant_conv:
            self.post_quant_conv = nn.Conv(self.latent_channels, (1, 1))

    def __call__(self, x: jax.Array) -> jax.Array:
        """There and back."""
        return self.decode(self.encode(x))

    def encode(self, x: jax.Array) -> jax.Array:
        """The mean of the latents."""
        moments = self.encoder(x)
        moments = self.quant_conv(moments) if self.use_quant_conv else moments
        return moments[..., : self.latent_channels]

    def decode(self, z: jax.Array) -> jax.Array:
        """Pictures, about in [-1, 1]."""
        return self.decoder(self.post_quant_conv(z) if self.use_post_quant_conv else z)
