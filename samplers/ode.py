"""The probability flow du/dt = F u + 1/2 G G^T R^-T eps with adaptive Dormand-Prince steps (see samplers.flow)."""

import jax
import jax.numpy as jnp
import numpy as np

from linnet.samplers import coefficients, flow, grids
from linnet.samplers.base import Sampler, Samples
from linnet.samplers.exponential import integrate, predictions


class ODE(Sampler):
    """Adaptive solution with tolerances rtol and atol of u; nfe is what the slowest image of the batch took.

    noise_removal: the denoising step, one more evaluation. trajectory: the states at 20 times of the power grid, with
    one more evaluation each. Images that need more than 100,000 steps are NaN.
    """

    order = 5
    nfe_per_step = 6
    reference = "doi:10.1016/0771-050X(80)90013-3"

    def __init__(self, sde, *, rtol=1e-5, atol=1e-5, noise_removal=True, trajectory=False):
        flow.load_diffrax()
        self.sde, self.rtol, self.atol, self.trajectory = sde, rtol, atol, trajectory
        self.last = coefficients.denoising(sde, sde.t_min) if noise_removal else None
        self.times = np.clip(grids.power(sde, 20, 2), sde.t_min, sde.T) if trajectory else np.array([sde.t_min])

    def __call__(self, eps_fn, key, u_T):
        states, nfe = flow.follow(self.sde, eps_fn, u_T, [self.sde.T, *self.times], self.rtol, self.atol)
        nfe, u, trajectory = nfe.max(), states[-1], None
        if self.trajectory:
            times = jnp.asarray(self.times, u.dtype)
            eps = jax.lax.map(lambda at: eps_fn(at[0], jnp.full(u.shape[:1], at[1])), (states, times))
            trajectory, nfe = predictions(self.sde, self.times, states, eps), nfe + len(self.times)
        if self.last is not None:
            u, nfe = integrate(eps_fn, u, self.last)[0], nfe + 1
        return Samples(u, nfe, trajectory)
