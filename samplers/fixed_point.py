"""Sampling by iterating the map of DDDM from pure noise (arXiv:2405.13540, algorithm 2).

    x_T from the prior, x_hat ~ N(0, I);    nfe times:  x_hat <- clip(f(x_hat, x_T, T)),    T the last state

The noise x_T stays the same: only the estimate moves. A network with context_noise sees noised estimates, as in its
training (EpsNet.noised), with the less noise the nearer the end; the first is noise already. The state that is returned
is the last estimate.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array
from linnet.randomness import fold
from linnet.samplers.base import SCALAR, Depends, DirectNetwork, Sampler, Samples
from linnet.samplers.frames import chosen, scan
from linnet.sde_lib.base import example_keys, normal_per_example


class FixedPoint(Sampler):
    """clip_denoised: estimates to [-1, 1] at every step. trajectory: the estimates."""

    nfe: int = 1
    clip_denoised: bool = True

    order = Depends("-", lambda sampler: 0)  # follows no path
    stochastic = True
    takes = DirectNetwork
    processes = SCALAR
    reference = "arXiv:2405.13540"

    def __post_init__(self) -> None:
        if self.nfe < 1:
            raise ValueError(f"config.sampling.nfe={self.nfe}: fixed_point needs at least one evaluation")

    def run(self, network: Any, key: Array, u_T: Array) -> Samples:
        keys = example_keys(key, len(u_T))
        t = jnp.full(len(u_T), self.sde.last_time, u_T.dtype)

        def step(x_hat, i):
            fraction = jnp.full(len(u_T), 1 - i / self.nfe, u_T.dtype)
            noised = network.noised(x_hat, fraction, fold(keys, i))
            y = network.direct(jnp.where(i > 0, noised, x_hat), u_T, t)
            y = jnp.clip(y, -1, 1) if self.clip_denoised else y
            return y, y

        first = normal_per_example(keys, u_T.shape).astype(u_T.dtype)
        frames = chosen(self.trajectory, self.nfe)
        x_hat, visited = scan(step, first, jnp.arange(self.nfe), frames)
        if visited is not None:
            visited = {"t": np.full(len(frames), self.sde.last_time), "u": visited, "x_0": visited}
        return Samples(x_hat, self.nfe, visited)
