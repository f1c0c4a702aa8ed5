"""Predictor-corrector sampling of score_sde (arXiv:2011.13456, algorithms 1 to 5), for processes with k = 1.

At each of N times from T to t_min, both included, the corrector takes n_steps_each Langevin steps
u <- u + h score + sqrt(2 h) z, then the predictor goes on to the next time. From t_min it goes on to no noise at all
(see coefficients.denoising), as the last entry of score_sde's tables does; the predictor `none` does so in an
evaluation more. Predictors, with the forward transition Psi(t, s), covariance Q, from s to t:

    euler_maruyama      the Euler step of the reverse SDE
    reverse_diffusion   u_s = (2 - Psi) u_t + Q score + Q^(1/2) z
    ancestral           u_s = Psi^-1 (u_t + Q score) + noise: Q^(1/2) z, or where Psi = 1 (VE) that of the posterior of
                        u_s given u_t and the data

For discrete betas Psi = sqrt(1 - beta_i), Q = beta_i, and for VE Q is the difference of variances, so these are the
steps of DDPM (with the large variance) and SMLD there, as score_sde takes them. Correctors, with a = Psi^2 of the step:

    langevin            h = 2 a (snr |z| / |score|)^2, the norms of each image by itself (score_sde averages over the
                        batch, so that its images depend on each other)
    ald                 h = 2 a (snr std)^2
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet import registry
from linnet.arrays import Array, Host
from linnet.samplers import grids, stochastic
from linnet.samplers.base import DIAGONAL, Depends, GridSampler, Samples
from linnet.samplers.coefficients import Coefficients, append, denoising
from linnet.samplers.euler_maruyama import euler_maruyama, score_weight
from linnet.samplers.exponential import advance, integrate, noise_of, predictions
from linnet.samplers.frames import chosen, scan
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE, example_keys


def reverse_diffusion(sde: LinearSDE, times: Host, probability_flow: bool) -> Coefficients:
    """Rows of the reverse diffusion predictor."""
    t = times[:-1]
    Psi, Q = stochastic.transition(sde, t, times[1:])
    eps = (0.5 if probability_flow else 1.0) * blocks.matmul(Q, score_weight(sde, t))
    noise = None if probability_flow else blocks.root(Q)
    return Coefficients(t, 2 * blocks.identity(sde.k) - Psi, eps[:, None], noise=noise)


def ancestral(sde: LinearSDE, times: Host, probability_flow: bool) -> Coefficients:
    """Rows of ancestral sampling. ValueError for probability_flow."""
    if probability_flow:
        raise ValueError(
            "sampling.probability_flow needs sampling.predictor euler_maruyama or reverse_diffusion, not ancestral"
        )
    t, s = times[:-1], times[1:]
    Psi, Q = stochastic.transition(sde, t, s)
    back = sde.Psi(s, t)
    eps = blocks.matmul(blocks.matmul(back, Q), score_weight(sde, t))
    noise = stochastic.noise(sde, s, t, 1.0) if np.all(Psi == 1) else blocks.root(Q)
    return Coefficients(t, back, eps[:, None], noise=noise)


PREDICTORS: dict[str, Any] = {
    "euler_maruyama": lambda sde, times, flow: euler_maruyama(sde, times, 0.0 if flow else 1.0),
    "reverse_diffusion": reverse_diffusion,
    "ancestral": ancestral,
    "none": None,
}


def _norm(v):
    """|v| of each image of v (B, ...): (B, 1, ...)."""
    return jnp.sqrt((v**2).sum(tuple(range(1, v.ndim)), keepdims=True))


def langevin(snr: float, a: Array, std: Array, score: Array, z: Array) -> Array:
    """Step sizes (B, 1, ...) of the Langevin corrector."""
    return 2 * a * (snr * _norm(z) / _norm(score)) ** 2


def annealed_langevin(snr: float, a: Array, std: Array, score: Array, z: Array) -> Array:
    """Step size of annealed Langevin dynamics."""
    return 2 * a * (snr * std) ** 2


CORRECTORS = {"langevin": langevin, "ald": annealed_langevin, "none": None}


class PredictorCorrector(GridSampler):
    """nfe // (evaluations of a step) times, by default equally spaced where that resolves the noise of the process.

    predictor, corrector: see above. snr: of the corrector. n_steps_each: its steps at every time. probability_flow:
    predictors without noise and with half the score. noise_removal: the last step, from t_min to no noise; without it
    the last prediction arrives at t_min.
    """

    nfe: int = 2000
    predictor: str = "reverse_diffusion"
    corrector: str = "langevin"
    snr: float = 0.16
    n_steps_each: int = 1
    probability_flow: bool = False
    rows: Any = dataclasses.field(init=False, repr=False)
    last: Any = dataclasses.field(init=False, repr=False)
    correction: dict = dataclasses.field(init=False, repr=False)

    nfe_per_step = Depends("1 + n_steps_each", lambda sampler: sampler.corrections + sampler.predicts)
    stochastic = True
    processes = DIAGONAL
    reference = "arXiv:2011.13456"

    @property
    def predicts(self) -> bool:
        """Whether there is a predictor."""
        return self.predictor != "none"

    @property
    def corrections(self) -> int:
        """Steps of the corrector at every time."""
        return 0 if self.corrector == "none" else self.n_steps_each

    def _check_choices(self):
        choices = (("predictor", self.predictor, PREDICTORS), ("corrector", self.corrector, CORRECTORS))
        for key, name, known in choices:
            registry.check(known, name, f"config.sampling.{key}")
        if self.predictor == self.corrector == "none":
            raise ValueError("sampling.predictor and sampling.corrector are both 'none': choose at least one")
        if self.nfe_per_step < 1:
            raise ValueError("sampling.n_steps_each must be at least 1 where sampling.predictor is 'none'")

    def __post_init__(self) -> None:
        self._check_choices()
        self._prefer_equal_times()
        sde = self.sde
        predicts = self.predicts
        arrives = predicts and not self.noise_removal  # at t_min, with the last prediction
        alone = self.noise_removal and not predicts  # the last step, which is that of the predictor otherwise
        visited = (self.nfe - alone) // self.nfe_per_step
        times = self.grid_times(visited - 1 + arrives)
        rows = PREDICTORS[self.predictor](sde, times, self.probability_flow) if predicts else None
        last = denoising(sde, times[-1]) if self.noise_removal else None
        if rows is not None and last is not None:
            rows = append(rows, last)
        t, ends = times[:visited], np.append(times[1:], 0.0)[:visited]
        correction = {
            "t": t,
            "end": ends,
            "a": sde.Psi(t, ends)[grids.FIRST] ** 2,
            "std": sde.R(t)[grids.FIRST],
            "score": score_weight(sde, t),
        }
        nfe = visited * self.nfe_per_step + alone
        self._set(rows=rows, last=last if alone else None, correction=correction, nfe=nfe)

    def settle(self, network: Any, u: Array, last: tuple[Array, ...], t: Array, keys: Array, i: Array) -> Array:
        """What becomes of the state u at time t after draw i. last: (state, eps, time) of the evaluation before it."""
        return u

    def _correct(self, eps_fn, u, at, keys, i):
        """Langevin steps at the time of `at`: (u, (states before, eps) stacked over them)."""
        step_size = CORRECTORS[self.corrector]

        def step(u, j):
            e = eps_fn(u, jnp.full(u.shape[:1], at["t"]))
            score, z = blocks.apply(at["score"], e), noise_of(keys, i + j, u)
            h = step_size(self.snr, at["a"], at["std"], score, z)
            moved = u + h * score + jnp.sqrt(2 * h) * z
            return self.settle(eps_fn, moved, (u, e, at["t"]), at["t"], keys, i + j), (u, e)

        return jax.lax.scan(step, u, jnp.arange(self.corrections))

    def run(self, network: Any, key: Array, u_T: Array) -> Samples:
        keys = example_keys(key, len(u_T))
        rows, correction = jax.tree.map(lambda a: jnp.asarray(a, u_T.dtype), (self.rows, self.correction))

        def step(u, numbered):
            i, row, at = numbered
            first = i * self.nfe_per_step
            visited = None
            if self.corrections:
                u, visited = self._correct(network, u, at, keys, first)
                visited = jax.tree.map(lambda v: v[-1], visited)
            if row is not None:
                before = u
                u, _, e = advance(network, u, (), row, keys, first + self.corrections)
                u = self.settle(network, u, (before, e, at["t"]), at["end"], keys, first + self.corrections)
                visited = before, e
            return u, visited

        steps = jnp.arange(len(self.correction["t"]))
        frames = chosen(self.trajectory, len(steps))
        u, visited = scan(step, u_T, (steps, rows, correction), frames)
        u = u if self.last is None else integrate(network, u, self.last)[0]
        return Samples(u, self.nfe, predictions(self.sde, self.correction["t"][frames], *visited) if visited else None)
