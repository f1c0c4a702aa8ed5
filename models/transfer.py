"""One network, every process: the eps of any isotropic linear SDE from a network that was trained under another one.

Of u | x_0 ~ N(mu x_0, Sigma), mu = Psi(t, 0) e_1 (k entries), the posterior of x_0 sees one number per pixel

    y = mu^T Sigma^-1 u / (mu^T Sigma^-1 mu) = x_0 + sigma n,      sigma = (mu^T Sigma^-1 mu)^(-1/2)

(arXiv:2506.21757, proposition 3.1), so it is that of the scalar problem of the same sigma, which every process meets at
some time s. With w = R^-1 mu, |w| = 1 / sigma, and the unit vector v = w / |w|,

    eps(u, t) = (I - v v^T) R^-1 u + v e,      e = (y - E[x_0 | y]) / sigma

e is the network's own eps: at u' = mu_s y under its process, e = v_s^T eps_s(u', s), as (I - v_s v_s^T) R_s^-1 u' = 0.
For k = 1 it is all there is, eps = e. Outside the noise that the network knows, sigma(first) to sigma(last): above,
where noise is all there is, the network sees y scaled to its last level; below, the score is that of its first level,
so that e = sigma / sigma(first) times the network's eps there.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from linnet.sde_lib import LinearSDE, blocks

STEPS = 60  # of bisection: to rounding, from an interval of any width


def check_isotropic(sde):
    """ValueError for a process whose noise differs between frequencies: what it leaves of an image is not one sigma."""
    if sde.Sigma(sde.T).shape[:2] != (1, 1):
        raise ValueError(
            f"the noise of {type(sde).__name__} differs between frequencies, so what it leaves of an image is not one "
            "noise level"
        )


def direction(sde, t):
    """(v, sigma) at jax times t (B,): blocks (B, 1, 1, k, 1) and (B, 1, 1, 1, 1)."""
    mu = sde.Psi(t, t * 0)[..., :, :1]
    w = blocks.matmul(blocks.inverse(sde.R(t)), mu)
    norm = jnp.sqrt((w**2).sum((-1, -2), keepdims=True))
    return w / norm, 1 / norm


def time_of(sde, sigma, first, last):
    """Times s in [first, last] at which the process has the effective noise `sigma` (B,), by bisection: (B,)."""

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        above = direction(sde, middle)[1].reshape(-1) > sigma
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    low, high = jax.lax.fori_loop(0, STEPS, halve, (sigma * 0 + first, sigma * 0 + last))
    return (low + high) / 2


@dataclasses.dataclass(frozen=True)
class Transferred:
    """eps_fn(u, t) of the process `sde`, from `eps_fn`, a network of the process `own` that knows times [first, last].

    ValueError for a process whose noise differs between frequencies (blur): its y has no single sigma.
    """

    eps_fn: Any
    own: LinearSDE
    sde: LinearSDE
    first: float
    last: float

    def __post_init__(self):
        for sde in (self.own, self.sde):
            check_isotropic(sde)

    def __call__(self, u, t):
        """eps, the shape of u; t (B,)."""
        v, sigma = direction(self.sde, t)
        whitened = blocks.apply(blocks.inverse(self.sde.R(t)), u)
        along = blocks.apply(blocks.transpose(v), whitened)
        e = self.scalar_eps(along * level(sigma, u), sigma.reshape(-1))
        return (whitened - blocks.apply(v, along)) + blocks.apply(v, e)

    def scalar_eps(self, y, sigma):
        """e for y (B, ..., C) of effective noise sigma (B,): the shape of y."""
        s = time_of(self.own, sigma, self.first, self.last)
        v, known = direction(self.own, s)
        ratio = level(sigma, y) / level(known, y)
        mu = self.own.Psi(s, s * 0)[..., :, :1]
        eps = self.eps_fn(blocks.apply(mu, y / jnp.maximum(ratio, 1)), s)
        return blocks.apply(blocks.transpose(v), eps) * jnp.minimum(ratio, 1)

    def of_image(self, i):
        """The same for image i of the batch alone, where the network is told something of each image."""
        inner = self.eps_fn.of_image(i) if hasattr(self.eps_fn, "of_image") else self.eps_fn
        return dataclasses.replace(self, eps_fn=inner)


def level(sigma, u):
    """sigma, one number for each of the B examples, to be multiplied with u (B, ...)."""
    return sigma.reshape(-1, *(1,) * (u.ndim - 1)).astype(u.dtype)
