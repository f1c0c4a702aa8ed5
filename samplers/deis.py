"""The other members of the DEIS family (arXiv:2204.13902), in rho = sigma / alpha.

With v = Psi(0, t) u the flow is dv = dP eps, P(t) = Psi(0, t) R(t); P is rho where one noise level serves all pixels.

    rho_ab   Adams-Bashforth with the polynomial in rho
    rho_rk   Runge-Kutta steps of v in P
    ipndm    the step of order 0 with the Adams-Bashforth weights of equal steps for eps (PNDM, arXiv:2202.09778)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from linnet import registry
from linnet.arrays import Host
from linnet.samplers import coefficients, grids
from linnet.samplers.base import SCALAR, UP_TO_PAIRS, Depends
from linnet.samplers.coefficients import Coefficients
from linnet.samplers.exponential import Recursion
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE

RK = {  # name -> (fractions c, matrix a, weights b)
    "1euler": ([0.0], [[0.0]], [1.0]),
    "2heun": ([0.0, 1.0], [[0.0, 0.0], [1.0, 0.0]], [0.5, 0.5]),
    "3kutta": ([0.0, 0.5, 1.0], [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [-1.0, 2.0, 0.0]], [1 / 6, 4 / 6, 1 / 6]),
    "4rk": (
        [0.0, 0.5, 0.5, 1.0],
        [[0.0] * 4, [0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
        [1 / 6, 2 / 6, 2 / 6, 1 / 6],
    ),
}
ADAMS_BASHFORTH = ([1.0], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24])


class RhoAB(Recursion):
    """Adams-Bashforth in rho. deis_order: 0..3."""

    grid: str | None = "rho"
    deis_order: int = 2

    order = Depends("deis_order + 1", lambda sampler: sampler.deis_order + 1)
    reference = "arXiv:2204.13902"

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        return coefficients.multistep(self.sde, times, self.deis_order, past=past, variable="rho")


def runge_kutta(sde: LinearSDE, starts: Host, ends: Host, tableau: Any) -> Coefficients:
    """Rows of one step of `tableau` (c, a, b) from each of `starts` to each of `ends` (N,): N * stages rows.

    Stage m + 1 is stage m plus Psi(t_{m+1}, .) (P(end) - P(start)) times the difference of two rows of the tableau.
    """
    c, a, b = (np.asarray(part) for part in tableau)
    low, high = (np.exp(grids.log_rho(sde, t)) for t in (starts, ends))
    inner = {x: grids.time_of_log_rho(sde, np.log(low + x * (high - low))) for x in c if 0 < x < 1}
    at = {0.0: starts, 1.0: ends} | inner
    nodes = np.stack([*[at[x] for x in c], ends], 1)  # (N, stages + 1), in the order of the stages
    stages = len(c)
    gain = np.diff(np.concatenate([a, b[None]]), axis=0)  # (stages, stages)
    psi = sde.Psi(nodes[:, 1:], nodes[:, :-1])
    W = blocks.matmul(sde.Psi(nodes[:, 1:], ends[:, None]), sde.R(ends)[:, None])
    W = W - blocks.matmul(sde.Psi(nodes[:, 1:], starts[:, None]), sde.R(starts)[:, None])
    eps = np.zeros((len(starts), stages, stages) + W.shape[2:])
    for m in range(stages):
        for j in range(m + 1):  # stage j is m - j evaluations back
            eps[:, m, m - j] = gain[m, j] * W[:, m]
    rows = (block.reshape(-1, *block.shape[2:]) for block in (psi, eps))
    return Coefficients(nodes[:, :-1].ravel(), *rows)


class RhoRK(Recursion):
    """Runge-Kutta in rho. rk_method: 1euler, 2heun, 3kutta or 4rk."""

    grid: str | None = "rho"
    rk_method: str = "2heun"

    order = nfe_per_step = Depends("1 to 4", lambda sampler: len(RK[sampler.rk_method][0]))
    processes = SCALAR
    reference = "arXiv:2204.13902"

    def __post_init__(self) -> None:
        registry.check(RK, self.rk_method, "config.sampling.rk_method")
        super().__post_init__()

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        return runge_kutta(self.sde, times[:-1], times[1:], RK[self.rk_method])


class IPNDM(Recursion):
    """Improved PNDM: second order at most, since its weights are exact for a constant flow only.

    deis_order: 0..3, the weights of so many earlier evaluations. They are those of equal steps on every grid.
    lower_order_final: so many fewer at the end, none in the last step.
    grid: None is uniform where k = 1 and equal times resolve the noise, elsewhere that of the process: on equal times
    what CLD draws has rms 0.58 around its nearest mean at 20 evaluations, on its own grid 0.14, where the data has 0.1.
    On HOLD, of third order, it is 3.1 there, and 0.43 at 50: refused.
    """

    deis_order: int = 3
    lower_order_final: bool = False

    order = Depends("2; 1 at deis_order 0", lambda sampler: min(sampler.deis_order + 1, 2))
    processes = UP_TO_PAIRS
    reference = "arXiv:2204.13902"

    def __post_init__(self) -> None:
        if self.deis_order not in range(4):
            raise ValueError(f"order {self.deis_order} (config.sampling.deis_order) is not available; use 0, 1, 2 or 3")
        self._prefer_equal_times()
        super().__post_init__()

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        rows = coefficients.multistep(self.sde, times, 0)
        eps = np.zeros((len(rows.times), self.deis_order + 1) + rows.psi.shape[1:])
        for i, left in enumerate(reversed(range(len(eps)))):
            order = min(i + len(past), self.deis_order)
            weights = ADAMS_BASHFORTH[min(order, left) if self.lower_order_final else order]
            for j, weight in enumerate(weights):
                eps[i, j] = weight * rows.eps[i, 0]
        return rows._replace(eps=eps)
