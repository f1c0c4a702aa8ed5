"""The interface of every forward process, and what follows from it.

    du = F(t) u dt + G(t) dw            u_t | u_0 ~ N(Psi(t, 0) u_0, Sigma(t)),      t in [0, T], T = 1
    dPsi/dt = F Psi,  Psi(s, s) = I     dSigma/dt = F Sigma + Sigma F^T + G G^T
    Sigma = R R^T with dR/dt = (F + 1/2 G G^T Sigma^-1) R        (gDDIM, arXiv:2206.05564, eq. 17)
    u_t = Psi(t, 0) u_0 + R(t) eps      score = -R(t)^-T eps

The state u stacks k components of every channel: (B, H, W, k*C) for images, (B, k*D) for points. Blocks (see
`blocks`) are float64 for host times and have the dtype of t for jax times. A network sees `to_image(u)`; this is u
itself unless the process lives in another basis.
"""

import abc
import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array, Block, Host, Times
from linnet.randomness import fold
from linnet.sde_lib import blocks

if TYPE_CHECKING:
    from linnet.sde_lib.chain import Chain


class LinearSDE(abc.ABC):
    """A linear SDE. Subclasses give F, GGt, Psi, Sigma and, where Sigma is not a scalar, R."""

    k = 1
    T = 1.0
    t_min: float
    grid = "log_snr"  # the time grid that suits samplers of the probability flow; see samplers.grids
    equal_times: bool | None = None  # whether samplers on equal times suit it; None: see samplers.base.grows_evenly
    label_rate = 999.0  # what networks are given of continuous time is this times t; see models.labels

    @abc.abstractmethod
    def F(self, t: Times) -> Block:
        """Drift matrix at times t, shape t.shape + spatial + (k, k)."""

    @abc.abstractmethod
    def GGt(self, t: Times) -> Block:
        """Diffusion matrix G G^T at times t, shape t.shape + spatial + (k, k)."""

    @abc.abstractmethod
    def Psi(self, t: Times, s: Times) -> Block:
        """Transition matrix from time s to time t (either may be the later), broadcast over t and s."""

    @abc.abstractmethod
    def Sigma(self, t: Times) -> Block:
        """Covariance of u_t given x_0, including what `lift` leaves random at t = 0."""

    def L(self, t: Times) -> Block:
        """Cholesky factor of Sigma(t): the ablation of R."""
        return blocks.cholesky(self.Sigma(t))

    def R(self, t: Times) -> Block:
        """The factor of Sigma that follows dR/dt = (F + 1/2 G G^T Sigma^-1) R; for k = 1 the square root."""
        return self.L(t)

    @property
    def chain(self) -> "Chain | None":
        """The sde_lib.chain.Chain that the process continues, where it does."""
        return None

    @property
    def last_time(self) -> float:
        """The time of the last state: T, or that of the last step of the chain."""
        return float(self.chain.times[-1]) if self.chain else self.T

    def factor(self, name: str) -> Callable[[Times], Block]:
        """The method R or L by its name."""
        if name not in ("R", "L"):
            raise ValueError(f"factor {name!r} is not a root of Sigma here; use 'R' or 'L'")
        return getattr(self, name)

    def until(self, t: float) -> "LinearSDE":
        """The same process with its end T at time t: for samplers that start from states at t (all but the prior).

        ValueError unless t_min < t <= T.
        """
        if not self.t_min < t <= self.T:
            raise ValueError(f"a process can end between t_min={self.t_min:.4g} and T={self.T:.4g}, not at t={t:.4g}")
        ended = copy.copy(self)
        ended.T = t
        return ended

    def prior_std(self) -> Host:
        """Standard deviation of the prior of each of the k components, shape (k,)."""
        return np.ones(self.k)

    def lift(self, x: Array) -> Array:
        """Images x (B, H, W, C) -> states u_0 (B, H, W, k*C); added components are 0."""
        return jnp.concatenate([x] + [jnp.zeros_like(x)] * (self.k - 1), axis=-1) if self.k > 1 else x

    def project(self, u: Array) -> Array:
        """States (B, H, W, k*C) -> images (B, H, W, C)."""
        return u[..., : u.shape[-1] // self.k]

    @property
    def exploding(self) -> bool:
        """Whether Psi = 1: the image stays as it is under growing noise."""
        return bool(np.all(self.Psi(self.T, 0.0) == 1))

    def to_image(self, u: Array) -> Array:
        """The state in the basis that a network sees, same shape; an orthogonal map."""
        return u

    def from_image(self, u: Array) -> Array:
        """Inverse of `to_image`."""
        return u

    def prior(self, key: Array, shape_of_x: tuple[int, ...]) -> Array:
        """u_T for images of shape (B, ..., C): one key, or one key per image of shape (B,). float32.

        Image i depends on (key, i) alone, not on B.
        """
        std = jnp.asarray(np.repeat(self.prior_std(), shape_of_x[-1]), jnp.float32)
        return std * normal_per_example(key, (*shape_of_x[:-1], self.k * shape_of_x[-1]))

    def prior_logp(self, u: Array) -> Array:
        """Log density of the prior at u, summed over everything but the batch: shape (B,)."""
        std = jnp.asarray(np.repeat(self.prior_std(), u.shape[-1] // self.k), u.dtype)
        terms = -0.5 * (u / std) ** 2 - jnp.log(std) - 0.5 * np.log(2 * np.pi)
        return terms.reshape(u.shape[0], -1).sum(1)

    def perturb(self, key: Array, u_0: Array, t: Times) -> tuple[Array, Array]:
        """(u_t, eps) with eps ~ N(0, I) and u_t = Psi(t, 0) u_0 + R(t) eps; t of shape (B,), key as in `prior`."""
        eps = normal_per_example(key, u_0.shape).astype(u_0.dtype)
        return self.mean(u_0, t) + blocks.apply(self.R(t), eps), eps

    def mean(self, u_0: Array, t: Times) -> Array:
        """Psi(t, 0) u_0, t of shape (B,)."""
        return blocks.apply(self.Psi(t, t * 0), u_0)

    def score(self, eps: Array, t: Times) -> Array:
        """-R(t)^-T eps, same shape as eps; t of shape () or (B,)."""
        return -blocks.apply(blocks.transpose(blocks.inverse(self.R(t))), eps)

    def eps(self, score: Array, t: Times) -> Array:
        """-R(t)^T score, the inverse of `score`."""
        return -blocks.apply(blocks.transpose(self.R(t)), score)


def example_keys(key: Array, n: int) -> Array:
    """n keys: those of one key folded with 0..n-1, or `key` itself when it already holds n keys."""
    return key if key.shape == (n,) else fold(key, jnp.arange(n))


def normal_per_example(key: Array, shape: tuple[int, ...]) -> Array:
    """Standard normal float32 of `shape`; row i depends on (key, i) alone (see `example_keys`)."""
    return jax.vmap(lambda k: jax.random.normal(k, shape[1:]))(example_keys(key, shape[0]))
