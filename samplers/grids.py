"""Time grids: decreasing float64 arrays of n + 1 times from T to t_min.

power     t_i = (T^(1/p) + i/n (t_min^(1/p) - T^(1/p)))^p, p = ts_order, by default 2     (DEIS, arXiv:2204.13902)
uniform   p = 1 of it
log_snr   uniform in log rho, rho(t) = sqrt(Sigma_xx(t)) / Psi_xx(t, 0)       (DPM-Solver, arXiv:2206.00927)
rho       equidistant in rho^(1/p), p = ts_order, by default 7: EDM's grid     (arXiv:2206.00364, eq. 5)
hybrid    uniform from T to img_t_ratio T, then power down to t_min           (gDDIM, arXiv:2206.05564)

Where rho differs between components or frequencies, it is that of the position at the lowest frequency.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from linnet import registry
from linnet.arrays import Host, Times
from linnet.sde_lib.base import LinearSDE

FIRST = (..., 0, 0, 0, 0)


def power(sde: LinearSDE, n: int, ts_order: float = 2, start: float | None = None) -> Host:
    """n steps, equidistant in t^(1/ts_order), from `start` (T when absent)."""
    start = sde.T if start is None else start
    return np.linspace(start ** (1 / ts_order), sde.t_min ** (1 / ts_order), n + 1) ** ts_order


def uniform(sde: LinearSDE, n: int, ts_order: float | None = None) -> Host:
    """n steps of equal length."""
    return power(sde, n, 1)


def hybrid(sde: LinearSDE, n: int, ts_order: float = 2, img_t_ratio: float = 0.3, noise_nfe_ratio: float = 0.3) -> Host:
    """n steps: int(n noise_nfe_ratio) equal ones down to img_t_ratio T, the others on the power grid from there.

    ValueError for ratios outside (0, 1) or a budget that leaves one part empty.
    """
    first = int(n * noise_nfe_ratio)
    middle = img_t_ratio * sde.T
    if not (sde.t_min < middle < sde.T and 0 < first < n):
        raise ValueError(
            f"sampling.img_t_ratio={img_t_ratio} and noise_nfe_ratio={noise_nfe_ratio} must lie between 0 and 1 and "
            f"leave steps for both parts of {n} (the first has {first})"
        )
    noise = np.linspace(sde.T, middle, first, endpoint=False)
    return np.concatenate([noise, power(sde, n - first, ts_order, middle)])


def log_rho(sde: LinearSDE, t: Times) -> Any:
    """log(sqrt(Sigma_xx) / Psi_xx(t, 0)) of the lowest frequency at host times t, same shape; increasing in t."""
    return 0.5 * np.log(sde.Sigma(t)[FIRST]) - np.log(sde.Psi(t, 0.0)[FIRST])


def log_rho_slope(sde: LinearSDE, t: Times) -> Any:
    """d log_rho / dt at host times t, same shape, from dSigma/dt = F Sigma + Sigma F^T + G G^T and dPsi/dt = F Psi."""
    F, Sigma, Psi = (block[..., 0, 0, :, :] for block in (sde.F(t), sde.Sigma(t), sde.Psi(t, 0.0)))
    rate = (F[..., 0, :] * Sigma[..., :, 0]).sum(-1) + 0.5 * sde.GGt(t)[FIRST]
    return rate / Sigma[..., 0, 0] - (F[..., 0, :] * Psi[..., :, 0]).sum(-1) / Psi[..., 0, 0]


def time_of_log_rho(sde: LinearSDE, target: Host) -> Host:
    """Times in [t_min, T] with log_rho(t) = target, by bisection (exact to rounding since log rho is monotone)."""
    low, high = np.full(np.shape(target), sde.t_min), np.full(np.shape(target), sde.T)
    for _ in range(60):
        middle = (low + high) / 2
        above = log_rho(sde, middle) > target
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def explicit(sde: LinearSDE, values: Sequence[float], unit: str = "t") -> Host:
    """The times that a user names: decreasing t, or noise levels rho, of which the first is that of the prior.

    ValueError for an unknown unit, or values that do not decrease from T (1 % is allowed for rho) to t_min or above.
    """
    if unit not in ("t", "rho"):
        raise ValueError(f"config.sampling.times_in={unit!r} is unknown; use t or rho")
    given = np.asarray(values, np.float64)
    ends = np.array([sde.T, sde.t_min])
    first, last = ends if unit == "t" else np.exp(log_rho(sde, ends))
    if len(given) < 2 or not (np.diff(given) < 0).all():
        raise ValueError("config.sampling.times must decrease and hold at least two numbers")
    slack = 1e-6 if unit == "t" else 1e-2
    if abs(given[0] / first - 1) > slack or given[-1] < last * (1 - slack):
        raise ValueError(
            f"config.sampling.times={tuple(values)} must begin at {first:.6g}, where the prior is, and end at "
            f"{last:.6g} or above (in {unit}; config.sde.t_min)"
        )
    if unit == "t":
        return given
    return np.concatenate([ends[:1], time_of_log_rho(sde, np.log(given[1:]))])


def log_snr(sde: LinearSDE, n: int, ts_order: float | None = None) -> Host:
    """n steps of equal length in log rho."""
    return _between(sde, np.linspace(log_rho(sde, sde.T), log_rho(sde, sde.t_min), n + 1))


def rho(sde: LinearSDE, n: int, ts_order: float = 7) -> Host:
    """n steps, equidistant in rho^(1/ts_order)."""
    ends = np.exp(np.array([log_rho(sde, sde.T), log_rho(sde, sde.t_min)]) / ts_order)
    return _between(sde, ts_order * np.log(np.linspace(ends[0], ends[1], n + 1)))


def _between(sde, target):
    """Times of the log rho `target`, with the ends exactly T and t_min."""
    return np.concatenate([[sde.T], time_of_log_rho(sde, target[1:-1]), [sde.t_min]])


GRIDS: dict[str, Callable[..., Host]] = {
    "power": power,
    "uniform": uniform,
    "log_snr": log_snr,
    "rho": rho,
    "hybrid": hybrid,
}


def make_grid(name: str | None, sde: LinearSDE, n: int, ts_order: float | None = None, **ratios: float) -> Host:
    """n + 1 decreasing times on the grid `name` (None: sde.grid) with exponent ts_order (None: that of the grid).

    ratios: those of the grid hybrid.

    ValueError for an unknown name, n < 1 or an exponent that is not positive.
    """
    name = sde.grid if name is None else name
    grid = registry.choose(GRIDS, name, "config.sampling.grid")
    if n < 1:
        raise ValueError(f"{n} sampling steps: raise config.sampling.nfe (noise_removal takes one evaluation of it)")
    if ts_order is None:
        return grid(sde, n, **ratios)
    if ts_order <= 0:
        raise ValueError(f"config.sampling.ts_order={ts_order} must be positive")
    return grid(sde, n, ts_order, **ratios)
