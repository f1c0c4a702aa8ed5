"""The noise-conditional classifier of ADM (arXiv:2105.05233, appendix): the way down of its U-Net, and logits.

    embed label -> convolution -> levels of residual blocks, halving between them -> block, attention, block -> norm,
    silu -> pool -> logits

    attention  a token for each position and their mean, each with a learned place; the mean attends to all of them
    mean       the mean over positions, and a matrix

The first is CLIP's pooling (arXiv:2103.00020), which ADM's classifiers have. The time is embedded as in the U-Net; the
last matrix starts at 0, so that an untrained classifier guides nowhere.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from linnet import registry
from linnet.models.checks import check_labels
from linnet.models.layers import dropout_keys
from linnet.models.unet import UNet
from linnet.models.unet_layers import Conv, Dense, GroupNorm, attend


class Encoder(UNet):
    """Classifier (u, time label) -> logits (B, num_classes), float32; fields as of UNet where they are about both.

    pool: attention | mean. ValueError without classes, and for an unknown pool.
    """

    pool: str = "attention"
    num_classes: int = 10

    classifies = True

    def __post_init__(self):
        registry.check(POOLS, self.pool, "config.model.pool")
        if self.num_classes < 1:
            raise ValueError(
                "config.model.name=encoder is a classifier: set config.model.num_classes, -1 for the data's"
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, x, time_label, train=False):
        """x (B, spatial..., C) with one to three spatial axes, time_label (B,) -> logits (B, num_classes).

        train: False, or one key per example (B,) for dropout. ValueError for sizes that do not fit the levels.
        """
        check_labels("Encoder", x, time_label)
        multipliers = self._multipliers(x)
        emb = self._embed_time(time_label)
        keys = dropout_keys(train, self.dropout)
        h = Conv(int(multipliers[0] * self.num_channels), dtype=self.dtype)(x)
        h, _ = self._encode(h, emb, keys, None, multipliers)
        h = self._middle(h, emb, keys, None)
        h = nn.silu(GroupNorm(self.norm_eps, self.norm_num_groups)(h))
        heads = self.num_heads if self.num_head_channels == -1 else h.shape[-1] // self.num_head_channels
        h = POOLS[self.pool](heads)(h.reshape(len(h), -1, h.shape[-1]))
        return Dense(self.num_classes, zero=True)(h)


class AttentionPool(nn.Module):
    """Tokens (B, L, C) -> (B, C): what their mean finds of them by attention with so many heads."""

    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, length, channels = x.shape
        x = jnp.concatenate([x.mean(1, keepdims=True), x], axis=1)
        x = x + self.param("place", nn.initializers.normal(channels**-0.5), (length + 1, channels))
        qkv = Dense(3 * channels)(x).reshape(batch, length + 1, 3, self.heads, channels // self.heads)
        return attend(qkv[:, :1, 0], qkv[:, :, 1], qkv[:, :, 2])[:, 0]


class MeanPool(nn.Module):
    """Tokens (B, L, C) -> their mean (B, C)."""

    heads: int

    def __call__(self, x: jax.Array) -> jax.Array:
        return x.mean(1)


POOLS = {"attention": AttentionPool, "mean": MeanPool}
