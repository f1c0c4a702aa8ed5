"""The probability flow du/dt = F u + 1/2 G G^T R^-T eps with adaptive Dormand-Prince steps (diffrax), on the device.

Every image takes its own steps, so that it does not depend on its batch; the network sees the whole batch at each step
all the same, until the slowest image has arrived.
"""

import jax
import jax.numpy as jnp
import numpy as np

from samplers import coefficients, grids
from samplers.base import Sampler, Samples
from samplers.exponential import integrate, predictions
from sde_lib import blocks

STAGES = 6  # new evaluations of an accepted or rejected Dormand-Prince step; the seventh is the next step's first
MAX_STEPS = 100_000
FIRST_STEP = -0.01


class ODE(Sampler):
    """Adaptive solution with tolerances rtol and atol of u; nfe is what the slowest image of the batch took.

    noise_removal: the denoising step, one more evaluation. trajectory: the states at 20 times of the power grid, with
    one more evaluation each. Images that need more than 100,000 steps are NaN.
    """

    order = 5
    nfe_per_step = 6
    reference = "doi:10.1016/0771-050X(80)90013-3"

    def __init__(self, sde, *, rtol=1e-5, atol=1e-5, noise_removal=True, trajectory=False):
        try:
            import diffrax  # noqa: F401
        except ImportError as error:
            raise ImportError("sampling.method 'ode' needs the package diffrax: pip install diffrax") from error
        self.sde, self.rtol, self.atol, self.trajectory = sde, rtol, atol, trajectory
        self.last = coefficients.denoising(sde, sde.t_min) if noise_removal else None
        self.times = np.clip(grids.power(sde, 20, 2), sde.t_min, sde.T) if trajectory else np.array([sde.t_min])

    def _solve(self, eps_fn, u):
        """One image u: its states at self.times, and the number of evaluations."""
        import diffrax

        def rate(t, u, _):
            flow, pull = self.sde.F(t), self.sde.GGt(t)
            e = eps_fn(u[None], t[None])[0]
            score = self.sde.score(e[None], t)[0]
            return (blocks.apply(flow, u[None]) - 0.5 * blocks.apply(pull, score[None]))[0]

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(rate),
            diffrax.Dopri5(),
            self.sde.T,
            self.sde.t_min,
            FIRST_STEP,
            u,
            saveat=diffrax.SaveAt(ts=self.times),
            stepsize_controller=diffrax.PIDController(rtol=self.rtol, atol=self.atol),
            max_steps=MAX_STEPS,
            throw=False,
        )
        arrived = solution.result == diffrax.RESULTS.successful
        return jnp.where(arrived, solution.ys, jnp.nan), 1 + STAGES * solution.stats["num_steps"]

    def __call__(self, eps_fn, key, u_T):
        states, nfe = jax.vmap(lambda u: self._solve(eps_fn, u), out_axes=(1, 0))(u_T)
        nfe, u, trajectory = nfe.max(), states[-1], None
        if self.trajectory:
            times = jnp.asarray(self.times, u.dtype)
            eps = jax.lax.map(lambda at: eps_fn(at[0], jnp.full(u.shape[:1], at[1])), (states, times))
            trajectory, nfe = predictions(self.sde, self.times, states, eps), nfe + len(self.times)
        if self.last is not None:
            u, nfe = integrate(eps_fn, u, self.last)[0], nfe + 1
        return Samples(u, nfe, trajectory)
