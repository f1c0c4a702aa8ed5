"""Variance-preserving diffusion: du = -1/2 beta(t) u dt + sqrt(beta(t)) dw (score_sde, arXiv:2011.13456, eq. 11).

With B(t, s) = int_s^t beta: Psi(t, s) = exp(-B(t, s) / 2) and Sigma(t) = -expm1(-B(t, 0)). A schedule is an object
with beta(t) and B(t, s), both in the array type of t, the end T of the process, and the `chain` it continues or None:

    linear      beta(t) = beta_min + (beta_max - beta_min) t
    cosine      alpha_bar(t) = cos^2(pi/2 (t + s) / (1 + s)), s = 0.008 (improved DDPM, arXiv:2102.09672, eq. 17)
    discrete    alpha_bar(i / N) = prod_{j < i} (1 - betas[j]), between the N + 1 points a monotone cubic (PCHIP);
                betas from beta_min / N to beta_max / N (DDPM), with discrete_cosine those of improved DDPM, with
                quad equidistant in their square roots

The cosine schedule has no signal left at t = 1 (alpha_bar = 0), so its process ends at T = 0.9946, and a discrete one
at its last state with log(alpha / sigma) >= -5.1: beyond it the predicted eps does not determine an image in float32.
Its chain has all N states.
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from linnet import registry
from linnet.arrays import Block, Host, Times
from linnet.sde_lib import blocks, chain
from linnet.sde_lib.base import LinearSDE

LEAST_LOG_RATIO = -5.1


@dataclasses.dataclass(frozen=True)
class LinearBeta:
    """beta(t) = beta_min + (beta_max - beta_min) t."""

    beta_min: float
    beta_max: float
    T = 1.0
    chain = None

    def beta(self, t: Times) -> Times:
        """The rate at times t, the shape of t."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def B(self, t: Times, s: Times) -> Times:
        """int_s^t beta, broadcast over t and s."""
        return (t - s) * (self.beta_min + (self.beta_max - self.beta_min) * (t + s) / 2)


class CosineBeta:
    """B(t, s) = 2 log(cos a(s) / cos a(t)) with a(t) = pi/2 (t + 0.008) / 1.008.

    cos a(t) = sin(pi/2 (1 - t) / 1.008) counts from its zero at t = 1, where float32 would lose digits.
    """

    T = 0.9946
    chain = None
    offset = 0.008
    rate = np.pi / 2 / (1 + offset)

    def _tan(self, t):
        """tan a(t)."""
        xp, t = blocks.namespace(t)
        return xp.sin(self.rate * (t + self.offset)) / xp.sin(self.rate * (1 - t))

    def beta(self, t: Times) -> Block:
        """The rate at times t, the shape of t."""
        return 2 * self.rate * self._tan(t)

    def B(self, t: Times, s: Times) -> Block:
        """int_s^t beta, broadcast over t and s."""
        # cos a(s) / cos a(t) = cos d + tan a(t) sin d with d = a(t) - a(s) >= 0: no loss of digits as t -> s.
        xp, t = blocks.namespace(t)
        later, earlier = xp.where(t < s, s, t), xp.where(t < s, t, s)
        d = self.rate * (later - earlier)
        B = 2 * xp.log1p(self._tan(later) * xp.sin(d) - 2 * xp.sin(d / 2) ** 2)
        return xp.where(t < s, -B, B)


class DiscreteBeta:
    """Piecewise-cubic B(t, 0) through the points (i / N, -sum_{j < i} log(1 - betas[j])). State i has t = (i + 1) / N.

    Raises ValueError unless betas is a sequence of at least two numbers in (0, 1).
    """

    def __init__(self, betas: Sequence[float] | Host) -> None:
        from scipy.interpolate import PchipInterpolator

        betas = np.asarray(betas, np.float64)
        if betas.ndim != 1 or len(betas) < 2 or not ((betas > 0) & (betas < 1)).all():
            raise ValueError("sde.betas must hold at least two numbers, all above 0 and below 1")
        self.chain = chain.Chain(betas)
        n = self.chain.n
        values = np.concatenate([[0.0], np.cumsum(-np.log1p(-betas))])
        log_ratio = -0.5 * (values[1:] + np.log(-np.expm1(-values[1:])))
        self.T = (1 + np.flatnonzero(log_ratio >= LEAST_LOG_RATIO)[-1]) / n
        knots = np.arange(n) / n
        rounded = knots.astype(np.float32)
        self.knots = np.stack([rounded, knots - rounded])  # in two parts, whose sum float32 does not round
        self.coefficients = PchipInterpolator(np.arange(n + 1), values).c[::-1]  # (4, N), ascending powers

    def _piece(self, t):
        xp, t = blocks.namespace(t)
        n = self.chain.n
        index = xp.clip(xp.floor(t * n), 0, n - 1).astype(int if xp is np else jnp.int32)
        c = xp.asarray(self.coefficients, t.dtype)[:, index]
        start, rest = xp.asarray(self.knots, t.dtype)[:, index]
        return c, n * (t - start - rest)

    def beta(self, t: Times) -> Block:
        """The rate at times t, the shape of t."""
        c, d = self._piece(t)
        return self.chain.n * (c[1] + d * (2 * c[2] + d * 3 * c[3]))

    def B(self, t: Times, s: Times) -> Block:
        """int_s^t beta, broadcast over t and s."""

        def at(t):
            c, d = self._piece(t)
            return c[0] + d * (c[1] + d * (c[2] + d * c[3]))

        return at(t) - at(s)


SCHEDULES = ("linear", "cosine", "discrete", "discrete_cosine", "quad")


def make_schedule(
    schedule: str, beta_min: float, beta_max: float, betas: Sequence[float] | Host | None, num_steps: int
) -> LinearBeta | CosineBeta | DiscreteBeta:
    """The schedule object named `schedule`; ValueError for unknown names or parameters it does not take."""
    registry.check(SCHEDULES, schedule, "config.sde.schedule")
    if betas is not None and schedule != "discrete":
        raise ValueError(f"sde.betas belongs to sde.schedule 'discrete', not {schedule!r}")
    if schedule == "linear":
        return LinearBeta(beta_min, beta_max)
    if schedule == "cosine":
        return CosineBeta()
    if schedule == "discrete_cosine":
        return DiscreteBeta(chain.cosine_betas(num_steps))
    if schedule == "quad":
        return DiscreteBeta(chain.quad_betas(num_steps, beta_min, beta_max))
    return DiscreteBeta(chain.linear_betas(num_steps, beta_min, beta_max) if betas is None else betas)


class BetaSDE(LinearSDE):
    """What VP and sub-VP share, k = 1: the drift -1/2 beta(t). num_steps: states of the discrete chains, unless `betas`
    are given.

    t_min: where sampling ends; of a discrete chain never before its first state, which no network has seen.
    """

    grid = "power"

    def __init__(
        self,
        schedule: str = "linear",
        beta_min: float = 0.1,
        beta_max: float = 20.0,
        betas: Sequence[float] | Host | None = None,
        num_steps: int = 1000,
        t_min: float = 1e-3,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        self.schedule = make_schedule(schedule, beta_min, beta_max, betas, num_steps)
        self.T = self.schedule.T
        self.t_min = max(t_min, self.schedule.chain.time(0)) if self.schedule.chain else t_min

    def F(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(-0.5 * self.schedule.beta(t))

    def Psi(self, t: Times, s: Times) -> Block:
        xp, t = blocks.namespace(t)
        _, s = blocks.namespace(s)
        return blocks.scalar(xp.exp(-0.5 * self.schedule.B(t, s)))


class VP(BetaSDE):
    """Variance-preserving SDE: G G^T = beta. With a discrete schedule it continues that chain."""

    @property
    def chain(self) -> chain.Chain | None:
        whole = self.schedule.chain
        if whole is None or self.T == self.schedule.T:
            return whole
        return whole.respaced(np.flatnonzero(whole.times < self.T * (1 + 1e-9)))

    def GGt(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(self.schedule.beta(t))

    def Sigma(self, t: Times) -> Block:
        xp, t = blocks.namespace(t)
        return blocks.scalar(-xp.expm1(-self.schedule.B(t, t * 0)))
