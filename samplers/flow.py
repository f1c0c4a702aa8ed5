"""The probability flow du/dt = F u - 1/2 G G^T score, score = -R^-T eps, followed adaptively (diffrax) on the device.

It runs in either direction of time: it maps states at t_min to latents at T and back (arXiv:2011.13456, eq. 13). Every
image takes its own Dormand-Prince steps, so that it does not depend on its batch; the network sees the whole batch at
each step all the same, until the slowest image has arrived.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from linnet.arrays import Array, EpsFn, Host
from linnet.samplers.base import of_image
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE

STAGES = 6  # new evaluations of an accepted or rejected Dormand-Prince step; the seventh is the next step's first
FIRST = 2  # evaluations that choose the first step
MAX_STEPS = 100_000
LEAST_STEP = 1e-9  # of T: below it a network that gave no number is the reason, and nothing is gained by going on


def load_diffrax() -> Any:
    """The package diffrax. ImportError where it is not installed."""
    try:
        import diffrax
    except ImportError as error:
        raise ImportError("the adaptive probability flow needs the package diffrax: pip install diffrax") from error
    return diffrax


@functools.cache
def step_sizes() -> type:
    """diffrax's controller, its first step chosen from the error (Hairer, Norsett & Wanner, section II.4).

    diffrax has this rule for dt0=None, but knows the term no more once it has wrapped it, and takes 0.01.
    """
    diffrax = load_diffrax()
    controller: Any = diffrax.PIDController

    class FromError(controller):
        def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
            end, state = super().init(diffrax.ODETerm(terms.vf), t0, t1, y0, dt0, args, func, error_order)
            return jnp.where(jnp.isfinite(end), end, t1), state

        def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
            y_error = jax.tree.map(lambda e: jnp.nan_to_num(e, nan=jnp.inf), y_error)  # too far, not nowhere
            return super().adapt_step_size(t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state)

    return FromError


def velocity(sde: LinearSDE, eps_fn: EpsFn, t: Array, u: Array) -> tuple[Array, Array]:
    """du/dt of one image u (without batch axis) at time t, the shape of u: (linear part F u, part of the score)."""
    e = eps_fn(u[None], t[None])[0]
    pull = blocks.apply(sde.GGt(t), sde.score(e[None], t))[0]
    return blocks.apply(sde.F(t), u[None])[0], -0.5 * pull


def solve(
    rate: Callable[[Any, Any], Any], state: Any, times: Sequence[Any] | Host, rtol: float, atol: float
) -> tuple[Any, Array]:
    """The solution of d state/dt = rate(t, state) for one image from times[0], and the number of evaluations of rate.

    times: (N + 1,) host, monotone. Returns the tree of states at times[1:], stacked along a new first axis; they are
    NaN where 100,000 steps were not enough, and where steps became too small (a rate that is not finite).
    """
    diffrax = load_diffrax()
    begin, *later = (float(t) for t in times)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, state, _: rate(t, state)),
        diffrax.Dopri5(),
        begin,
        later[-1],
        None,
        state,
        saveat=diffrax.SaveAt(ts=jnp.asarray(later)),
        stepsize_controller=step_sizes()(
            rtol=rtol, atol=atol, dtmin=LEAST_STEP * max(begin, later[-1]), force_dtmin=False
        ),
        max_steps=MAX_STEPS,
        throw=False,
    )
    arrived = solution.result == diffrax.RESULTS.successful
    states = jax.tree.map(lambda values: jnp.where(arrived, values, jnp.nan), solution.ys)
    return states, 1 + FIRST + STAGES * solution.stats["num_steps"]


def follow(
    sde: LinearSDE, eps_fn: EpsFn, u: Array, times: Sequence[float] | Host, rtol: float, atol: float
) -> tuple[Array, Array]:
    """States u (B, ...) carried along the flow from times[0]: (states at times[1:] (N, B, ...), evaluations (B,))."""

    def one(i, u):
        own = of_image(eps_fn, i)
        return solve(lambda t, u: sum(velocity(sde, own, t, u)), u, times, rtol, atol)

    return jax.vmap(one, out_axes=(1, 0))(jnp.arange(len(u)), u)
