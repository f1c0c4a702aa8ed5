"""Sampling along the discrete chain of a VP process: DDPM, improved DDPM, and DDIM with any eta.

    ddpm     x_{i-1} ~ N(c1 x_0 + c2 x_i, variance)                          (arXiv:2006.11239, arXiv:2102.09672)
    ddim     x_{i-1} = sqrt(abar_{i-1}) x_0 + sqrt(1 - abar_{i-1} - sigma^2) eps + sigma z,
             sigma = eta sqrt((1 - abar_{i-1}) / (1 - abar_i)) sqrt(1 - abar_i / abar_{i-1})      (arXiv:2010.02502)

with x_0 predicted at step i, on the kept steps that `respacing` names. The last step adds no noise. eta = 1 is ddpm
with the small fixed variance, eta = 0 an ODE step whose inverse direction encodes images; between them lie the mixtures
of the two. A process without discrete betas is sampled on 1000 equal steps of its own.
"""

import jax
import jax.numpy as jnp
import numpy as np

from linnet.samplers.base import Processes, Sampler, Samples
from linnet.samplers.exponential import draw
from linnet.sde_lib.base import example_keys
from linnet.sde_lib.chain import PREDICTIONS, Chain, split_output

STEPS = 1000  # of processes without discrete betas


def _preserves_variance(sde):
    """Whether Psi^2 + Sigma = 1, one number for all pixels."""
    t = sde.T * np.array([0.1, 0.5, 0.9])
    total = sde.Psi(t, 0.0) ** 2 + sde.Sigma(t) if sde.k == 1 else np.zeros(0)
    return total.size == 3 and np.allclose(total, 1)


VARIANCE_PRESERVING = Processes("Psi^2 + Sigma = 1", _preserves_variance)


def chain_along(sde):
    """The chain of sde.betas, or that of the process at STEPS equal times."""
    if sde.betas is not None:
        return Chain(sde.betas)
    t = sde.T * np.arange(STEPS + 1) / STEPS
    return Chain(1 - sde.Psi(t[1:], t[:-1])[:, 0, 0, 0, 0] ** 2)


class ChainSampler(Sampler):
    """Subclasses give `move`, one step.

    respacing: a text of sde_lib.respacing; when absent, nfe steps spread evenly. clip_denoised: x_0 to [-1, 1].
    Called, it raises ValueError where the first step taken sees more signal than noise, for it is given noise.
    """

    processes = VARIANCE_PRESERVING

    def __init__(self, sde, nfe=250, respacing=None, clip_denoised=True, trajectory=False):
        whole = chain_along(sde)
        if respacing is None and not 1 <= nfe <= whole.n:
            raise ValueError(f"config.sampling.nfe={nfe} must lie between 1 and the {whole.n} steps of the chain")
        self.chain = whole.respaced(str(nfe) if respacing is None else respacing)
        self.times = self.chain.times * (sde.T if sde.betas is None else 1)
        self.clip_denoised, self.trajectory, self.nfe = clip_denoised, trajectory, self.chain.n

    def move(self, eps_fn, u, i, z):
        """(the state after step i, predicted x_0) from u (B, ...) and standard normal z; i (B,), all alike."""
        raise NotImplementedError

    def time(self, i, u):
        """The times of steps i (B,), in the dtype of u."""
        return jnp.asarray(self.times, u.dtype)[i]

    def prediction(self, eps_fn, u, i):
        """(output of the network at step i, what it means): its own, or eps where the chain does not know that."""
        meaning = getattr(eps_fn, "prediction", "")
        if meaning in PREDICTIONS:
            return eps_fn.output(u, self.time(i, u)), meaning
        return eps_fn(u, self.time(i, u)), "eps"

    def __call__(self, eps_fn, key, u_T):
        if self.chain.alphas_cumprod[-1] > 0.5:
            raise ValueError(
                f"config.sampling.respacing begins at step {self.chain.timestep_map[-1]} of {self.chain.original.n}, "
                "where there is more signal than noise, and would return the noise it is given: keep steps of the last "
                "part of the chain"
            )
        keys = example_keys(key, len(u_T))

        def step(u, numbers):
            i, number = numbers
            z = draw(keys, number, u) if self.stochastic else jnp.zeros_like(u)
            after, x_0 = self.move(eps_fn, u, jnp.full(len(u), i), z)
            return after, (u, x_0) if self.trajectory else None

        order = jnp.arange(self.chain.n)[::-1]
        u, visited = jax.lax.scan(step, u_T, (order, jnp.arange(self.chain.n)))
        if visited is not None:
            visited = {"t": self.times[::-1], "u": visited[0], "x_0": visited[1]}
        return Samples(u, self.nfe, visited)


class Ancestral(ChainSampler):
    """DDPM. variance: one of sde_lib.chain.VARIANCES; when absent, that of the network, or fixed_large."""

    stochastic = True
    reference = "arXiv:2006.11239, arXiv:2102.09672"

    def __init__(self, sde, nfe=250, respacing=None, variance=None, clip_denoised=True, trajectory=False):
        super().__init__(sde, nfe, respacing, clip_denoised, trajectory)
        self.variance = variance

    def move(self, eps_fn, u, i, z):
        output, meaning = self.prediction(eps_fn, u, i)
        variance = self.variance or getattr(eps_fn, "variance", "fixed_large")
        step = self.chain.reverse(output, u, i, meaning, variance, self.clip_denoised)
        later = (i > 0).reshape(-1, *(1,) * (u.ndim - 1))
        return step.mean + later * jnp.exp(0.5 * step.log_variance) * z, step.x_0


class DDIM(ChainSampler):
    """DDIM; eta from 0 (no noise) to 1 (DDPM with the small fixed variance)."""

    stochastic = True
    reference = "arXiv:2010.02502"

    def __init__(self, sde, nfe=50, respacing=None, eta=0.0, clip_denoised=True, trajectory=False):
        if not 0 <= eta <= 1:
            raise ValueError(f"config.sampling.eta={eta} must lie between 0 and 1")
        super().__init__(sde, nfe, respacing, clip_denoised, trajectory)
        chain, before = self.chain, self.chain.alphas_cumprod_prev
        self.stochastic = eta > 0
        self.sigma = eta * np.sqrt(chain.posterior_variance)
        self.direction = np.sqrt(np.maximum(1 - before - self.sigma**2, 0))

    def move(self, eps_fn, u, i, z):
        x_0, eps = self.predict(eps_fn, u, i)
        at = self.chain.at
        mean = at(np.sqrt(self.chain.alphas_cumprod_prev), i, u) * x_0 + at(self.direction, i, u) * eps
        return mean + at(self.sigma, i, u) * z, x_0

    def predict(self, eps_fn, u, i):
        """(x_0, eps) that fit each other and u."""
        output, meaning = self.prediction(eps_fn, u, i)
        f = split_output(output, u)[0]
        x_0 = self.chain.predicted_x_0(meaning, f, u, i)
        if meaning == "eps" and not self.clip_denoised:
            return x_0, f
        x_0 = jnp.clip(x_0, -1.0, 1.0) if self.clip_denoised else x_0
        return x_0, self.chain.eps_from_x_0(x_0, u, i)

    def raise_noise(self, eps_fn, u, i):
        """The state at step i + 1 of the chain from that at i, without noise; beyond the last step pure eps."""
        x_0, eps = self.predict(eps_fn, u, i)
        after = self.chain.alphas_cumprod_next
        return self.chain.at(np.sqrt(after), i, u) * x_0 + self.chain.at(np.sqrt(1 - after), i, u) * eps

    def encode(self, eps_fn, u):
        """The state at the last step of the chain from that at the first (an image): eta = 0 in the other direction."""

        def step(u, i):
            return self.raise_noise(eps_fn, u, jnp.full(len(u), i)), None

        return jax.lax.scan(step, u, jnp.arange(self.chain.n - 1))[0]
