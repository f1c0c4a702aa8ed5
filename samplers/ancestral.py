"""Sampling along the discrete chain of a VP process: DDPM, improved DDPM, and DDIM with any eta.

    ddpm     x_{i-1} ~ N(c1 x_0 + c2 x_i, variance)                          (arXiv:2006.11239, arXiv:2102.09672)
    ddim     x_{i-1} = sqrt(abar_{i-1}) x_0 + sqrt(1 - abar_{i-1} - sigma^2) eps + sigma z,
             sigma = eta sqrt((1 - abar_{i-1}) / (1 - abar_i)) sqrt(1 - abar_i / abar_{i-1})      (arXiv:2010.02502)

with x_0 predicted at step i, on the kept steps that `respacing` names. The last step adds no noise. eta = 1 is ddpm
with the small fixed variance, eta = 0 an ODE step whose inverse direction encodes images; between them lie the mixtures
of the two. A process without a chain is sampled on 1000 equal steps of its own.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array, EpsFn, per_example
from linnet.samplers.base import ChainNetwork, Depends, EpsFunction, Processes, Sampler, Samples, require
from linnet.samplers.exponential import noise_of
from linnet.samplers.frames import chosen, scan
from linnet.sde_lib.base import example_keys
from linnet.sde_lib.chain import MEANINGS, Chain, Reverse, split_output

STEPS = 1000  # of processes without a chain


def _preserves_variance(sde):
    """Whether Psi^2 + Sigma = 1, one number for all pixels."""
    t = sde.T * np.array([0.1, 0.5, 0.9])
    total = sde.Psi(t, 0.0) ** 2 + sde.Sigma(t) if sde.k == 1 else np.zeros(0)
    return total.size == 3 and np.allclose(total, 1)


VARIANCE_PRESERVING = Processes(
    "Psi^2 + Sigma = 1", lambda sde: sde.equal_times is not False and _preserves_variance(sde)
)


@dataclasses.dataclass(frozen=True)
class EpsAlone:
    """An eps function as a ChainNetwork: its output is eps."""

    eps_fn: Any
    variance: str = "fixed_large"

    prediction = "eps"

    def __call__(self, u: Array, t: Array) -> Array:
        """eps, the shape of u (B, ...), at times t (B,)."""
        return self.eps_fn(u, t)

    output = __call__


class ChainSampler(Sampler):
    """Subclasses give `move`, one step. A network whose own prediction the chain does not know is asked for eps.

    respacing: a text of sde_lib.respacing; when absent, nfe steps spread evenly. clip_denoised: x_0 to [-1, 1].
    Called, it raises ValueError where the first step taken sees more signal than noise and it is given noise; of a
    process that ends `until` an earlier time it is given the last state.
    """

    nfe: int = 250
    respacing: str | None = None
    clip_denoised: bool = True
    chain: Any = dataclasses.field(init=False, repr=False)
    times: np.ndarray = dataclasses.field(init=False, repr=False)
    given: float = dataclasses.field(init=False, repr=False)  # abar of the states that it starts from

    takes = ChainNetwork
    processes = VARIANCE_PRESERVING

    def __post_init__(self) -> None:
        whole = self.sde.chain or Chain.along(self.sde, STEPS)
        if self.respacing is None and not 1 <= self.nfe <= whole.n:
            raise ValueError(f"config.sampling.nfe={self.nfe} must lie between 1 and the {whole.n} steps of the chain")
        chain = whole.respaced(str(self.nfe) if self.respacing is None else self.respacing)
        self._set(chain=chain, times=chain.times, nfe=chain.n, given=whole.alphas_cumprod[-1])

    @classmethod
    def check(cls, network: Any) -> Any:
        require(network, EpsFunction)
        if not isinstance(network, ChainNetwork):
            return EpsAlone(network)
        return network if network.prediction in MEANINGS else EpsAlone(network, network.variance)

    def move(self, network: Any, u: Array, i: Array, z: Array) -> tuple[Array, Array]:
        """(the state after step i, predicted x_0) from u (B, ...) and standard normal z; i (B,), all alike."""
        raise NotImplementedError

    def time(self, i: Array, u: Array) -> Array:
        """The times of steps i (B,), in the dtype of u."""
        return jnp.asarray(self.times, u.dtype)[i]

    def output(self, network: Any, u: Array, i: Array) -> Array:
        """The output of the network, a ChainNetwork, at step i."""
        return network.output(u, self.time(i, u))

    def run(self, network: Any, key: Array, u_T: Array) -> Samples:
        if self.chain.alphas_cumprod[-1] > 0.5 >= self.given:
            raise ValueError(
                f"config.sampling.respacing begins at step {self.chain.timestep_map[-1]} of {self.chain.original.n}, "
                "where there is more signal than noise, and would return the noise it is given: keep steps of the last "
                "part of the chain"
            )
        keys = example_keys(key, len(u_T))

        def step(u, numbers):
            i, number = numbers
            z = noise_of(keys, number, u) if self.stochastic else jnp.zeros_like(u)
            after, x_0 = self.move(network, u, jnp.full(len(u), i), z)
            return after, (u, x_0)

        order = jnp.arange(self.chain.n)[::-1]
        frames = chosen(self.trajectory, self.chain.n)
        u, visited = scan(step, u_T, (order, jnp.arange(self.chain.n)), frames)
        if visited is not None:
            visited = {"t": self.times[::-1][frames], "u": visited[0], "x_0": visited[1]}
        return Samples(u, self.nfe, visited)


class Ancestral(ChainSampler):
    """DDPM. variance: one of sde_lib.chain.VARIANCES; when absent, that of the network, or fixed_large."""

    variance: str | None = None

    stochastic = True
    reference = "arXiv:2006.11239, arXiv:2102.09672"

    def move(self, network: Any, u: Array, i: Array, z: Array) -> tuple[Array, Array]:
        step = self.reverse(network, u, i)
        later = per_example(i > 0, u)
        return step.mean + later * jnp.exp(0.5 * step.log_variance) * z, step.x_0

    def reverse(self, network: Any, u: Array, i: Array) -> Reverse:
        """The Gaussian of the state after step i (see sde_lib.chain); network: a ChainNetwork."""
        variance = self.variance or network.variance
        return self.chain.reverse(self.output(network, u, i), u, i, network.prediction, variance, self.clip_denoised)


class DDIM(ChainSampler):
    """DDIM; eta from 0 (no noise) to 1 (DDPM with the small fixed variance)."""

    nfe: int = 50
    eta: float = 0.0
    sigma: np.ndarray = dataclasses.field(init=False, repr=False)
    direction: np.ndarray = dataclasses.field(init=False, repr=False)

    stochastic = Depends("eta > 0", lambda sampler: sampler.eta > 0)
    reference = "arXiv:2010.02502"

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"config.sampling.eta={self.eta} must lie between 0 and 1")
        super().__post_init__()
        sigma = self.eta * np.sqrt(self.chain.posterior_variance)
        direction = np.sqrt(np.maximum(1 - self.chain.alphas_cumprod_prev - sigma**2, 0))
        self._set(sigma=sigma, direction=direction)

    def move(self, network: Any, u: Array, i: Array, z: Array) -> tuple[Array, Array]:
        x_0, eps = self.predict(network, u, i)
        at = self.chain.at
        mean = at(np.sqrt(self.chain.alphas_cumprod_prev), i, u) * x_0 + at(self.direction, i, u) * eps
        return mean + at(self.sigma, i, u) * z, x_0

    def predict(self, network: Any, u: Array, i: Array) -> tuple[Array, Array]:
        """(x_0, eps) that fit each other and u."""
        f = split_output(self.output(network, u, i), u)[0]
        x_0 = self.chain.predicted_x_0(network.prediction, f, u, i)
        if network.prediction == "eps" and not self.clip_denoised:
            return x_0, f
        x_0 = jnp.clip(x_0, -1.0, 1.0) if self.clip_denoised else x_0
        return x_0, self.chain.eps_from_x_0(x_0, u, i)

    def raise_noise(self, network: Any, u: Array, i: Array) -> Array:
        """The state at step i + 1 of the chain from that at i, without noise; beyond the last step pure eps."""
        x_0, eps = self.predict(network, u, i)
        after = self.chain.alphas_cumprod_next
        return self.chain.at(np.sqrt(after), i, u) * x_0 + self.chain.at(np.sqrt(1 - after), i, u) * eps

    def encode(self, eps_fn: EpsFn, u: Array) -> Array:
        """The state at the last step of the chain from that at the first (an image): eta = 0 in the other direction."""
        network = self.check(eps_fn)

        def step(u, i):
            return self.raise_noise(network, u, jnp.full(len(u), i)), None

        return jax.lax.scan(step, u, jnp.arange(self.chain.n - 1))[0]
