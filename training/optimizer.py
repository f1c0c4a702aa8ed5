"""The optimiser: clipping by global norm, Adam with decoupled weight decay, linear warm-up from 0 (score_sde).

A largest norm of 0 would train nothing; here, as with negative ones, gradients are then not clipped.
"""

import optax
from ml_collections import ConfigDict

from linnet import registry

OPTIMIZERS = ("Adam", "AdamW")


def create_optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """The optimiser of config.optim. ValueError for an unknown name."""
    c = config.optim
    registry.check(OPTIMIZERS, c.optimizer, "config.optim.optimizer")
    if c.optimizer == "Adam" and c.weight_decay:
        raise ValueError("config.optim.weight_decay is for AdamW: set config.optim.optimizer=AdamW")
    rate = optax.linear_schedule(0.0, c.lr, c.warmup) if c.warmup > 0 else optax.constant_schedule(c.lr)
    clip = optax.clip_by_global_norm(c.grad_clip) if c.grad_clip > 0 else optax.identity()
    # The same structure of state whatever the settings: they may change when a run is resumed.
    return optax.chain(clip, optax.adamw(rate, b1=c.beta1, b2=c.beta2, eps=c.eps, weight_decay=c.weight_decay))
