"""Times of a table without gradients of a network.

network-free   times that minimise sum_j |d u_N / d y_j| err(t_j): what errors err(t) of the evaluations y add up to
               at the end, of which the table is the sensitivity              (arXiv:2402.17376, for a table)
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


def sensitivities(rows: Coefficients) -> Host:
    """d u_N / d y_j of a table (N,) + spatial + (k, k), every y taken as independent of the states."""
    N, width = rows.eps.shape[:2]
    found = np.zeros_like(rows.eps[:, 0])
    carried = np.zeros_like(rows.psi[0]) + blocks.identity(rows.psi.shape[-1])
    for i in reversed(range(N)):
        for m in range(min(width, i + 1)):
            found[i - m] += blocks.matmul(carried, rows.eps[i, m])
        carried = blocks.matmul(carried, rows.psi[i])
    return found


def bound(sde: LinearSDE, rows: Coefficients) -> float:
    """sum_j |d u_N / d y_j err(t_j)|, root mean square over elements.

    err is that of a prediction of x_0 that is wrong by sigma / sqrt(alpha^2 + sigma^2) (arXiv:2402.17376, section 3.4,
    with order 1), as it is for data predictions, and times R^-1 Psi(t, 0) for eps.
    """
    data = sde.Psi(rows.times, 0.0)
    x_x = (..., slice(0, 1), slice(0, 1))
    noise, signal = sde.Sigma(rows.times)[x_x], data[x_x] ** 2
    wrong = blocks.matmul(blocks.inverse(sde.R(rows.times)), data) if rows.from_eps is None else blocks.identity(sde.k)
    errors = blocks.matmul(sensitivities(rows), wrong * np.sqrt(noise / (signal + noise)))[..., :, :1]
    return float(np.sqrt((errors**2).mean((1, 2, 3, 4))).sum())


def network_free(objective: Callable[[Host], float], lengths: Host, iterations: int = 60) -> Host:
    """Lengths of the steps (see `tuning`) with a small objective(lengths), from `lengths`, by L-BFGS."""
    found = minimize(objective, lengths, method="L-BFGS-B", options={"maxiter": iterations, "eps": 1e-6})
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
