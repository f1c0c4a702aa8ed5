"""The times and the corrections of a table that bring the ends of its trajectories to wanted ones.

Bespoke solvers (arXiv:2403.01329) and their kin, on the table alone: rows (psi, eps) follow from the times of the steps
on the host, and corrections delta of a table (see coefficients.corrected) are added. The parameters are

    g (steps,)             logarithms of the lengths of the steps, t_i - t_{i+1} = (T - t_end) softmax(g)_i
    delta (N, history, k, k)

With d_b the root mean square of x_b - x*_b over its elements, the loss over starts b is one of

    log      mean_b log(d_b^2 + FLOOR^2)
    square   mean_b d_b^2

A start between two modes of the data multiplies every error by a factor of its own, which the logarithm leaves out of
the gradient: all starts say how to do better. The square is nearly all of it the few that end in the wrong mode. The
gradient by the rows is taken backwards through the recursion, one row at a time: two compiled functions serve all rows,
and the gradient of a network is never taken inside a scan. On the host it goes on to delta exactly and to g through the
Jacobian of the table, by central differences in float64. So any process and any method that is a table can be tuned.
Descent is L-BFGS (SciPy's) on all starts together.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from linnet import registry
from linnet.arrays import Array, Host
from linnet.samplers.coefficients import Coefficients
from linnet.samplers.exponential import Recursion, advance, analytic_eps

FLOOR = 1e-4  # what distances of ends are good enough, in the range of the data
UNIT = 0.1  # of the corrections, beside a unit of 1 of the lengths
MEMORY = 20  # pairs of L-BFGS
REACH = 6.0  # of the lengths, either way from where the descent begins
WORST = 1e6  # stands for a loss that is not finite
STEP = 1e-5  # of their differences in g


def log_loss(squares: Array | Host) -> Array:
    """Mean over starts of the logarithm of their mean squared distance (B,), from FLOOR^2 up."""
    return jnp.log(squares + FLOOR**2).mean()


def square_loss(squares: Array | Host) -> Array:
    """Mean over starts of their mean squared distance (B,)."""
    return jnp.mean(squares)


LOSSES: dict[str, Callable[[Any], Array]] = {"log": log_loss, "square": square_loss}


class Parameters(NamedTuple):
    """lengths: g (steps,). corrections: delta (N, history, k, k)."""

    lengths: Host
    corrections: Host


class Starts(NamedTuple):
    """u (B, ...): states at T. x (B, ...): the ends that are wanted. condition: what eps takes besides, by start."""

    u: Array
    x: Array | Host
    condition: Any


def times_of(sde: Any, lengths: Host, free_end: bool) -> Host:
    """Times from T; to t_min, or where `free_end` through steps whose last, to t_min, is not taken."""
    shares = np.exp(lengths - lengths.max())
    fallen = np.cumsum(shares / shares.sum())
    times = sde.T - (sde.T - sde.t_min) * np.append(0.0, fallen)
    if free_end:
        return times[:-1]
    times[-1] = sde.t_min
    return times


def lengths_of(sde: Any, times: Host, free_end: bool) -> Host:
    """The logarithms of the lengths of the steps along `times`; a last one where the end is free."""
    end = [sde.t_min - 1e-3 * (times[-2] - times[-1])] if free_end else []
    return np.log(-np.diff(np.append(times, end)))


class Tuner:
    """Tunes an untuned `sampler`, a Recursion, for eps = eps_of(params, condition)(u, t).

    params: of the network, any tree. history: evaluations that a row may look at. loss: one of LOSSES; ValueError.
    """

    def __init__(
        self, sampler: Recursion, eps_of: Callable[[Any, Any], Any], params: Any, history: int, loss: str = "log"
    ):
        self.loss = registry.choose(LOSSES, loss, "config.tune.loss")
        self.sampler = sampler
        self.params = params
        self.free_end = sampler.noise_removal and sampler.nfe_per_step == 1
        self.history = max(history, sampler.rows.eps.shape[1])

        def forward(params, u, past, row, condition):
            return advance(eps_of(params, condition), u, past, row, None, 0)[:2]

        def first(params, u, past, row, condition):
            return advance(analytic_eps(sampler.sde), u, past, row, None, 0)[:2]

        self._functions = both_ways(forward)
        self._first = both_ways(first) if sampler.analytic_first else self._functions

    def begin(self, times: Host) -> Parameters:
        """The parameters of the untuned table along `times`."""
        N, k = len(self.sampler.rows.times), self.sampler.sde.k
        lengths = lengths_of(self.sampler.sde, times, self.free_end)
        return Parameters(lengths, np.zeros((N, self.history, k, k)))

    def tuned(self, parameters: Parameters) -> Recursion:
        """The sampler with these parameters."""
        times = times_of(self.sampler.sde, parameters.lengths, self.free_end)
        return dataclasses.replace(
            self.sampler, times=tuple(times.tolist()), times_in="t", corrections=parameters.corrections
        )

    def ends(self, rows: Coefficients, starts: Starts) -> Array:
        """project(u) after all rows."""
        return self.sampler.sde.project(self._states(rows, starts)[-1][0])

    def errors(self, rows: Coefficients, starts: Starts, batch: int = 1024) -> Host:
        """The root mean square over the elements of x - x* for each start, (B,); infinite where x is not finite.

        batch: starts that are followed at a time.
        """
        x = np.concatenate([np.asarray(self.ends(rows, part)) for part in split(starts, batch)])
        errors = np.asarray(((x - starts.x).reshape(len(x), -1) ** 2).mean(1), np.float64) ** 0.5
        return np.where(np.isfinite(errors), errors, np.inf)

    def loss_of(self, parameters: Parameters, starts: Starts, batch: int = 1024) -> float:
        """The loss of the table with these parameters."""
        return float(self.loss(self.errors(self.tuned(parameters).rows, starts, batch) ** 2))

    def _states(self, rows, starts):
        """[(u, past)] before every row, and after the last."""
        rows = jax.tree.map(lambda a: np.asarray(a, starts.u.dtype), rows)
        past = jnp.zeros((rows.eps.shape[1] - 1, *starts.u.shape), starts.u.dtype)
        states = [(starts.u, past)]
        for i in range(len(rows.times)):
            row = jax.tree.map(lambda a, i=i: a[i], rows)
            states.append(self._at(i)[0](self.params, *states[-1], row, starts.condition))
        return states

    def _at(self, i):
        return self._functions if i else self._first

    def gradient(self, rows: Coefficients, starts: Starts) -> tuple[float, Coefficients]:
        """The loss, and its gradient by the rows, on the host."""
        states = self._states(rows, starts)

        def loss(u):
            squares = ((self.sampler.sde.project(u) - starts.x) ** 2).reshape(len(u), -1).mean(1)
            return self.loss(squares)

        value, by_end = jax.value_and_grad(loss)(states[-1][0])
        cotangent = (by_end, jnp.zeros_like(states[-1][1]))
        rows = jax.tree.map(lambda a: np.asarray(a, starts.u.dtype), rows)
        found = []
        for i in reversed(range(len(rows.times))):
            row = jax.tree.map(lambda a, i=i: a[i], rows)
            u, past, by_row = self._at(i)[1](self.params, *states[i], row, starts.condition, cotangent)
            cotangent = (u, past)
            found.append(by_row)
        return float(value), jax.tree.map(lambda *a: np.stack(a).astype(np.float64), *reversed(found))

    def jacobian(self, parameters: Parameters) -> list[Coefficients]:
        """The derivative of the rows by each of the lengths."""
        found = []
        for unit in np.eye(len(parameters.lengths)):
            moved = (parameters.lengths + side * STEP * unit for side in (1, -1))
            high, low = (self.tuned(parameters._replace(lengths=lengths)).rows for lengths in moved)
            found.append(jax.tree.map(lambda a, b: (a - b) / (2 * STEP), high, low))
        return found

    def pull_back(self, by_rows: Coefficients, jacobian: list[Coefficients], at: Parameters) -> Parameters:
        """The gradient by the parameters, at `at`, from that by the rows."""
        pairs = [(jax.tree.leaves(by_rows), jax.tree.leaves(column)) for column in jacobian]
        lengths = np.array([sum((a * b).sum() for a, b in zip(*pair, strict=True)) for pair in pairs])
        W = self.tuned(at._replace(corrections=np.zeros_like(at.corrections))).rows.eps.sum(1)
        by_delta = np.einsum("ijhwac,ihwbc->ijab", by_rows.eps, W)
        known = np.arange(self.history) <= np.arange(len(W))[:, None]
        return Parameters(lengths, by_delta * known[:, :, None, None])

    def slope(self, parameters: Parameters, starts: Starts, batch: int) -> tuple[float, Parameters]:
        """The loss over all starts, `batch` at a time, and its gradient; WORST and 0 if not finite."""
        rows = self.tuned(parameters).rows
        value, by_rows = 0.0, jax.tree.map(np.zeros_like, rows)
        for part in split(starts, batch):
            share = len(part.u) / len(starts.u)
            found, gradient = self.gradient(rows, part)
            value += share * found
            by_rows = jax.tree.map(lambda a, b, share=share: a + share * b, by_rows, gradient)
        finite = np.isfinite(value) and all(np.isfinite(a).all() for a in jax.tree.leaves(by_rows))
        if not finite:
            return WORST, jax.tree.map(np.zeros_like, parameters)
        return value, self.pull_back(by_rows, self.jacobian(parameters), parameters)

    def descend(
        self, parameters: Parameters, starts: Starts, batch: int, iterations: int, watch: Callable
    ) -> Parameters:
        """The Parameters after at most `iterations` of L-BFGS from `parameters`; watch sees those of each."""
        cut, shape = len(parameters.lengths), parameters.corrections.shape

        def unpack(vector):
            return Parameters(vector[:cut], UNIT * vector[cut:].reshape(shape))

        def value_and_gradient(vector):
            value, (lengths, corrections) = self.slope(unpack(vector), starts, batch)
            return value, np.append(lengths, UNIT * corrections)

        begin = np.append(parameters.lengths, parameters.corrections / UNIT)
        found = minimize(
            value_and_gradient,
            begin,
            jac=True,
            method="L-BFGS-B",
            bounds=[(g - REACH, g + REACH) for g in parameters.lengths] + [(None, None)] * (len(begin) - cut),
            options={"maxiter": iterations, "maxcor": MEMORY, "ftol": 0.0, "gtol": 0.0},
            callback=lambda x: watch(unpack(x)),
        )
        return unpack(found.x)


def both_ways(forward: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """forward(params, u, past, row, condition) -> (u, past), and its cotangents of u, past and row, compiled."""

    def backward(params, u, past, row, condition, cotangent):
        return jax.vjp(lambda u, past, row: forward(params, u, past, row, condition), u, past, row)[1](cotangent)

    return jax.jit(forward), jax.jit(backward)


def split(starts: Starts, batch: int) -> list[Starts]:
    """The starts, at most `batch` at a time."""
    return [jax.tree.map(lambda a, k=k: a[k : k + batch], starts) for k in range(0, len(starts.u), batch)]
