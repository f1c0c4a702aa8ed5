"""What every sampler is: a callable (eps_fn, key, u_T) -> Samples that knows a process and a time grid."""

from typing import Any, NamedTuple

import jax


class Samples(NamedTuple):
    """u: final states, the shape of u_T. nfe: calls of eps_fn. trajectory: None, or {"t" (N,), "u", "x_0" (N, ...)}."""

    u: jax.Array
    nfe: int
    trajectory: Any = None


class Sampler:
    """Base of the entries of SAMPLERS. `sde` is the process; keyword parameters are keys of config.sampling.

    __call__(eps_fn, key, u_T): eps_fn(u, t) with u of the shape of u_T and t of shape (B,); key is one key or one
    per image, and is used by stochastic samplers only. Pure, so that it can be jitted and mapped over devices.
    """

    def __call__(self, eps_fn, key, u_T) -> Samples:
        raise NotImplementedError
