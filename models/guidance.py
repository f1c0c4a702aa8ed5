"""A network with its parameters and condition, as samplers are given it (see the protocols in samplers.base).

Classifier-free guidance with scale w (arXiv:2207.12598): f = f(no class) + w (f(class) - f(no class)), for whatever the
output means, since all predictions are affine in each other. The halves about variances are those with the class.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

NO_CLASS = -1


@dataclasses.dataclass(frozen=True)
class Bound:
    """An EpsNet with its parameters. condition: keyword arguments of the network, each (B, ...).

    ValueError for guidance without a class to act on.
    """

    net: Any
    params: Any
    condition: dict
    guidance: float = 1.0

    def __post_init__(self):
        if self.guidance != 1 and "label" not in self.condition:
            raise ValueError("config.sampling.guidance needs a class-conditional network: config.model.num_classes")

    def output(self, u, t):
        """The network's output, guided, at times t (B,): the shape of u, or with variances twice its channels."""
        if self.guidance == 1:
            return self.net.output(self.params, u, t, condition=self.condition)
        free = self.condition | {"label": jnp.full_like(self.condition["label"], NO_CLASS)}
        u2, t2, both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), (u, t, self.condition), (u, t, free))
        with_class, without = jnp.split(self.net.output(self.params, u2, t2, condition=both), 2)
        channels = u.shape[-1]
        f, base = with_class[..., :channels], without[..., :channels]
        return jnp.concatenate([base + self.guidance * (f - base), with_class[..., channels:]], axis=-1)

    def of_image(self, i):
        """The same with the condition of image i of the batch, for a batch of one."""
        return dataclasses.replace(self, condition=jax.tree.map(lambda a: a[i][None], self.condition))


@dataclasses.dataclass(frozen=True)
class BoundEps(Bound):
    """eps_fn(u, t), and for samplers of the discrete chain `output` and what it means."""

    def __call__(self, u, t):
        return self.net.to_eps(lambda u: self.output(u, t)[..., : u.shape[-1]], u, t)

    @property
    def prediction(self):
        return self.net.prediction

    @property
    def variance(self):
        return self.net.variance


@dataclasses.dataclass(frozen=True)
class BoundDirect(Bound):
    """The map of a DDDM network, which gives no eps."""

    def noised(self, x_hat, fraction, keys):
        """What a DDDM network sees of the estimates x_hat (B, ...): see EpsNet.noised."""
        return self.net.noised(x_hat, fraction, keys)

    def direct(self, x_hat, u, t):
        """The next estimate of the image of u, by a DDDM network that sees x_hat of the last one, each (B, ...)."""
        bound = dataclasses.replace(self, condition=self.condition | {"context": x_hat})
        return self.net.estimate(bound.output(u, t), u, t)
