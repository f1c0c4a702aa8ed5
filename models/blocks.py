"""Residual blocks of DDPM, DDPM++ and NCSN++.

    h = conv(act(norm(x))) + dense(act(temb));   h = conv(dropout(act(norm(h))));   out = shortcut(x) + h

Names follow the checkpoints published by score_sde (https://github.com/yang-song/score_sde).
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax

from linnet.models import resample
from linnet.models.layers import NIN, Conv, Dropout, GroupNorm, default_init, residual_sum


class ResnetBlockDDPMpp(nn.Module):
    """Residual block of DDPM++; the shortcut is a NIN layer where the number of channels changes.

    num_groups: of both norms, see `GroupNorm`; groups_in: of the first, where it is another number.
    """

    act: Callable[[jax.Array], jax.Array]
    features: int
    dropout: float
    skip_rescale: bool = False
    init_scale: float = 0.0
    dtype: str = "float32"
    num_groups: int | None = None
    groups_in: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, temb: jax.Array | None, keys: jax.Array | None) -> jax.Array:
        """x (B, H, W, C), temb (B, E) or None -> (B, H, W, features); keys (B,) turn dropout on."""
        h = self.act(GroupNorm(self.groups_in or self.num_groups, dtype=self.dtype)(x))
        h = Conv(self.features, dtype=self.dtype)(h)
        h = self.second_half(h, temb, keys)
        if x.shape[-1] != self.features:
            x = NIN(self.features, dtype=self.dtype)(x)
        return residual_sum(x, h, self.skip_rescale)

    @nn.nowrap
    def second_half(self, h: jax.Array, temb: jax.Array | None, keys: jax.Array | None) -> jax.Array:
        """From the time embedding to the second convolution."""
        if temb is not None:
            shift = nn.Dense(self.features, kernel_init=default_init(), dtype=self.dtype)(self.act(temb))
            h = h + shift[:, None, None, :]
        h = self.act(GroupNorm(self.num_groups, dtype=self.dtype)(h))
        h = Dropout(self.dropout)(h, keys)
        return Conv(self.features, init_scale=self.init_scale, dtype=self.dtype)(h)


class ResnetBlockDDPM(ResnetBlockDDPMpp):
    """`ResnetBlockDDPMpp` as DDPM has it: 32 groups, and the name that its checkpoints use."""

    num_groups: int | None = 32


class ResnetBlockBigGANpp(ResnetBlockDDPMpp):
    """Residual block of BigGAN: may double ("up") or halve ("down") the image; a 1x1 convolution shortcut."""

    direction: str | None = None
    fir_kernel: tuple[float, ...] | None = None

    @nn.compact
    def __call__(self, x: jax.Array, temb: jax.Array | None, keys: jax.Array | None) -> jax.Array:
        """x (B, H, W, C), temb (B, E) or None -> (B, H', W', features) with H' = 2H, H/2 or H."""
        h = self.act(GroupNorm(self.groups_in or self.num_groups, dtype=self.dtype)(x))
        taps = self.fir_kernel or resample.BOX
        nearest = self.direction == "up" and not self.fir_kernel
        if self.direction == "up":
            x = resample.upsample(x, taps)
            h = h if nearest else resample.upsample(h, taps)
        elif self.direction == "down":
            x, h = resample.downsample(x, taps), resample.downsample(h, taps)
        h = Conv(self.features, upsampled=nearest, dtype=self.dtype)(h)
        h = self.second_half(h, temb, keys)
        if x.shape[-1] != self.features or self.direction:
            x = Conv(self.features, kernel_size=1, dtype=self.dtype)(x)
        return residual_sum(x, h, self.skip_rescale)


@functools.cache
def rematerialised(block: type[nn.Module]) -> type[nn.Module]:
    """The block with its activations recomputed in the backward pass; parameter names do not change."""
    wrapped = nn.remat(block)
    wrapped.__name__ = block.__name__
    return wrapped
