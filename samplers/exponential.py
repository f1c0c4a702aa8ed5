"""The one scan: samplers as tables of coefficients.

    e_i = eps(u_i, t_i),   y_i = e_i or A_i u_i + B_i e_i,   u_{i+1} = psi_i u_i + sum_j C_ij y_{i-j} + noise_i z_i

Multistep, Runge-Kutta, predictor-corrector and stochastic methods are all of this form: a stage of a one-step method is
a row that takes back what the row before it added. So a sampler is the table of its rows, built on the host in float64,
and the optional denoising step is the last of them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array, EpsFn, Host
from linnet.randomness import fold
from linnet.samplers import coefficients, grids
from linnet.samplers.base import Depends, GridSampler, Samples
from linnet.samplers.coefficients import Coefficients
from linnet.samplers.frames import chosen, scan
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE, example_keys, normal_per_example

NONE = np.zeros(0, int)


def advance(eps_fn: EpsFn, u: Array, past: Any, row: Coefficients, keys: Any, i: Any) -> tuple[Array, Any, Array]:
    """One row from u (B, ...) and the history `past` (order, B, ...): (u_next, past_next, eps). keys: (B,) or None."""
    e = eps_fn(u, jnp.full(u.shape[:1], row.times))
    y = e if row.from_eps is None else blocks.apply(row.from_eps[0], u) + blocks.apply(row.from_eps[1], e)
    known = [y, *past]
    u_next = blocks.apply(row.psi, u) + sum(blocks.apply(row.eps[j], y) for j, y in enumerate(known))
    if row.noise is not None:
        u_next = u_next + blocks.apply(row.noise, noise_of(keys, i, u))
    return u_next, jnp.stack(known[:-1]) if len(past) else past, e


def noise_of(keys: Array, i: Array, u: Array) -> Array:
    """Standard normal of the shape and dtype of u for draw i: of each image from its own key."""
    return normal_per_example(fold(keys, i), u.shape).astype(u.dtype)


def integrate(
    eps_fn: EpsFn,
    u: Array,
    rows: Coefficients,
    history: Array | None = None,
    key: Any = None,
    frames: Host = NONE,
    first: int = 0,
) -> tuple[Array, tuple[Array, Array] | None]:
    """Runs all rows of `rows` (Coefficients) from u (B, ...): returns (u, (states before, eps) stacked over rows).

    history: evaluations y (order, B, ...) at the times before the first row, newest first; zeros when absent (their
    coefficients are zero then). key: one key or one per image, for rows with noise. frames: the rows whose states and
    eps are kept; None is returned for none of them. first: the number of the first row, which its noise is drawn for.
    """
    order = rows.eps.shape[1] - 1
    rows = jax.tree.map(lambda a: jnp.asarray(a, u.dtype), rows)
    history = jnp.zeros((order, *u.shape), u.dtype) if history is None else history
    keys = None if rows.noise is None else example_keys(key, len(u))

    def step(carry, numbered):
        i, row = numbered
        u, past = carry
        u_next, past, e = advance(eps_fn, u, past, row, keys, i)
        return (u_next, past), (u, e)

    (u, _), visited = scan(step, (u, history), (first + jnp.arange(len(rows.times)), rows), frames)
    return u, visited


def predictions(sde: LinearSDE, t: Host, states: Array, eps: Array) -> dict[str, Any]:
    """The trajectory: states (N, B, ...) at times t (N,) and project(Psi(0, t)(u - R eps)), the predicted images."""
    back, R = (jnp.asarray(a, states.dtype) for a in (sde.Psi(np.zeros_like(t), t), sde.R(t)))
    x_0 = jax.vmap(lambda P, R, u, e: sde.project(blocks.apply(P, u - blocks.apply(R, e))))(back, R, states, eps)
    return {"t": t, "u": states, "x_0": x_0}


def analytic_eps(sde: LinearSDE) -> EpsFn:
    """eps(u, T) = R^T Sigma^-1 u = R^-1 u of the prior, without a network."""
    inverse = blocks.inverse(sde.R(sde.T))
    return lambda u, t: blocks.apply(jnp.asarray(inverse, u.dtype), u)


class Recursion(GridSampler):
    """A sampler that is a table: subclasses say in `table` how its rows follow from the times of the steps.

    times: the times of the steps, in place of grid and nfe; times_in: whether they are t or noise levels rho.
    analytic_first: the first evaluation is eps = R^T Sigma^-1 u, which is free, and exact where the prior has forgotten
    the data (diff-sampler's afs); the step that it saves is added. corrections: of a tuned table, see `corrected`.
    """

    times: Sequence[float] = ()
    times_in: str = "t"
    analytic_first: bool = False
    corrections: Any = None

    rows: coefficients.Coefficients = dataclasses.field(init=False, repr=False)

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        """Rows for steps along decreasing `times`; `past` are earlier times, newest first, with known evaluations."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.times):
            times = grids.explicit(self.sde, self.times, self.times_in)
        else:
            evaluations = self.nfe - self.noise_removal + self.analytic_first
            times = self.grid_times(evaluations // self.nfe_per_step)
        rows = self.table(times)
        if self.noise_removal:
            rows = coefficients.append(rows, coefficients.denoising(self.sde, times[-1]))
        rows = coefficients.corrected(rows, self.corrections)
        self._set(rows=rows, nfe=len(rows.times) - self.analytic_first)

    def run(self, network: Any, key: Array, u_T: Array) -> Samples:
        frames = chosen(self.trajectory, len(self.rows.times))
        follow = self._after_first if self.analytic_first else integrate
        u, visited = follow(network, u_T, self.rows, key=key, frames=frames)
        return Samples(u, self.nfe, predictions(self.sde, self.rows.times[frames], *visited) if visited else None)

    def _after_first(self, network, u_T, rows, key, frames):
        """`integrate` whose first evaluation is that of the prior."""
        rows = jax.tree.map(lambda a: jnp.asarray(a, u_T.dtype), rows)
        first, rest = jax.tree.map(lambda a: a[0], rows), jax.tree.map(lambda a: a[1:], rows)
        past = jnp.zeros((first.eps.shape[0] - 1, *u_T.shape), u_T.dtype)
        keys = None if first.noise is None else example_keys(key, len(u_T))
        u, past, e = advance(analytic_eps(self.sde), u_T, past, first, keys, jnp.asarray(0))
        u, visited = integrate(network, u, rest, past, key, frames[frames > 0] - 1, first=1)
        parts = [(u_T[None], e[None])] * (0 in frames) + [visited] * (visited is not None)
        return u, tuple(map(jnp.concatenate, zip(*parts, strict=True))) or None


class LambdaRecursion(Recursion):
    """A table of the lambda-SDE. lambda_coef >= 0: 0 is the probability flow, 1 the reverse SDE."""

    lambda_coef: float = 1.0

    stochastic = Depends("lambda_coef > 0", lambda sampler: sampler.lambda_coef > 0)

    def __post_init__(self) -> None:
        if self.lambda_coef < 0:
            raise ValueError(f"sampling.lambda_coef={self.lambda_coef} must not be negative")
        super().__post_init__()
