"""The U-Net of DDPM (Ho et al. 2020, arXiv:2006.11239).

    embed the label -> convolution -> levels of residual blocks with attention at the listed resolutions,
    halving between them -> two blocks around attention -> levels back over stored feature maps
    -> norm, activation, convolution

Module and parameter names are those of score_sde's checkpoints (https://github.com/yang-song/score_sde).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from linnet import registry
from linnet.models.blocks import ResnetBlockDDPM, rematerialised
from linnet.models.checks import check_images
from linnet.models.embeddings import noise_levels, positional, time_mlp
from linnet.models.layers import ACTIVATIONS, DTYPES, AttnBlock, Conv, Downsample, GroupNorm, Upsample, dropout_keys

OPTIONS = {"nonlinearity": tuple(ACTIVATIONS), "dtype": DTYPES}


class DDPM(nn.Module):
    """U-Net (u, label) -> array of the shape of u, float32. The defaults are DDPM's CIFAR-10 network.

    The attributes mean what they mean in `NCSNpp`; the label is embedded by its position (0 to 999 in the
    paper). attn_every_block: on the way back, attention after every block of a listed resolution, as in the paper's
    code and in diffusers; otherwise after the last one, as in score_sde.
    """

    nf: int = 128
    ch_mult: tuple[int, ...] = (1, 2, 2, 2)
    num_res_blocks: int = 2
    attn_resolutions: tuple[int, ...] = (16,)
    attn_every_block: bool = False
    resamp_with_conv: bool = True
    conditional: bool = True
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
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, time_label: jax.Array, train: bool | jax.Array = False) -> jax.Array:
        """x (B, H, W, C), time_label (B,) -> (B, H, W, C) float32; train: False, or one key per example (B,): dropout.

        Raises ValueError where H or W is no multiple of 2^(len(ch_mult) - 1).
        """
        check_images("DDPM", x, time_label, len(self.ch_mult))
        act = ACTIVATIONS[self.nonlinearity]
        temb = None
        if self.conditional:
            temb = time_mlp(positional(time_label, self.nf), 4 * self.nf, act, self.dtype)
        keys = dropout_keys(train, self.dropout)
        h, skips = self._encode(x if self.centered else 2 * x - 1, temb, keys)
        h = self._resblock(h.shape[-1])(h, temb, keys)
        h = AttnBlock(dtype=self.dtype)(h)
        h = self._resblock(h.shape[-1])(h, temb, keys)
        h = self._decode(h, skips, temb, keys)
        out = Conv(x.shape[-1], init_scale=0.0)(act(GroupNorm(32)(h)))
        if self.scale_by_sigma:
            sigma = noise_levels(time_label, self.sigma_min, self.sigma_max, self.num_scales)
            out = out / sigma[:, None, None, None]
        return out

    def _encode(self, x, temb, keys):
        """Input image -> features of the last level, and the feature maps that the way back reads."""
        h = Conv(self.nf, dtype=self.dtype)(x)
        skips = [h]
        for level, multiplier in enumerate(self.ch_mult):
            for _ in range(self.num_res_blocks):
                h = self._resblock(self.nf * multiplier)(h, temb, keys)
                h = self._attend_where_listed(h)
                skips.append(h)
            if level < len(self.ch_mult) - 1:
                h = Downsample(h.shape[-1], self.resamp_with_conv, dtype=self.dtype)(h)
                skips.append(h)
        return h, skips

    def _decode(self, h, skips, temb, keys):
        """Features of the last level and the stack -> features at full resolution."""
        for level, multiplier in reversed(list(enumerate(self.ch_mult))):
            for block in range(self.num_res_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = self._resblock(self.nf * multiplier)(h, temb, keys)
                if self.attn_every_block or block == self.num_res_blocks:
                    h = self._attend_where_listed(h)
            if level > 0:
                h = Upsample(h.shape[-1], self.resamp_with_conv, dtype=self.dtype)(h)
        return h

    def _attend_where_listed(self, h):
        listed = set(h.shape[1:3]) & set(self.attn_resolutions)
        return AttnBlock(dtype=self.dtype)(h) if listed else h

    @nn.nowrap
    def _resblock(self, features):
        block = rematerialised(ResnetBlockDDPM) if self.remat else ResnetBlockDDPM
        return block(ACTIVATIONS[self.nonlinearity], features, self.dropout, dtype=self.dtype)
