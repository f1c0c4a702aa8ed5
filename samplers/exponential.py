"""Exponential multistep integration of the probability flow: gDDIM (arXiv:2206.05564) = t-AB-DEIS with factor R.

    e_i = eps(u_i, t_i)             u_{i+1} = psi_i u_i + sum_j C_ij e_{i-j}

for every process and orders 0 to 3, one evaluation a step. Order 0 on VP is DDIM. The scan is the only loop: the
optional denoising step is its last row.
"""

import jax
import jax.numpy as jnp
import numpy as np

from samplers import coefficients, grids
from samplers.base import Sampler, Samples
from sde_lib import blocks


def integrate(eps_fn, u, rows, history=None):
    """Runs all rows of `rows` (Coefficients) from u (B, ...): returns (u, (states before, eps) stacked over rows).

    history: evaluations (order, B, ...) at the times before the first row, newest first; zeros when absent (their
    coefficients are zero then).
    """
    order = rows.eps.shape[1] - 1
    rows = jax.tree.map(lambda a: jnp.asarray(a, u.dtype), rows)
    history = jnp.zeros((order, *u.shape), u.dtype) if history is None else history

    def step(carry, row):
        u, past = carry
        e = eps_fn(u, jnp.full(u.shape[:1], row.times))
        evaluations = [e, *past]
        u_next = blocks.apply(row.psi, u) + sum(blocks.apply(row.eps[j], evaluations[j]) for j in range(order + 1))
        return (u_next, jnp.stack(evaluations[:order]) if order else past), (u, e)

    (u, _), visited = jax.lax.scan(step, (u, history), rows)
    return u, visited


class Exponential(Sampler):
    """gDDIM / DEIS. nfe evaluations in all; with noise_removal the last one is the denoising step.

    deis_order: 0..3. grid, ts_order: see grids. factor: "R", or "L" for the Cholesky ablation, for which the
    evaluations of the R-trained network are rotated.
    """

    factor = "R"

    def __init__(self, sde, *, nfe=50, deis_order=2, ts_order=2, grid="power", noise_removal=True, trajectory=False):
        self.sde, self.nfe, self.trajectory = sde, nfe, trajectory
        times = grids.make_grid(grid, sde, nfe - noise_removal, ts_order)
        self.rows = coefficients.multistep(sde, times, deis_order, self.factor)
        if self.factor == "L":
            self.rows = coefficients.rotate(self.rows, sde, deis_order)
        if noise_removal:
            self.rows = coefficients.append(self.rows, coefficients.denoising(sde, times[-1]))

    def __call__(self, eps_fn, key, u_T):
        u, (states, eps) = integrate(eps_fn, u_T, self.rows)
        return Samples(u, self.nfe, self._predictions(states, eps) if self.trajectory else None)

    def _predictions(self, states, eps):
        """The states visited and x_0 predicted from each: project(Psi(0, t) (u - R eps))."""
        t = self.rows.times
        back, R = (jnp.asarray(a, states.dtype) for a in (self.sde.Psi(np.zeros_like(t), t), self.sde.R(t)))
        x_0 = jax.vmap(lambda P, R, u, e: self.sde.project(blocks.apply(P, u - blocks.apply(R, e))))(
            back, R, states, eps
        )
        return {"t": t, "u": states, "x_0": x_0}


class LExponential(Exponential):
    """The same integrator on the Cholesky factor L ("ldeis")."""

    factor = "L"
