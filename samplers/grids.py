"""Time grids: decreasing float64 arrays of n + 1 times from T to t_min.

power     t_i = (T^(1/p) + i/n (t_min^(1/p) - T^(1/p)))^p, p = ts_order       (DEIS, arXiv:2204.13902; p = 1: uniform)
log_snr   uniform in log rho, rho(t) = sqrt(Sigma_xx(t)) / Psi_xx(t, 0)       (DPM-Solver, arXiv:2206.00927)
"""

import numpy as np


def power(sde, n, ts_order):
    """n steps, equidistant in t^(1/ts_order)."""
    return np.linspace(sde.T ** (1 / ts_order), sde.t_min ** (1 / ts_order), n + 1) ** ts_order


def uniform(sde, n, ts_order):
    """n steps of equal length."""
    return power(sde, n, 1)


def log_rho(sde, t):
    """log(sqrt(Sigma_xx) / Psi_xx(t, 0)) of the lowest frequency at host times t, same shape; increasing in t."""
    first = (..., 0, 0, 0, 0)
    return 0.5 * np.log(sde.Sigma(t)[first]) - np.log(sde.Psi(t, 0.0)[first])


def log_snr(sde, n, ts_order):
    """n steps of equal length in log rho, found by bisection (exact to rounding since log rho is monotone)."""
    target = np.linspace(log_rho(sde, sde.T), log_rho(sde, sde.t_min), n + 1)
    low, high = np.full(n + 1, sde.t_min), np.full(n + 1, sde.T)
    for _ in range(60):
        middle = (low + high) / 2
        above = log_rho(sde, middle) > target
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    times = (low + high) / 2
    times[0], times[-1] = sde.T, sde.t_min
    return times


GRIDS = {"power": power, "uniform": uniform, "log_snr": log_snr}


def make_grid(name, sde, n, ts_order=2):
    """n + 1 decreasing times on the grid `name`. ValueError for an unknown name or n < 1."""
    if name not in GRIDS:
        raise ValueError(f"config.sampling.grid {name!r} is unknown; use one of {', '.join(GRIDS)}")
    if n < 1:
        raise ValueError(f"{n} sampling steps: raise config.sampling.nfe (noise_removal takes one evaluation of it)")
    return GRIDS[name](sde, n, ts_order)
