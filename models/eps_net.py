"""The border between a Flax network and the eps(u, t) that objectives and samplers know.

    network output f = module(to_image(u), label(t))                        label: see LinearSDE.label, chain_label
    prediction "eps"     eps = f
    prediction "score"   score = f, so eps = -R^T f                         (networks of score_sde for VE)
    mixed_score          eps = f + R^-1 (0, v)                              (gDDIM's form of CLD's mixed score)
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_lib import LinearSDE, blocks


@dataclasses.dataclass(frozen=True)
class EpsNet:
    """A module and a process joined. chain: 0 for labels of continuous time, else the number of states N.

    ValueError for an unknown prediction, or mixed_score on a process without a velocity.
    """

    module: Any
    sde: LinearSDE
    prediction: str = "eps"
    mixed_score: bool = False
    chain: int = 0

    def __post_init__(self):
        if self.prediction not in ("eps", "score"):
            raise ValueError(f"config.model.prediction {self.prediction!r} is unknown; use eps or score")
        if self.mixed_score and self.sde.k == 1:
            raise ValueError("config.model.mixed_score needs a process with a velocity: config.sde.name = cld")

    def __call__(self, params, u, t, keys=None):
        """eps, the shape of u, at times t (B,). keys (B,): one per example, for dropout; None: no dropout.

        With keys the network is mapped over single examples, so that what is dropped from an example depends on its
        key and not on the batch or the device it is in.
        """
        label = self.sde.chain_label(t, self.chain) if self.chain else self.sde.label(t)
        image = self.sde.to_image(u)
        if keys is None:
            f = self.module.apply({"params": params}, image, label, train=False)
        else:
            f = jax.vmap(lambda x, c, key: self._one(params, x, c, key))(image, label, keys)
        return self._to_eps(self.sde.from_image(f), u, t)

    def _one(self, params, image, label, key):
        rngs = {"dropout": key}
        return self.module.apply({"params": params}, image[None], label[None], train=True, rngs=rngs)[0]

    def _to_eps(self, f, u, t):
        if self.prediction == "score":
            return -blocks.apply(blocks.transpose(self.sde.R(t)), f)
        if self.mixed_score:
            velocity = blocks.apply(np.diag([0.0, 1.0]).astype(u.dtype)[None, None], u)
            return f + blocks.apply(blocks.inverse(self.sde.R(t)), velocity)
        return f

    def init(self, key, shape):
        """Parameters for images of shape (H, W, C) or points of shape (D,): the tree under "params", float32."""
        u = jnp.zeros((1, *shape[:-1], self.sde.k * shape[-1]))
        return self.module.init({"params": key}, u, jnp.ones(1), train=False)["params"]

    def bind(self, params):
        """eps_fn(u, t) of fixed parameters, without dropout: the currency of samplers."""
        return lambda u, t: self(params, u, t)


def create_eps_net(config, module, sde) -> EpsNet:
    """The EpsNet that config.model and config.training describe."""
    return EpsNet(
        module,
        sde,
        prediction=config.model.prediction,
        mixed_score=config.model.mixed_score,
        chain=0 if config.training.continuous else config.model.get("num_scales", 1000),
    )
