"""The discrete chain of DDPM (arXiv:2006.11239) and improved DDPM (arXiv:2102.09672): tables, and what follows.

    q(x_i | x_{i-1}) = N(sqrt(1 - beta_i) x_{i-1}, beta_i),  abar_i = prod_{j <= i} (1 - beta_j),  i = 0 .. N - 1
    q(x_i | x_0) = N(sqrt(abar_i) x_0, 1 - abar_i)
    q(x_{i-1} | x_i, x_0) = N(c1_i x_0 + c2_i x_i, beta_i (1 - abar_{i-1}) / (1 - abar_i)),  abar_{-1} = 1

It is the VP process with schedule "discrete" at t = (i + 1) / N. Every process with Psi^2 + Sigma = 1, at N equal steps
of its time, is such a chain too (`along`). Keeping some steps only gives another chain, with
betas 1 - abar_k / abar_{k'} between kept steps k' < k; networks see the original step numbers. Tables are float64 on
the host; arrays on the device keep their dtype. i has shape (B,), x (B, ...).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from linnet import registry
from linnet.arrays import Array, Host, per_example
from linnet.sde_lib.base import LinearSDE
from linnet.sde_lib.respacing import kept_steps

VARIANCES = ("fixed_small", "fixed_large", "learned_range", "learned")
MEANINGS = ("eps", "x_0", "v", "previous")
"""What the output of a network on a chain may mean."""


class Reverse(NamedTuple):
    """p(x_{i-1} | x_i): mean and log variance (broadcasts to the mean), and the predicted x_0 (clipped if asked)."""

    mean: Array
    log_variance: Array
    x_0: Array


def linear_betas(num_steps: int, beta_min: float = 0.1, beta_max: float = 20.0) -> Host:
    """betas of DDPM: from beta_min / N to beta_max / N, (N,)."""
    return np.linspace(beta_min, beta_max, num_steps) / num_steps


def quad_betas(num_steps: int, beta_min: float = 0.1, beta_max: float = 20.0) -> Host:
    """betas of which the square roots are equidistant, from beta_min / N to beta_max / N, (N,)."""
    return np.linspace(beta_min**0.5, beta_max**0.5, num_steps) ** 2 / num_steps


def cosine_betas(num_steps: int, offset: float = 0.008, largest: float = 0.999) -> Host:
    """betas of improved DDPM: abar_i = f((i + 1) / N) / f(0), f(u) = cos^2(pi/2 (u + offset) / (1 + offset)), (N,)."""
    angle = np.pi / 2 * (np.arange(num_steps + 1) / num_steps + offset) / (1 + offset)
    f = np.cos(angle) ** 2
    return np.minimum(1 - f[1:] / f[:-1], largest)


class Chain:
    """A chain of n steps with its tables, each (n,) float64, the last one at time T.

    timestep_map: number of each step in the chain that was trained; `original` is that chain (itself if not respaced).
    """

    def __init__(
        self,
        betas: Sequence[float] | Host,
        timestep_map: Host | None = None,
        original: "Chain | None" = None,
        T: float = 1.0,
    ) -> None:
        self.betas = betas = np.asarray(betas, np.float64)
        self.n = len(betas)
        self.timestep_map = np.arange(self.n) if timestep_map is None else timestep_map
        self.original = original or self
        self.T = T
        self.alphas_cumprod = abar = np.cumprod(1 - betas)
        self.alphas_cumprod_prev = before = np.append(1.0, abar[:-1])
        self.alphas_cumprod_next = np.append(abar[1:], 0.0)
        self.posterior_variance = betas * (1 - before) / (1 - abar)
        self.posterior_mean_coef1 = betas * np.sqrt(before) / (1 - abar)
        self.posterior_mean_coef2 = (1 - before) * np.sqrt(1 - betas) / (1 - abar)
        # The last step has no noise; what takes its place in logarithms is the variance of the step before it.
        first = self.posterior_variance[1] if self.n > 1 else betas[0]
        self.posterior_log_variance_clipped = np.log(np.append(first, self.posterior_variance[1:]))
        self.log_betas = np.log(betas)
        self.fixed_large_log_variance = np.log(np.append(first, betas[1:]))

    def respaced(self, respacing: str | Sequence[int] | Host) -> "Chain":
        """The chain of the kept steps: a text of sde_lib.respacing, or increasing step numbers."""
        kept = kept_steps(self.n, respacing) if isinstance(respacing, str) else np.asarray(respacing)
        abar = self.alphas_cumprod[kept]
        betas = 1 - abar / np.append(1.0, abar[:-1])
        return Chain(betas, self.timestep_map[kept], self.original, self.T)

    @classmethod
    def along(cls, sde: LinearSDE, n: int) -> "Chain":
        """The chain of n equal steps of a process with Psi^2 + Sigma = 1 and one noise level for all pixels."""
        t = sde.T * np.arange(n + 1) / n
        return cls(1 - np.asarray(sde.Psi(t[1:], t[:-1]))[:, 0, 0, 0, 0] ** 2, T=sde.T)

    @property
    def times(self) -> Host:
        """Time of each step, (n,)."""
        return self.original.time(self.timestep_map)

    def time(self, i: Any) -> Any:
        """Times of the steps i = 0 .. n - 1 of the chain that was trained, the shape of i."""
        return (i + 1) / self.original.n * self.T

    def step(self, t: Any) -> Any:
        """Inverse of `time`, the shape of t; between two steps a fraction."""
        return self.original.n * t / self.T - 1

    def at(self, table: Host, i: Array, x: Array) -> Array:
        """table[i] in the dtype of x (B, ...), shaped to broadcast with it."""
        return per_example(jnp.asarray(table, x.dtype)[i], x)

    def q_mean(self, x_0: Array, i: Array) -> Array:
        """Mean of q(x_i | x_0)."""
        return self.at(np.sqrt(self.alphas_cumprod), i, x_0) * x_0

    def q_sample(self, x_0: Array, i: Array, noise: Array) -> Array:
        """x_i for standard normal noise of the shape of x_0."""
        return self.q_mean(x_0, i) + self.at(np.sqrt(1 - self.alphas_cumprod), i, x_0) * noise

    def posterior_mean(self, x_0: Array, x: Array, i: Array) -> Array:
        """Mean of q(x_{i-1} | x_i, x_0)."""
        return self.at(self.posterior_mean_coef1, i, x) * x_0 + self.at(self.posterior_mean_coef2, i, x) * x

    def x_0_from_eps(self, eps: Array, x: Array, i: Array) -> Array:
        """x_0, the shape of x (B, ...), of which x is the noised version by eps (B, ...) at steps i (B,)."""
        inverse = 1 / self.alphas_cumprod
        return self.at(np.sqrt(inverse), i, x) * x - self.at(np.sqrt(inverse - 1), i, x) * eps

    def eps_from_x_0(self, x_0: Array, x: Array, i: Array) -> Array:
        """Inverse of x_0_from_eps."""
        inverse = 1 / self.alphas_cumprod
        return (self.at(np.sqrt(inverse), i, x) * x - x_0) / self.at(np.sqrt(inverse - 1), i, x)

    def _x_0_from_v(self, v, x, i):
        abar = self.alphas_cumprod
        return self.at(np.sqrt(abar), i, x) * x - self.at(np.sqrt(1 - abar), i, x) * v

    def _x_0_from_previous(self, mean, x, i):
        """The network gives the mean of one step of the original chain."""
        c1, c2 = (getattr(self.original, f"posterior_mean_coef{j}")[self.timestep_map] for j in (1, 2))
        return self.at(1 / c1, i, x) * mean - self.at(c2 / c1, i, x) * x

    def predicted_x_0(self, prediction: str, f: Array, x: Array, i: Array) -> Array:
        """x_0 from a network output f (B, ...) that means `prediction`. ValueError for one not in MEANINGS."""
        if prediction not in MEANINGS:
            raise ValueError(
                f"config.model.prediction {prediction!r} is not for a discrete chain; use one of {', '.join(MEANINGS)}"
            )
        return {
            "eps": self.x_0_from_eps,
            "x_0": lambda f, x, i: f,
            "v": self._x_0_from_v,
            "previous": self._x_0_from_previous,
        }[prediction](f, x, i)

    def target(self, prediction: str, x_0: Array, x: Array, i: Array, noise: Array) -> Array:
        """What a network that means `prediction` should give."""
        return {
            "eps": lambda: noise,
            "x_0": lambda: x_0,
            "v": lambda: (
                self.at(np.sqrt(self.alphas_cumprod), i, x) * noise
                - self.at(np.sqrt(1 - self.alphas_cumprod), i, x) * x_0
            ),
            "previous": lambda: self.original.posterior_mean(x_0, x, jnp.asarray(self.timestep_map)[i]),
        }[prediction]()

    def log_variance(self, variance: str, values: Array | None, x: Array, i: Array) -> Array:
        """Log variance of the reverse step, broadcasting to x. values: second half of the output, or None."""
        registry.check(VARIANCES, variance, "variance")
        small = self.at(self.posterior_log_variance_clipped, i, x)
        if variance == "fixed_small":
            return small
        if variance == "fixed_large":
            return self.at(self.fixed_large_log_variance, i, x)
        if values is None:
            raise ValueError(f"variance {variance!r} needs a network with model.learn_sigma=True")
        if variance == "learned":
            return values
        return small + (values + 1) / 2 * (self.at(self.log_betas, i, x) - small)

    def reverse(
        self,
        output: Array,
        x: Array,
        i: Array,
        prediction: str = "eps",
        variance: str = "fixed_large",
        clip: bool = False,
    ) -> Reverse:
        """p(x_{i-1} | x_i) from a network output of the channels of x, or twice as many.

        clip: x_0 to [-1, 1], and with it the mean, which follows from x_0; but a network that means "previous" gives
        the mean of a step of its own chain itself.
        """
        f, values = split_output(output, x)
        x_0 = self.predicted_x_0(prediction, f, x, i)
        x_0 = jnp.clip(x_0, -1.0, 1.0) if clip else x_0
        given = prediction == "previous" and self.original is self
        mean = f if given else self.posterior_mean(x_0, x, i)
        return Reverse(mean, self.log_variance(variance, values, x, i), x_0)


def split_output(output: Array, x: Array) -> tuple[Array, Array | None]:
    """(prediction, variance values or None) of a network output with once or twice the channels of x."""
    channels = x.shape[-1]
    return output[..., :channels], output[..., channels:] if output.shape[-1] > channels else None
