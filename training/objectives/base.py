"""What an objective is: losses of examples at drawn times, and what it keeps from step to step."""

import abc
from typing import Any

import jax.numpy as jnp


class Objective(abc.ABC):
    """Base of the entries of OBJECTIVES. `sde` is the process; drawn times lie between t_min and t_max.

    on_chain: whether it is about the discrete chain alone, so that the variational bound is its measure.
    keeps_estimates: whether an array like x is kept for every training example (see training.estimates) and given to
    `examine`.
    keys: those of config.training that it takes and others do not.
    """

    keys: tuple[str, ...] = ()
    fixed: Any = ()
    """Arrays that the losses need and training leaves as they are: arguments of compiled steps, not their constants."""

    on_chain = False
    keeps_estimates = False

    def init(self):
        """What the objective keeps before the first step: a pytree of arrays, () for nothing."""
        return ()

    def bind(self, fixed):
        """The objective with these arrays, on the device, in place of `fixed`."""
        return self

    def draw(self, extra, key, position, batch_size):
        """(times, weights), each (B,), of the examples at `position` (B,) of a global batch of `batch_size`.

        The mean of weights times losses is what training lowers.
        """
        return self.times(key, position, batch_size), jnp.ones(position.shape)

    def times(self, key, position, batch_size):
        """Times (B,) for objectives that draw them evenly."""
        raise NotImplementedError

    def update(self, extra, t, losses):
        """What is kept after the global batch with these times and losses, (B,) each."""
        return extra

    @abc.abstractmethod
    def losses(self, params, x, keys, t, train=True, condition=None):
        """Loss of each example, (B,) float32: x (B, H, W, C) in model range, keys (B,), t (B,).

        condition: keyword arguments of the network, each (B, ...).
        """

    def examine(self, params, x, keys, t, train=True, condition=None, estimates=None):
        """(`losses`, what else is seen of the examples: a dict of arrays (B, ...)).

        estimates: for objectives that keep them, {"x_hat": (B, ...), "epoch": (B,)}; what is seen then holds the next
        "estimate" (B, ...).
        """
        return self.losses(params, x, keys, t, train, condition), {}
