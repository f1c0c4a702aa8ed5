"""Exact log density of states by the probability flow (arXiv:2011.13456, D.2), and from it bits per dimension.

With du/dt = f(u, t) = F u - 1/2 G G^T score from t_min to T,

    log p(u_0) = log prior(u_T) + int div f dt,     div f = tr F - 1/2 tr(G G^T d score / du)

p is the density of the states at t_min that the flow makes of the prior. The trace of F is known; the other one is
summed exactly (one derivative per dimension) or estimated without bias by z^T (d / du) z with probes z of mean 0 and
covariance I, one per image for the whole flow (Hutchinson; arXiv:1810.01367).

A process with added components v (CLD) has no density of x alone that could be computed. What is reported is the bound

    log p(x) = log E_q[p(x, v) / q(v)] >= E_q[log p(x, v) - log q(v)] = E_q[log p(x, v)] + H(q)

with q = N(0, Sigma(0)_vv), the law of v at t = 0, whose variance is vv_gamma / m_inv + eps for CLD (arXiv:2112.07068).
The gap is KL(q(v) || p(v | x)). One draw of log p(x, v) - log q(v) varies far less than log p(x, v) does, since
p(v | x) is close to q.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from linnet import registry
from linnet.arrays import Array, EpsFn, Host
from linnet.samplers import flow
from linnet.samplers.base import of_image
from linnet.sde_lib.base import LinearSDE, example_keys, normal_per_example

EXACT_LIMIT = 1024


class Density(NamedTuple):
    """latent: u_T, the shape of u_0. logp: log density in nats, (B,). nfe: network evaluations of each image, (B,).

    A derivative of the network, or one per dimension where the trace is exact, counts as part of its evaluation.
    """

    latent: jax.Array
    logp: jax.Array
    nfe: jax.Array


def _gaussian(key, shape):
    return jax.random.normal(key, shape)[None]


def _rademacher(key, shape):
    return jax.random.rademacher(key, shape, jnp.float32)[None]


def _exact(key, shape):
    size = int(np.prod(shape))
    if size > EXACT_LIMIT:
        raise ValueError(
            f"the exact trace takes a derivative for each of the {size} dimensions, at most {EXACT_LIMIT} are allowed: "
            "use config.eval.bpd_estimator=rademacher"
        )
    return jnp.eye(size).reshape(size, *shape)


ESTIMATORS = {"rademacher": _rademacher, "gaussian": _gaussian, "exact": _exact}
"""name -> (key, shape of one state) -> probes (n, *shape) with tr A estimated by the sum of z^T A z."""


class Likelihood:
    """likelihood(eps_fn, key, u_0) -> Density: u_0 (B, ...) states at time t_min, key one key or one per image. Pure.

    tolerance: relative and absolute, of the state and of log p. ValueError for an unknown estimator, or for the exact
    trace in more than 1024 dimensions.
    """

    def __init__(self, sde: LinearSDE, *, t_min: float, estimator: str = "rademacher", tolerance: float = 1e-5) -> None:
        flow.load_diffrax()
        self.sde = sde
        self.t_min = t_min
        self.probes = registry.choose(ESTIMATORS, estimator, "config.eval.bpd_estimator")
        self.tolerance = tolerance

    def _trace_F(self, t, size):
        """Divergence of F u for a state of `size` numbers."""
        return jnp.trace(self.sde.F(t), axis1=-2, axis2=-1).mean() * (size // self.sde.k)

    def _solve(self, eps_fn, key, u_0):
        probes = self.probes(key, u_0.shape).astype(u_0.dtype)

        def rate(t, state):
            u, _ = state

            def derivative(z):
                return jax.jvp(lambda u: flow.velocity(self.sde, eps_fn, t, u), (u,), (z,))

            (linear, pull), (_, slopes) = jax.vmap(derivative, out_axes=(None, 0))(probes)
            return linear + pull, self._trace_F(t, u.size) + (probes * slopes).sum()

        start = (u_0, jnp.zeros((), u_0.dtype))
        (latent, change), nfe = flow.solve(rate, start, (self.t_min, self.sde.T), self.tolerance, self.tolerance)
        return latent[0], change[0], nfe

    def __call__(self, eps_fn: EpsFn, key: Array, u_0: Array) -> Density:
        """The Density of states u_0 (B, ...); key: one, or one of each (B,)."""
        keys = example_keys(key, len(u_0))
        solve = jax.vmap(lambda i, key, u: self._solve(of_image(eps_fn, i), key, u))
        latent, change, nfe = solve(jnp.arange(len(u_0)), keys, u_0)
        return Density(latent, self.sde.prior_logp(latent) + change, nfe)


def complete(sde: LinearSDE, key: Array, x: Array) -> tuple[Array, Array]:
    """(states u_0, log q of what was added (B,)) for images x (B, ...): components beside x are drawn from q."""
    u_0 = sde.lift(x)
    if sde.k == 1:
        return u_0, jnp.zeros(len(x), u_0.dtype)
    variance = np.diagonal(sde.Sigma(0.0)[0, 0])[1:]
    std = jnp.asarray(np.repeat(np.sqrt(variance), x.shape[-1]), x.dtype)
    z = normal_per_example(key, (*x.shape[:-1], (sde.k - 1) * x.shape[-1])).astype(x.dtype)
    terms = -0.5 * z**2 - jnp.log(std) - 0.5 * np.log(2 * np.pi)
    return jnp.concatenate([x, std * z], axis=-1), terms.reshape(len(x), -1).sum(1)


def bits_per_dim(logp: Array, dimensions: int, bin_width: float = 1.0) -> Array:
    """-log2 of the probability of a bin, per dimension: logp in nats is the log density of `dimensions` numbers.

    bin_width: of one grey level in the range of the model, 2 / 256 for [-1, 1] and 8 bits; with x uniform in its bin
    the mean bounds the bits of the discrete image (uniform dequantisation, arXiv:1511.01844). 1: of the density.
    """
    return -logp / (dimensions * np.log(2)) - np.log2(bin_width)


def importance_weighted(bits: Host, dimensions: int) -> Host:
    """Bits per dimension (images, K) of K draws -> those of the mean of their weights (images,)."""
    nats = dimensions * np.log(2)
    return -(logsumexp(-bits.astype(np.float64) * nats, axis=1) - np.log(bits.shape[1])) / nats
