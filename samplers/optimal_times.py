"""Times of a table without gradients of a network.

network-free   times that minimise sum_j |d u_N / d x_j| err(t_j): what errors err(t) of the predicted data x add up
               to at the end, to which the table says how sensitive it is     (arXiv:2402.17376, for a table)
forward        times that minimise the sum of the errors of single jumps of order 0 along fine trajectories, by
               dynamic programming                                            (GITS, arXiv:2409.20020)
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from linnet.arrays import Array, Host
from linnet.samplers.coefficients import Coefficients
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE

REACH = 3.0  # of the logarithms of the lengths, either way: beyond, times are one to rounding


def sensitivities(sde: LinearSDE, rows: Coefficients) -> Host:
    """d u_N / d x_j of a table, x_j the predicted data of evaluation j: (N,) + spatial + (k, 1).

    An evaluation is y_j = P_j u_j + Q_j x_j, since eps = R^-1 (u - Psi(t, 0) x): the states on the way count, so that
    small errors of eps where its weight is large are told from large ones.
    """
    N, width = rows.eps.shape[:2]
    inverse = blocks.inverse(sde.R(rows.times))
    of_state, of_eps = (0.0, blocks.identity(sde.k)) if rows.from_eps is None else rows.from_eps
    P = of_state + blocks.matmul(of_eps, inverse)
    Q = -blocks.matmul(blocks.matmul(of_eps, inverse), sde.Psi(rows.times, 0.0)[..., :, :1])
    by_y = np.zeros_like(rows.eps[:, 0])
    by_state = np.zeros_like(rows.psi[0]) + blocks.identity(sde.k)
    for i in reversed(range(N)):
        for m in range(min(width, i + 1)):
            by_y[i - m] += blocks.matmul(by_state, rows.eps[i, m])
        by_state = blocks.matmul(by_state, rows.psi[i]) + blocks.matmul(by_y[i], P[i])
    return np.asarray(blocks.matmul(by_y, Q))


def bound(sde: LinearSDE, rows: Coefficients) -> float:
    """sum_j |d x_N / d x_j err(t_j)|, x_N the position of u_N, root mean square over frequencies.

    err = sigma^2 / (alpha^2 + sigma^2) of predicted data (arXiv:2402.17376, section 3.4, with order 2), the variance
    that unit Gaussian data still have. With order 1 the first of 4 steps takes 7/8 of [0, T] on VP: the rms doubles.
    """
    x_x = (..., slice(0, 1), slice(0, 1))
    noise, signal = sde.Sigma(rows.times)[x_x], sde.Psi(rows.times, 0.0)[x_x] ** 2
    errors = sensitivities(sde, rows)[..., :1, :] * noise / (signal + noise)
    return float(np.sqrt((errors**2).mean((1, 2, 3, 4))).sum())


def network_free(objective: Callable[[Host], float], lengths: Host, iterations: int = 60) -> Host:
    """Lengths of the steps (see `tuning`) with a small objective(lengths), from `lengths`, by L-BFGS."""
    bounds = [(length - REACH, length + REACH) for length in lengths]
    found = minimize(objective, lengths, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations, "eps": 1e-6})
    return found.x if found.fun < objective(lengths) else lengths


def jump_errors(sde: LinearSDE, times: Host, states: Array, eps: Array) -> Host:
    """(M, M): mean squared error of the step of order 0 from times[a] to times[b], a < b; infinite elsewhere.

    states (M, B, ...) and eps (M - 1, B, ...) of fine trajectories. Errors are in units of the covariance that data of
    unit variance has at times[b].
    """
    M = len(times)
    data = sde.Psi(times, 0.0)[..., :, :1]
    covariance = blocks.matmul(data, blocks.transpose(data)) + sde.Sigma(times)
    root = blocks.inverse(blocks.root(covariance))
    R = sde.R(times)
    errors = np.full((M, M), np.inf)
    for a in range(M - 1):
        Psi = sde.Psi(times[a + 1 :], times[a])
        W = R[a + 1 :] - blocks.matmul(Psi, R[a])
        for b in range(a + 1, M):
            jump = blocks.apply(Psi[b - a - 1], states[a]) + blocks.apply(W[b - a - 1], eps[a])
            wrong = jump - states[b]
            errors[a, b] = float((np.asarray(blocks.apply(root[b], wrong), np.float64) ** 2).mean())
    return errors


def cheapest_path(costs: Host, steps: int) -> list[int]:
    """The indices 0 = i_0 < ... < i_steps = M - 1 with the smallest sum of costs[i_n, i_{n+1}] (M, M).

    ValueError where there are fewer than `steps` knots to go to.
    """
    M = len(costs)
    if steps >= M:
        raise ValueError(f"{steps} steps need more than {M} times of the fine trajectory: raise config.tune.fine_nfe")
    reached = np.full(M, np.inf)
    reached[0] = 0.0
    previous = []
    for _ in range(steps):
        total = reached[:, None] + costs
        previous.append(total.argmin(0))
        reached = total.min(0)
    path = [M - 1]
    for best in reversed(previous):
        path.append(int(best[path[-1]]))
    return path[::-1]


def forward(times: Host, mean_errors: Host, steps: int) -> Host:
    """steps + 1 of the `times` (M,): the root mean square jump errors are what is summed."""
    return np.asarray(times)[cheapest_path(np.sqrt(mean_errors), steps)]
