"""Replacement: what is known of an image, y = A x_0, is written into the state after every step.

    u <- (1 - P) u + P (Psi(t, 0) lift(x) + R(t) z),    z ~ N(0, I),    P = A^+ A in every component of the pixels

where A x = y. All components are drawn, x and those beside it, from their joint law given y at time t. Where all pixels
are noised alike only the measured part of x counts, and that is y; under blur what is seen of a state depends on pixels
that are not, for which the prediction at the state before stands, with its measured part put right.

    ReplacingPC   after each predictor and corrector step of score_sde (arXiv:2011.13456, appendix I.2)
    Replacing     after each step of another sampler. With `resamples` > 1 each step is repeated from a state that is
                  noised again from its end, so that both parts get to know each other (RePaint, arXiv:2201.09865)
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from linnet.arrays import Array
from linnet.samplers import stochastic
from linnet.samplers.base import Samples
from linnet.samplers.exponential import Recursion, advance, noise_of
from linnet.samplers.measurements import Measurement, impose, project
from linnet.samplers.posterior import predicted
from linnet.samplers.predictor_corrector import PredictorCorrector
from linnet.sde_lib import LinearSDE, blocks
from linnet.sde_lib.base import example_keys

ANEW = 2**30
"""Added to the number of a draw: that of the measured part."""

AGAIN = 2**29
"""The same: noise of a step back."""


@dataclasses.dataclass(frozen=True)
class Known:
    """An eps function with what is known of its images, as the samplers of this file are given it."""

    network: Any
    sde: LinearSDE
    A: Measurement
    y: Array

    def __call__(self, u: Array, t: Array) -> Array:
        """eps of the network, the shape of u (B, ...), at times t (B,)."""
        return self.network(u, t)

    def replace(self, u: Array, last: tuple[Array, ...], t: Array, z: Array) -> Array:
        """u at time t () with its measured part drawn anew by z. last: (state, eps, time ()) of the last evaluation."""
        sde = self.sde
        times = jnp.full(len(u), t)
        before, eps, s = last
        x = impose(self.A, self.y, predicted(sde, before, eps, jnp.full(len(u), s)))
        drawn = sde.mean(sde.lift(x), times) + blocks.apply(sde.R(times), z)
        return u + self.measured(drawn - u)

    def measured(self, u: Array) -> Array:
        """P u, of every component."""
        parts = jnp.split(self.sde.to_image(u), self.sde.k, axis=-1)
        return self.sde.from_image(jnp.concatenate([project(self.A, part) for part in parts], axis=-1))


def replacing(sampler: Any, resamples: int | None = None) -> Any:
    """`sampler` as one of Known networks. ValueError for one that cannot be, and for resamples of pc."""
    if not isinstance(sampler, PredictorCorrector):
        return Replacing(sampler, 1 if resamples is None else resamples)
    if resamples is not None:
        raise ValueError("resamples means nothing to config.sampling.method=pc: it has config.sampling.n_steps_each")
    fields = [field.name for field in dataclasses.fields(sampler) if field.init]
    return ReplacingPC(**{name: vars(sampler)[name] for name in fields})


class ReplacingPC(PredictorCorrector):
    """score_sde's predictor-corrector sampler of a Known network."""

    def settle(self, network: Any, u: Array, last: tuple[Array, ...], t: Array, keys: Array, i: Any) -> Array:
        return jnp.where(t > 0, network.replace(u, last, t, noise_of(keys, ANEW + i, u)), u)


@dataclasses.dataclass(frozen=True)
class Replacing:
    """replacing(network, key, u_T) -> Samples, of a Known network, by the steps of `sampler`.

    ValueError for a sampler that is no table with a row for each step, and for resamples < 1.
    """

    sampler: Recursion
    resamples: int = 1

    def __post_init__(self):
        sampler = self.sampler
        if not isinstance(sampler, Recursion) or sampler.nfe_per_step > 1 or sampler.rows.eps.shape[1] > 1:
            raise ValueError(
                "method=replacement needs a sampler whose steps see one evaluation: config.sampling.method=pc, em, "
                "order0, or sdeis with config.sampling.deis_order=0"
            )
        if self.resamples < 1:
            raise ValueError(f"resamples={self.resamples} must be at least 1")

    @property
    def nfe(self) -> int:
        """Evaluations of an image."""
        n = len(self.sampler.rows.times)
        return (n - 1) * self.resamples + 1

    def __call__(self, network: Known, key: Array, u_T: Array) -> Samples:
        """Samples from u_T (B, ...); key: one, or one of each (B,)."""
        rows, sde = self.sampler.rows, self.sampler.sde
        keys = example_keys(key, len(u_T))
        t, ends = rows.times[:-1], rows.times[1:]
        Psi, Q = stochastic.transition(sde, t, ends)
        tables = (jax.tree.map(lambda a: a[:-1], rows), {"end": ends, "Psi": Psi, "root": blocks.root(Q)})
        tables, last = jax.tree.map(lambda a: jnp.asarray(a, u_T.dtype), (tables, jax.tree.map(lambda a: a[-1], rows)))

        def down(u, row, at, i):
            after, _, eps = advance(network, u, (), row, keys, i)
            return network.replace(after, (u, eps, row.times), at["end"], noise_of(keys, ANEW + i, u))

        def step(u, numbered):
            i, (row, at) = numbered

            def again(u, j):
                u = down(u, row, at, i * self.resamples + j)
                z = noise_of(keys, AGAIN + i * self.resamples + j, u)
                return blocks.apply(at["Psi"], u) + blocks.apply(at["root"], z), None

            u, _ = jax.lax.scan(again, u, jnp.arange(self.resamples - 1))
            return down(u, row, at, (i + 1) * self.resamples - 1), None

        n = len(rows.times)
        u, _ = jax.lax.scan(step, u_T, (jnp.arange(n - 1), tables))
        return Samples(advance(network, u, (), last, keys, n * self.resamples)[0], self.nfe)
