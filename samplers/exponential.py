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
from linnet.samplers import coefficients
from linnet.samplers.base import Depends, GridSampler, Samples
from linnet.samplers.coefficients import Coefficients
from linnet.samplers.frames import chosen, scan
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE, example_keys, normal_per_example

NONE = np.zeros(0, int)


def advance(eps_fn: EpsFn, u: Array, past: Any, row: Coefficients, keys: Any, i: Any) -> tuple[Array, Any, Array]:
    """One row from u (B, ...) and the history `past` (order, B, ...): (u_next, past_next, eps). keys: (B,) or None."""
    e = eps_fn(u, jnp.full(u.shape[:1], row.times))
    y = e if row.recall is None else blocks.apply(row.recall[0], u) + blocks.apply(row.recall[1], e)
    known = [y, *past]
    u_next = blocks.apply(row.psi, u) + sum(blocks.apply(row.eps[j], y) for j, y in enumerate(known))
    if row.noise is not None:
        u_next = u_next + blocks.apply(row.noise, draw(keys, i, u))
    return u_next, jnp.stack(known[:-1]) if len(past) else past, e


def draw(keys: Array, i: Array, u: Array) -> Array:
    """Standard normal of the shape and dtype of u for draw i: of each image from its own key."""
    return normal_per_example(fold(keys, i), u.shape).astype(u.dtype)


def integrate(
    eps_fn: EpsFn,
    u: Array,
    rows: Coefficients,
    history: Array | None = None,
    key: Any = None,
    frames: Host = NONE,
) -> tuple[Array, tuple[Array, Array] | None]:
    """Runs all rows of `rows` (Coefficients) from u (B, ...): returns (u, (states before, eps) stacked over rows).

    history: evaluations y (order, B, ...) at the times before the first row, newest first; zeros when absent (their
    coefficients are zero then). key: one key or one per image, for rows with noise. frames: the rows whose states and
    eps are kept; None is returned for none of them.
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

    (u, _), visited = scan(step, (u, history), (jnp.arange(len(rows.times)), rows), frames)
    return u, visited


def predictions(sde: LinearSDE, t: Host, states: Array, eps: Array) -> dict[str, Any]:
    """The trajectory: states (N, B, ...) at times t (N,) and project(Psi(0, t)(u - R eps)), the predicted images."""
    back, R = (jnp.asarray(a, states.dtype) for a in (sde.Psi(np.zeros_like(t), t), sde.R(t)))
    x_0 = jax.vmap(lambda P, R, u, e: sde.project(blocks.apply(P, u - blocks.apply(R, e))))(back, R, states, eps)
    return {"t": t, "u": states, "x_0": x_0}


class Recursion(GridSampler):
    """A sampler that is a table: subclasses say in `table` how its rows follow from the times of the steps."""

    rows: coefficients.Coefficients = dataclasses.field(init=False, repr=False)

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        """Rows for steps along decreasing `times`; `past` are earlier times, newest first, with known evaluations."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        super().__post_init__()
        times = self.times((self.nfe - self.noise_removal) // self.nfe_per_step)
        rows = self.table(times)
        if self.noise_removal:
            rows = coefficients.append(rows, coefficients.denoising(self.sde, times[-1]))
        self._set(rows=rows, nfe=len(rows.times))

    def run(self, network: Any, key: Array, u_T: Array) -> Samples:
        frames = chosen(self.trajectory, len(self.rows.times))
        u, visited = integrate(network, u_T, self.rows, key=key, frames=frames)
        return Samples(u, self.nfe, predictions(self.sde, self.rows.times[frames], *visited) if visited else None)


class LambdaRecursion(Recursion):
    """A table of the lambda-SDE. lambda_coef >= 0: 0 is the probability flow, 1 the reverse SDE."""

    lambda_coef: float = 1.0

    stochastic = Depends("lambda_coef > 0", lambda sampler: sampler.lambda_coef > 0)

    def __post_init__(self) -> None:
        if self.lambda_coef < 0:
            raise ValueError(f"sampling.lambda_coef={self.lambda_coef} must not be negative")
        super().__post_init__()
