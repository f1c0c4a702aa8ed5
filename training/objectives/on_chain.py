"""Objectives on the discrete chain: i from a timestep sampler, x_i ~ q(x_i | x_0), a loss of the network's output."""

import abc
from typing import Any

import jax.numpy as jnp

from linnet import registry
from linnet.arrays import Array
from linnet.randomness import Part, fold
from linnet.sde_lib.base import normal_per_example
from linnet.sde_lib.chain import MEANINGS, VARIANCES
from linnet.sde_lib.variational import step_bits
from linnet.training.objectives.base import Condition, Objective, Params, dropout_keys, even_fractions
from linnet.training.timestep_samplers import get_timestep_sampler


class ChainObjective(Objective):
    """Subclasses give `loss`. ValueError for a process without a discrete chain, and for a prediction or a variance
    that the chain does not know.

    Training steps run over all steps of the chain; the mean and the variance of the reverse steps are those of
    config.model.prediction and config.model.variance.
    """

    t_min, t_max = 0.0, 1.0
    on_chain = True
    config_keys: tuple[str, ...] = ("timestep_sampler",)

    def __init__(self, config, eps_net):
        self.eps_net, self.sde = eps_net, eps_net.sde
        self.chain = self.sde.chain
        if self.chain is None:
            raise ValueError(
                f"config.training.objective={config.training.objective!r} needs a discrete chain: config.sde.name=vp "
                "and config.sde.schedule=discrete, discrete_cosine or quad"
            )
        self.timesteps = get_timestep_sampler(config.training.timestep_sampler, self.chain.n)
        self.prediction, self.variance = eps_net.prediction, eps_net.variance
        if self.prediction not in MEANINGS:
            raise ValueError(
                f"config.model.prediction={self.prediction!r} does not go with config.training.objective="
                f"{config.training.objective!r}; use one of {', '.join(MEANINGS)}, or the objective dsm"
            )
        registry.check(VARIANCES, self.variance, "config.model.variance")

    def init(self) -> Any:
        return self.timesteps.init()

    def weighted_times(self, extra: Any, key: Array, position: Array, batch_size: int) -> tuple[Array, Array]:
        fraction = even_fractions(key, position, batch_size)
        i, weights = self.timesteps.weighted_steps(extra, fraction)
        return self.chain.time(i), weights

    def step_of(self, t: Array) -> Array:
        """Step numbers of times that `weighted_times` returned, int32."""
        return jnp.round(self.chain.step(t)).astype(jnp.int32)

    def update(self, extra: Any, t: Array, losses: Array) -> Any:
        return self.timesteps.update(extra, self.step_of(t), losses)

    def losses(
        self, params: Params, x: Array, keys: Array, t: Array, train: bool = True, condition: Condition = None
    ) -> Array:
        dropout = dropout_keys(keys, train)
        noise = normal_per_example(fold(keys, Part.NOISE), x.shape)
        i = self.step_of(t)
        x_i = self.chain.q_sample(x, i, noise)
        output = self.eps_net.output(params, x_i, t, dropout, condition)
        return self.loss(output, x, x_i, i, noise)

    @abc.abstractmethod
    def loss(self, output: Array, x_0: Array, x: Array, i: Array, noise: Array) -> Array:
        """Loss of each example, (B,), from the network's output at x = q_sample(x_0, i, noise)."""

    def bits(self, output: Array, x_0: Array, x: Array, i: Array) -> Array:
        """The term of the variational bound at step i in bits per dimension, (B,)."""
        return step_bits(self.chain, x_0, x, i, self.chain.reverse(output, x, i, self.prediction, self.variance))
