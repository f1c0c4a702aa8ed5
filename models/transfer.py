"""One network, every process: the eps of any isotropic linear SDE from a network that was trained under another one.

Of u | x_0 ~ N(mu x_0, Sigma), mu = Psi(t, 0) e_1 (k entries), the posterior of x_0 sees one number per pixel

    y = mu^T Sigma^-1 u / (mu^T Sigma^-1 mu) = x_0 + sigma n,      sigma = (mu^T Sigma^-1 mu)^(-1/2)

(arXiv:2506.21757, proposition 3.1), so it is that of the scalar problem of the same sigma, which every process meets at
some time s. With w = R^-1 mu, |w| = 1 / sigma, and the unit vector v = w / |w|,

    eps(u, t) = (I - v v^T) R^-1 u + v e,      e = (y - E[x_0 | y]) / sigma

e is the network's own eps: at u' = mu_s y under its process, e = v_s^T eps_s(u', s), as (I - v_s v_s^T) R_s^-1 u' = 0.
For k = 1 it is all there is, eps = e. A network with a velocity is shown the mean of what says nothing of x_0, which in
training was noise.

A process may ask for more or less noise than the network knows, sigma(first) to sigma(last): CLD, VP, EDM differ in
both ends. Above, where next to nothing is left of x_0, the predicted image is that of the last level, from y scaled to
it; below, the score is that of the first level, so that e = sigma / sigma(first) times the network's eps there:

    rho = sigma / sigma_s,  s in [first, last]      e = min(rho, 1 / rho) v_s^T eps_s(mu_s y / max(rho, 1), s)
                                                        + (1 - 1 / max(rho, 1)) y / sigma
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from linnet.arrays import Array, Block, per_example
from linnet.sde_lib import LinearSDE, blocks
from linnet.sde_lib.chain import MEANINGS

STEPS = 60  # of bisection: to rounding, from an interval of any width


def check_isotropic(sde: LinearSDE) -> None:
    """ValueError for a process whose noise differs between frequencies: what it leaves of an image is not one sigma."""
    if sde.Sigma(sde.T).shape[:2] != (1, 1):
        raise ValueError(
            f"the noise of {type(sde).__name__} differs between frequencies, so what it leaves of an image is not one "
            "noise level: as config.sde and config.network_sde name two processes that treat all pixels alike"
        )


def direction(sde: LinearSDE, t: Array) -> tuple[Block, Array]:
    """(v, sigma) at jax times t (B,): blocks (B, 1, 1, k, 1) and (B, 1, 1, 1, 1)."""
    mu = sde.Psi(t, t * 0)[..., :, :1]
    w = blocks.matmul(blocks.inverse(sde.R(t)), mu)
    norm = jnp.sqrt((w**2).sum((-1, -2), keepdims=True))
    return w / norm, 1 / norm


def time_of(sde: LinearSDE, sigma: Array, first: float, last: float) -> Array:
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

    variance: of reverse steps, where `sde` is a chain. With "learned_range" the network's share between the two fixed
    variances is that of the step of `sde` with the same effective noise; eps_fn is a models.guidance.BoundEps then.
    ValueError for a process whose noise differs between frequencies (blur): its y has no single sigma.
    """

    eps_fn: Any
    own: LinearSDE
    sde: LinearSDE
    first: float
    last: float
    variance: str = "fixed_large"

    prediction = "eps"

    def __post_init__(self):
        for sde in (self.own, self.sde):
            check_isotropic(sde)

    def __call__(self, u: Array, t: Array) -> Array:
        """eps, the shape of u; t (B,)."""
        return self._carry(self.eps_fn, u, t)

    def output(self, u: Array, t: Array) -> Array:
        """eps, and after it what the network says of the variance, if it does: once or twice the channels of u."""
        if self.variance != "learned_range":
            return self(u, t)
        said = []

        def eps_fn(u, s):
            eps, values = self.eps_fn.parts(u, s)
            said.append(values)
            return eps

        return jnp.concatenate([self._carry(eps_fn, u, t), *said], axis=-1)

    def _carry(self, eps_fn, u, t):
        """eps from eps_fn, of the network's own process."""
        v, sigma = direction(self.sde, t)
        whitened = blocks.apply(blocks.inverse(self.sde.R(t)), u)
        along = blocks.apply(blocks.transpose(v), whitened)
        e = self._scalar(eps_fn, along, sigma.reshape(-1))
        return (whitened - blocks.apply(v, along)) + blocks.apply(v, e)

    def _scalar(self, eps_fn, z, sigma):
        """e for z = y / sigma (B, ..., C) of effective noise sigma (B,): the shape of z."""
        s = time_of(self.own, sigma, self.first, self.last)
        v, _ = direction(self.own, s)
        _, ends = direction(self.own, jnp.asarray([self.first, self.last], s.dtype))
        rho = level(sigma / jnp.clip(sigma, *ends.reshape(2)), z)  # exactly 1 where the network knows the noise
        above = jnp.maximum(rho, 1)
        mu = self.own.Psi(s, s * 0)[..., :, :1]
        eps = blocks.apply(blocks.transpose(v), eps_fn(blocks.apply(mu, z * level(sigma, z) / above), s))
        return jnp.minimum(rho, 1 / rho) * eps + (1 - 1 / above) * z

    def of_image(self, i: Any) -> "Transferred":
        """The same for image i of the batch alone, where the network is given something of each image."""
        inner = self.eps_fn.of_image(i) if hasattr(self.eps_fn, "of_image") else self.eps_fn
        return dataclasses.replace(self, eps_fn=inner)


@dataclasses.dataclass(frozen=True)
class CarriedNet:
    """An EpsNet as networks of the process `sde` are: with `bind` and `variance` (see Transferred).

    net: the EpsNet, which knows the times of its own process from `first` on. ValueError as Transferred, and for DDDM's
    map.
    """

    net: Any
    sde: LinearSDE
    first: float

    def __post_init__(self):
        if self.net.prediction == "direct":
            raise ValueError(
                "a network with config.model.prediction='direct' gives no eps: it is sampled under its own process, "
                "without config.network_sde"
            )
        self.bind(None)

    @property
    def variance(self) -> str:
        """The network's own; fixed_large for log variances of the steps of its own chain ("learned")."""
        if not self.net.variance.startswith("learned"):
            return self.net.variance
        shares = self.net.variance == "learned_range" and self.net.prediction in MEANINGS
        return "learned_range" if shares else "fixed_large"

    def bind(self, params: Any, *given: Any) -> Transferred:
        """What samplers are given; given: condition and guidance, as of EpsNet.bind."""
        bound = self.net.bind(params, *given)
        return Transferred(bound, self.net.sde, self.sde, self.first, self.net.sde.T, self.variance)

    def begin(self, t_min: float, on_chain: bool) -> float:
        """The smallest time from t_min on whose noise the network knows; see EpsNet.begin."""
        first = self.net.begin(t_min, on_chain)
        sigma = direction(self.net.sde, jnp.full(1, first))[1].reshape(-1)
        return float(time_of(self.sde, sigma, t_min, self.sde.T)[0])


def level(sigma: Array, u: Array) -> Array:
    """sigma, one number for each of the B examples, to be multiplied with u (B, ...)."""
    return per_example(sigma, u).astype(u.dtype)
