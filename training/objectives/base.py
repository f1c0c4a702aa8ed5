"""What an objective is: losses of examples at drawn times, and what it keeps from step to step."""

import abc
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from linnet.arrays import Array
from linnet.randomness import Part, fold

Params: TypeAlias = dict[str, Any]
"""The parameters of the network."""

Condition: TypeAlias = dict[str, Any] | None
"""Keyword arguments of the network besides the state and the time, each (B, ...)."""

Seen: TypeAlias = tuple[Array, dict[str, Array]]
"""Losses (B,), and what else is seen of the examples, by name (B, ...)."""


class Objective(abc.ABC):
    """Base of the entries of OBJECTIVES. `sde` is the process; drawn times lie between t_min and t_max.

    on_chain: whether it is about the discrete chain alone, so that the variational bound is its measure.
    keeps_estimates: whether an array like x is kept for every training example (see training.estimates) and given to
    `examine`.
    by_time: what of `examine` is logged by quarters of the time as well. draws: whether its networks make images.
    config_keys: those of config.training that it takes and others do not.
    """

    config_keys: tuple[str, ...] = ()
    fixed: Any = ()
    """Arrays that the losses need and training leaves as they are: arguments of compiled steps, not their constants."""

    sde: Any
    t_min: Any
    t_max: Any
    on_chain = False
    keeps_estimates = False
    by_time: tuple[str, ...] = ()
    draws = True

    def init(self) -> Any:
        """What the objective keeps before the first step: a pytree of arrays, () for nothing."""
        return ()

    def bind(self, fixed: Any) -> "Objective":
        """The objective with these arrays, on the device, in place of `fixed`."""
        return self

    def weighted_times(self, extra: Any, key: Array, position: Array, batch_size: int) -> tuple[Array, Array]:
        """(times, weights), each (B,), of the examples at `position` (B,) of a global batch of `batch_size`.

        The mean of weights times losses is what training lowers.
        """
        return self.times(key, position, batch_size), jnp.ones(position.shape)

    def times(self, key: Array, position: Array, batch_size: int) -> Array:
        """Times (B,) for objectives that draw them evenly."""
        raise NotImplementedError

    def update(self, extra: Any, t: Array, losses: Array) -> Any:
        """What is kept after the global batch with these times and losses, (B,) each."""
        return extra

    @abc.abstractmethod
    def losses(
        self, params: Params, x: Array, keys: Array, t: Array, train: bool = True, condition: Condition = None
    ) -> Array:
        """Loss of each example, (B,) float32: x (B, H, W, C) in model range, keys (B,), t (B,)."""

    def examine(
        self,
        params: Params,
        x: Array,
        keys: Array,
        t: Array,
        train: bool = True,
        condition: Condition = None,
        estimates: dict[str, Array] | None = None,
    ) -> Seen:
        """(`losses`, what else is seen of the examples: a dict of arrays (B, ...)).

        estimates: for objectives that keep them, {"x_hat": (B, ...), "epoch": (B,)}; what is seen then holds the next
        "estimate" (B, ...).
        """
        return self.losses(params, x, keys, t, train, condition), {}


def even_fractions(key: Array, position: Array, batch_size: int) -> Array:
    """Numbers in [0, 1), (B,): an even grid over the global batch, shifted by one uniform number."""
    return (jax.random.uniform(key) + position / batch_size) % 1.0


def dropout_keys(keys: Array, train: bool) -> Array | None:
    """Keys of dropout from those of examples (B,); None where nothing is dropped."""
    return fold(keys, Part.DROPOUT) if train else None
