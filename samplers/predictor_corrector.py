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

import jax
import jax.numpy as jnp
import numpy as np

from linnet.samplers import grids, stochastic
from linnet.samplers.base import DIAGONAL, Sampler, Samples
from linnet.samplers.coefficients import Coefficients, append, denoising
from linnet.samplers.euler_maruyama import euler_maruyama, score_weight
from linnet.samplers.exponential import advance, draw, integrate, predictions
from linnet.sde_lib import blocks
from linnet.sde_lib.base import example_keys


def reverse_diffusion(sde, times, probability_flow):
    """Rows of the reverse diffusion predictor."""
    t = times[:-1]
    Psi, Q = stochastic.transition(sde, t, times[1:])
    eps = (0.5 if probability_flow else 1.0) * blocks.matmul(Q, score_weight(sde, t))
    noise = None if probability_flow else blocks.root(Q)
    return Coefficients(t, 2 * blocks.identity(sde.k) - Psi, eps[:, None], noise=noise)


def ancestral(sde, times, probability_flow):
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


PREDICTORS = {
    "euler_maruyama": lambda sde, times, flow: euler_maruyama(sde, times, 0.0 if flow else 1.0),
    "reverse_diffusion": reverse_diffusion,
    "ancestral": ancestral,
    "none": None,
}


def langevin(snr, a, std, score, z):
    """Step sizes (B, 1, ...) of the Langevin corrector."""
    norm = lambda v: jnp.sqrt((v**2).sum(tuple(range(1, v.ndim)), keepdims=True))  # noqa: E731
    return 2 * a * (snr * norm(z) / norm(score)) ** 2


def annealed_langevin(snr, a, std, score, z):
    """Step size of annealed Langevin dynamics."""
    return 2 * a * (snr * std) ** 2


CORRECTORS = {"langevin": langevin, "ald": annealed_langevin, "none": None}


class PredictorCorrector(Sampler):
    """nfe // (evaluations of a step) times, equally spaced by default.

    predictor, corrector: see above. snr: of the corrector. n_steps_each: its steps at every time. probability_flow:
    predictors without noise and with half the score. noise_removal: the last step, from t_min to no noise; without it
    the last prediction arrives at t_min.
    """

    nfe_per_step = "1 + n_steps_each"
    stochastic = True
    processes = DIAGONAL
    reference = "arXiv:2011.13456"

    def __init__(
        self, sde, *, nfe=2000, predictor="reverse_diffusion", corrector="langevin", snr=0.16, n_steps_each=1,
        probability_flow=False, ts_order=None, grid="uniform", noise_removal=True, trajectory=False,
    ):  # fmt: skip
        for key, name, known in (("predictor", predictor, PREDICTORS), ("corrector", corrector, CORRECTORS)):
            if name not in known:
                raise ValueError(f"sampling.{key} {name!r} is unknown; use one of {', '.join(known)}")
        if predictor == corrector == "none":
            raise ValueError("sampling.predictor and sampling.corrector are both 'none': choose at least one")
        self.sde, self.trajectory, self.snr = sde, trajectory, snr
        self.n_steps_each = 0 if corrector == "none" else n_steps_each
        self.step_size = CORRECTORS[corrector]
        self.nfe_per_step = self.n_steps_each + (predictor != "none")
        if self.nfe_per_step < 1:
            raise ValueError("sampling.n_steps_each must be at least 1 where sampling.predictor is 'none'")
        predicts = predictor != "none"
        arrives = predicts and not noise_removal  # at t_min, with the last prediction
        alone = noise_removal and not predicts  # the last step, which is that of the predictor otherwise
        visited = (nfe - alone) // self.nfe_per_step
        self.nfe = visited * self.nfe_per_step + alone
        times = grids.make_grid(grid, sde, visited - 1 + arrives, ts_order)
        self.rows = PREDICTORS[predictor](sde, times, probability_flow) if predicts else None
        self.last = denoising(sde, times[-1]) if alone else None
        if predicts and noise_removal:
            self.rows = append(self.rows, denoising(sde, times[-1]))
        t, ends = times[:visited], np.append(times[1:], 0.0)[:visited]
        self.correction = {
            "t": t,
            "a": sde.Psi(t, ends)[grids.FIRST] ** 2,
            "std": sde.R(t)[grids.FIRST],
            "score": score_weight(sde, t),
        }

    def _correct(self, eps_fn, u, at, keys, i):
        """n_steps_each Langevin steps at the time of `at`: (u, the last eps)."""

        def step(u, j):
            e = eps_fn(u, jnp.full(u.shape[:1], at["t"]))
            score, z = blocks.apply(at["score"], e), draw(keys, i + j, u)
            h = self.step_size(self.snr, at["a"], at["std"], score, z)
            return u + h * score + jnp.sqrt(2 * h) * z, (u, e)

        return jax.lax.scan(step, u, jnp.arange(self.n_steps_each))

    def __call__(self, eps_fn, key, u_T):
        keys = example_keys(key, len(u_T))
        rows, correction = jax.tree.map(lambda a: jnp.asarray(a, u_T.dtype), (self.rows, self.correction))

        def step(u, numbered):
            i, row, at = numbered
            first, visited = i * self.nfe_per_step, None
            if self.n_steps_each:
                u, visited = self._correct(eps_fn, u, at, keys, first)
                visited = jax.tree.map(lambda v: v[-1], visited)
            if row is not None:
                before = u
                u, _, e = advance(eps_fn, u, (), row, keys, first + self.n_steps_each)
                visited = before, e
            return u, visited if self.trajectory else None

        steps = jnp.arange(len(self.correction["t"]))
        u, visited = jax.lax.scan(step, u_T, (steps, rows, correction))
        u = u if self.last is None else integrate(eps_fn, u, self.last)[0]
        return Samples(u, self.nfe, predictions(self.sde, self.correction["t"], *visited) if self.trajectory else None)
