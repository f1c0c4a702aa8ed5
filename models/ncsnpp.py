"""NCSN++ and DDPM++, the U-Nets of Song et al. 2021 (arXiv:2011.13456), with every published option.

    embed the label -> convolution -> levels of residual blocks, halving between them
    -> two blocks around attention -> levels back, each block reading one stored feature map, doubling
    between them -> norm, activation, convolution

Options that add paths: `progressive_input` feeds a shrinking copy of the input to every level ("input_skip":
resampled images joined by a 1x1 convolution; "residual": a convolved copy summed with the features);
`progressive` reads images out of every level ("output_skip": sum of upsampled images; "residual": one
running feature map).

Module and parameter names are those of the checkpoints that score_sde and gDDIM published
(https://github.com/yang-song/score_sde), so those load by name; GroupNorm leaves there are (1, 1, 1, C).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from linnet import registry
from linnet.models.blocks import ResnetBlockBigGANpp, ResnetBlockDDPMpp, rematerialised
from linnet.models.checks import check_images
from linnet.models.embeddings import EMBEDDINGS, class_embedding, embed_labels, noise_label, noise_levels, time_mlp
from linnet.models.layers import (
    ACTIVATIONS,
    DTYPES,
    AttnBlockpp,
    Combine,
    Conv,
    Downsample,
    GroupNorm,
    Upsample,
    dropout_keys,
    residual_sum,
)

OPTIONS = {
    "resblock_type": ("ddpm", "biggan"),
    "progressive": ("none", "output_skip", "residual"),
    "progressive_input": ("none", "input_skip", "residual"),
    "progressive_combine": ("sum", "cat"),
    "embedding_type": EMBEDDINGS,
    "nonlinearity": tuple(ACTIVATIONS),
    "dtype": DTYPES,
}


class NCSNpp(nn.Module):
    """U-Net (u, label) -> array of the shape of u, float32. The defaults are the small DDPM++ of CIFAR-10.

    Attributes:
      nf: channels of the first level; `ch_mult` multiplies them level by level, each at half the resolution.
      num_res_blocks: residual blocks per level on the way down (one more on the way up).
      attn_resolutions: a level has attention where its height or its width is one of these.
      resamp_with_conv: resblock_type "ddpm" resamples by convolutions; otherwise by filters alone.
      conditional: whether the network sees the label (the noise level) at all.
      fir, fir_kernel: resample with this separable filter instead of mean and nearest neighbour.
      skip_rescale: divide residual sums by sqrt(2).
      embedding_type: "fourier" embeds log(label) with frequencies of deviation `fourier_scale`,
        "positional" the label.
      log_label: "positional" embeds log(label)/4, as EDM's networks do.
      num_classes: 0 for none; a class adds a row of a table to the embedding of the label.
      init_scale: scale of the initial weights that end residual branches and the network; 0 means 1e-10.
      attn_num_groups, norm_num_groups: norm groups as diffusers has them, which matter below 128 channels: of attention
        blocks on the way down and back; of the blocks in the middle and of the last norm. 0: min(C//4, 32), as in all
        other norms.
      scale_by_sigma: divide the output by the noise level: the label itself where its logarithm is embedded, else
        entry int(label) of the `num_scales` levels that fall from sigma_max to sigma_min.
      centered: the input is already in [-1, 1]; otherwise it is mapped from [0, 1].
      dtype: of convolutions and matrix products; parameters, statistics, softmax and output are float32.
      remat: recompute each residual block in the backward pass, trading time for memory.
    """

    nf: int = 128
    ch_mult: tuple[int, ...] = (1, 2, 2, 2)
    num_res_blocks: int = 4
    attn_resolutions: tuple[int, ...] = (16,)
    resamp_with_conv: bool = True
    conditional: bool = True
    fir: bool = False
    fir_kernel: tuple[float, ...] = (1, 3, 3, 1)
    skip_rescale: bool = True
    resblock_type: str = "biggan"
    progressive: str = "none"
    progressive_input: str = "none"
    progressive_combine: str = "sum"
    embedding_type: str = "positional"
    fourier_scale: float = 16.0
    log_label: bool = False
    num_classes: int = 0
    init_scale: float = 0.0
    attn_num_groups: int = 0
    norm_num_groups: int = 0
    dropout: float = 0.1
    nonlinearity: str = "swish"
    scale_by_sigma: bool = False
    sigma_min: float = 0.01
    sigma_max: float = 50.0
    num_scales: int = 1000
    centered: bool = True
    dtype: str = "float32"
    remat: bool = False

    def __post_init__(self):
        for field, allowed in OPTIONS.items():
            registry.check(allowed, getattr(self, field), f"config.model.{field}")
        if self.log_label and self.embedding_type == "fourier":
            raise ValueError("NCSNpp: log_label is for embedding_type='positional': 'fourier' embeds the logarithm")
        if self.num_classes and not self.conditional:
            raise ValueError("NCSNpp: num_classes needs conditional=True: the class joins the embedding of the label")
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        time_label: jax.Array,
        train: bool | jax.Array = False,
        label: jax.Array | None = None,
    ) -> jax.Array:
        """x (B, H, W, C), time_label (B,) -> (B, H, W, C) float32; train: False, or one key per example (B,): dropout.

        label (B,) int: the class, -1 for no class; None for all -1. Raises ValueError where H or W is no multiple of
        2^(len(ch_mult) - 1), and for a class where num_classes is 0.
        """
        check_images("NCSNpp", x, time_label, len(self.ch_mult))
        embedding = self._embed(time_label, label)
        temb = time_mlp(embedding, 4 * self.nf, self._act, self.dtype) if self.conditional else None
        keys = dropout_keys(train, self.dropout)
        h, skips = self._encode(x if self.centered else 2 * x - 1, temb, keys)
        groups = self.norm_num_groups or None
        h = self._resblock(h.shape[-1], num_groups=groups)(h, temb, keys)
        h = self._attention(groups)(h)
        h = self._resblock(h.shape[-1], num_groups=groups)(h, temb, keys)
        out = self._decode(h, skips, temb, keys, x.shape[-1])
        return out / self._sigma(time_label)[:, None, None, None] if self.scale_by_sigma else out

    def _embed(self, time_label, label):
        """Embedding of noise level and class (B, E), float32."""
        noise = noise_label(time_label) if self.log_label else time_label
        embedding = embed_labels(noise, self.embedding_type, self.nf, self.fourier_scale)
        if not self.num_classes:
            if label is not None:
                raise ValueError("NCSNpp: got a condition that needs num_classes, which this network was built without")
            return embedding
        shape = (self.num_classes, embedding.shape[-1])
        table = self.param("class_embedding", nn.initializers.normal(1.0), shape, jnp.float32)
        return embedding if label is None else embedding + class_embedding(table, label)

    def _encode(self, x, temb, keys):
        """Input image -> features of the last level, and the feature maps that the way back reads."""
        pyramid = x
        h = Conv(self.nf, dtype=self.dtype)(x)
        skips = [h]
        for level, multiplier in enumerate(self.ch_mult):
            for _ in range(self.num_res_blocks):
                h = self._resblock(self.nf * multiplier)(h, temb, keys)
                h = self._attend_where_listed(h)
                skips.append(h)
            if level < len(self.ch_mult) - 1:
                h = self._resample(h, temb, keys, "down")
                h, pyramid = self._inject(h, pyramid)
                skips.append(h)
        return h, skips

    def _decode(self, h, skips, temb, keys, channels):
        """Features of the last level and the stack -> output image (B, H, W, channels), float32."""
        pyramid = None
        for level, multiplier in reversed(list(enumerate(self.ch_mult))):
            for _ in range(self.num_res_blocks + 1):
                skip = skips.pop()
                groups = self._groups_before_attention(h, skip)
                h = jnp.concatenate([h, skip], axis=-1)
                h = self._resblock(self.nf * multiplier, groups_in=groups)(h, temb, keys)
            h = self._attend_where_listed(h)
            h, pyramid = self._read_out(h, pyramid, channels, self.norm_num_groups if level == 0 else None)
            if level > 0:
                h = self._resample(h, temb, keys, "up")
        return pyramid if self.progressive == "output_skip" else self._head(h, channels, self.norm_num_groups)

    def _inject(self, h, pyramid):
        """The `progressive_input` path: one step of the input pyramid, joined with the features."""
        if self.progressive_input == "none":
            return h, pyramid
        with_conv = self.progressive_input == "residual"
        pyramid = Downsample(h.shape[-1], with_conv, self._taps, dtype=self.dtype)(pyramid)
        if with_conv:
            h = pyramid = residual_sum(pyramid, h, self.skip_rescale)
        else:
            h = Combine(self.progressive_combine, dtype=self.dtype)(pyramid, h)
        return h, pyramid

    def _read_out(self, h, pyramid, channels, groups):
        """The `progressive` path: one step of the output pyramid; groups: of the norm before it."""
        if self.progressive == "none":
            return h, None
        with_conv = self.progressive == "residual"
        if pyramid is None:
            if with_conv:
                normed = self._act(GroupNorm(dtype=self.dtype)(h))
                return h, Conv(h.shape[-1], dtype=self.dtype)(normed)
            return h, self._head(h, channels, groups)
        pyramid = Upsample(h.shape[-1], with_conv, self._taps, dtype=self.dtype)(pyramid)
        if with_conv:
            h = pyramid = residual_sum(pyramid, h, self.skip_rescale)
            return h, pyramid
        return h, pyramid + self._head(h, channels, groups)

    def _head(self, h, channels, groups):
        """Features -> image, computed in float32."""
        return Conv(channels, init_scale=self.init_scale)(self._act(GroupNorm(groups)(h)))

    def _attend_where_listed(self, h):
        return self._attention(self.attn_num_groups or None)(h) if self._listed(h) else h

    @nn.nowrap
    def _listed(self, h):
        return bool(set(h.shape[1:3]) & set(self.attn_resolutions))

    @nn.nowrap
    def _groups_before_attention(self, h, skip):
        """Groups of the first norm of a block on the way back; diffusers adds to a quarter of the skip alone."""
        if self.attn_num_groups and self._listed(h):
            return min(h.shape[-1] + skip.shape[-1] // 4, 32)
        return None

    def _resample(self, h, temb, keys, direction):
        """Features at half or double resolution: in a residual block ("biggan") or by a layer ("ddpm")."""
        if self.resblock_type == "biggan":
            block = self._resblock(h.shape[-1], direction=direction, fir_kernel=self._taps)
            return block(h, temb, keys)
        layer = {"up": Upsample, "down": Downsample}[direction]
        return layer(h.shape[-1], self.resamp_with_conv, self._taps, dtype=self.dtype)(h)

    @nn.nowrap
    def _resblock(self, features, **options):
        block = {"ddpm": ResnetBlockDDPMpp, "biggan": ResnetBlockBigGANpp}[self.resblock_type]
        block = rematerialised(block) if self.remat else block
        return block(self._act, features, self.dropout, self.skip_rescale, self.init_scale, self.dtype, **options)

    @nn.nowrap
    def _attention(self, groups):
        return AttnBlockpp(self.skip_rescale, self.init_scale, self.dtype, groups)

    @nn.nowrap
    def _sigma(self, time_label):
        """Noise level (B,) that `scale_by_sigma` divides by."""
        if self.embedding_type == "fourier" or self.log_label:
            return time_label.astype(jnp.float32)
        return noise_levels(time_label, self.sigma_min, self.sigma_max, self.num_scales)

    @property
    def _act(self):
        return ACTIVATIONS[self.nonlinearity]

    @property
    def _taps(self):
        return tuple(self.fir_kernel) if self.fir else None
