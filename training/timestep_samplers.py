"""How objectives on a discrete chain choose steps: TIMESTEP_SAMPLERS, by the name in config.training.timestep_sampler.

    uniform               p_i = 1 / N
    loss_second_moment    p_i ~ sqrt(E L_i^2) over the last HISTORY losses of each step, mixed with a little of uniform,
                          once every step has that many; uniform before (arXiv:2102.09672, section 3.3)

Each draw carries the weight 1 / (N p_i), so that the weighted mean loss has the same expectation.
"""

from typing import Any

import jax.numpy as jnp

from linnet import registry
from linnet.arrays import Array

HISTORY = 10
UNIFORM_SHARE = 1e-3


class Uniform:
    """Steps 0 .. n - 1, all alike."""

    def __init__(self, n):
        self.n = n

    def init(self) -> Any:
        """What is kept: nothing."""
        return ()

    def weighted_steps(self, extra: Any, fraction: Array) -> tuple[Array, Array]:
        """(steps int32, weights float32) for numbers in [0, 1), (B,) each."""
        return jnp.minimum((fraction * self.n).astype(jnp.int32), self.n - 1), jnp.ones(fraction.shape)

    def update(self, extra: Any, i: Array, losses: Array) -> Any:
        """What is kept after the losses (B,) at steps i (B,)."""
        return extra


class LossSecondMoment:
    """Steps in proportion to the root mean square of their last losses.

    It keeps {"history": (n, HISTORY) float32, oldest first, "count": (n,) int32}.
    """

    def __init__(self, n, history=HISTORY, uniform_share=UNIFORM_SHARE):
        self.n = n
        self.history = history
        self.uniform_share = uniform_share

    def init(self) -> Any:
        """What is kept before the first step: no losses."""
        return {"history": jnp.zeros((self.n, self.history)), "count": jnp.zeros(self.n, jnp.int32)}

    def probabilities(self, extra: Any) -> Array:
        """p (n,)."""
        size = jnp.sqrt((extra["history"] ** 2).mean(1))
        mixed = (1 - self.uniform_share) * size / size.sum() + self.uniform_share / self.n
        return jnp.where((extra["count"] == self.history).all(), mixed, 1 / self.n)

    def weighted_steps(self, extra: Any, fraction: Array) -> tuple[Array, Array]:
        """(steps int32, weights float32) for numbers in [0, 1), (B,) each."""
        p = self.probabilities(extra)
        edges = jnp.cumsum(p)
        i = jnp.searchsorted(edges, fraction * edges[-1], side="right").astype(jnp.int32)
        i = jnp.minimum(i, self.n - 1)
        return i, 1 / (self.n * p[i])

    def update(self, extra: Any, i: Array, losses: Array) -> Any:
        """Appends the losses in their order; of each step the last HISTORY stay."""
        history, count = extra["history"], extra["count"]
        earlier = jnp.tril(i[:, None] == i[None, :], -1).sum(1)  # losses of the same step before each one
        total = count + jnp.zeros_like(count).at[i].add(1)
        shift = jnp.maximum(total - self.history, 0)
        places = jnp.arange(self.history) + shift[:, None]
        moved = jnp.take_along_axis(history, jnp.minimum(places, self.history - 1), axis=1)
        place = count[i] + earlier - shift[i]
        place = jnp.where(place < 0, self.history, place)  # pushed out at once: out of bounds, dropped
        history = moved.at[i, place].set(losses.astype(history.dtype), mode="drop")
        return {"history": history, "count": jnp.minimum(total, self.history)}


TIMESTEP_SAMPLERS = {"uniform": Uniform, "loss_second_moment": LossSecondMoment}


def get_timestep_sampler(name: str, n: int) -> Uniform | LossSecondMoment:
    """The sampler `name` for a chain of n steps. ValueError for an unknown name."""
    return registry.choose(TIMESTEP_SAMPLERS, name, "config.training.timestep_sampler")(n)
