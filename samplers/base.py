"""What every sampler is: a callable (eps_fn, key, u_T) -> Samples that knows a process and a time grid."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from linnet.sde_lib import blocks


class Samples(NamedTuple):
    """u: final states, the shape of u_T. nfe: calls of eps_fn. trajectory: None, or {"t" (N,), "u", "x_0" (N, ...)}."""

    u: jax.Array
    nfe: int
    trajectory: Any = None


class Processes(NamedTuple):
    """The processes that a sampler makes sense for: words for the table, and a test of a process."""

    name: str
    accept: Callable[[Any], bool]


def _stationary(sde):
    """Whether the prior is invariant under the forward process: F S + S F^T + G G^T = 0."""
    S, t = np.diag(sde.prior_std() ** 2)[None, None], np.linspace(0.2, 0.8, 4) * sde.T
    F_S = blocks.matmul(sde.F(t), S)
    return np.allclose(F_S + blocks.transpose(F_S) + sde.GGt(t), 0, atol=1e-9 * np.abs(F_S).max())


ALL = Processes("all", lambda sde: True)
SCALAR = Processes("one noise level for all pixels", lambda sde: np.size(sde.Sigma(sde.T)) == 1)
DIAGONAL = Processes("k = 1", lambda sde: sde.k == 1)
STATIONARY = Processes("prior invariant under the forward process", _stationary)


class Sampler:
    """Base of the entries of SAMPLERS. `sde` is the process; keyword parameters are keys of config.sampling.

    __call__(eps_fn, key, u_T): eps_fn(u, t) with u of the shape of u_T and t of shape (B,); key is one key or one
    per image, and is used by stochastic samplers only. Pure, so that it can be jitted and mapped over devices.

    order: order of convergence of the mean path (deterministic samplers) or of the law (stochastic ones); class
    attributes are what the table shows, instances hold numbers. stochastic: whether noise is drawn.
    """

    order: Any = 1
    nfe_per_step: Any = 1
    stochastic = False
    processes = ALL
    reference = ""

    def __call__(self, eps_fn, key, u_T) -> Samples:
        raise NotImplementedError
