"""The probability flow du/dt = F u + 1/2 G G^T R^-T eps with adaptive Dormand-Prince steps (see samplers.flow)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array, Host
from linnet.samplers import coefficients, flow, grids
from linnet.samplers.base import Sampler, Samples
from linnet.samplers.exponential import integrate, predictions
from linnet.samplers.frames import chosen


class ODE(Sampler):
    """Adaptive solution with tolerances rtol and atol of u; nfe is what the slowest image of the batch took.

    noise_removal: the denoising step, one more evaluation. trajectory: the states at times of a power grid of 20 steps,
    with one more evaluation each. Images that need more than 100,000 steps are NaN.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    noise_removal: bool = True

    order = 5
    nfe_per_step = 6
    reference = "doi:10.1016/0771-050X(80)90013-3"

    def __post_init__(self) -> None:
        flow.load_diffrax()

    @property
    def times(self) -> Host:
        """Where the states are wanted: at t_min, and for the trajectory before it."""
        sde = self.sde
        if not self.trajectory:
            return np.array([sde.t_min])
        times = np.clip(grids.power(sde, 20, 2), sde.t_min, sde.T)
        return times[chosen(self.trajectory, len(times))]

    def run(self, network: Any, key: Array, u_T: Array) -> Samples:
        visited = self.times
        states, nfe = flow.follow(self.sde, network, u_T, [self.sde.T, *visited], self.rtol, self.atol)
        u, nfe = states[-1], nfe.max()
        trajectory = None
        if self.trajectory:
            times = jnp.asarray(visited, u.dtype)
            eps = jax.lax.map(lambda at: network(at[0], jnp.full(u.shape[:1], at[1])), (states, times))
            trajectory, nfe = predictions(self.sde, visited, states, eps), nfe + len(visited)
        if self.noise_removal:
            last = coefficients.denoising(self.sde, self.sde.t_min)
            u, nfe = integrate(network, u, last)[0], nfe + 1
        return Samples(u, nfe, trajectory)
