"""Heun's method with churn (EDM, arXiv:2206.00364, algorithm 2), for every process.

Order 0 to the end of the step, then the line in rho through both evaluations in place of the constant:

    one noise level for all pixels    the line of eps, which is EDM's trapezoid of dv = eps drho, v = Psi(0, t) u
    others (CLD, blur)                the line of the predicted data D, in the data form of `coefficients`

A correction of eps multiplies an error of the prediction by about (rho_s / rho_t - 1) / 2. EDM's grid keeps that small;
but a step that suits one component or frequency divides the rho of another by hundreds, and samples of CLD and blur
would diverge below 100 evaluations. The data form is of the same order and does not amplify.

Before each step from t the forward process adds noise up to t_hat, where rho is (1 + gamma) times as large; gamma is
min(s_churn / N, sqrt(2) - 1) while s_min <= rho <= s_max and 0 elsewhere. t_hat does not exceed T, so there is no churn
before the first step. Steps end at t_min rather than at zero noise; noise_removal takes the rest.
"""

from collections.abc import Sequence

import numpy as np

from linnet.arrays import Block, Host
from linnet.samplers import grids, stochastic
from linnet.samplers.base import SCALAR, Depends
from linnet.samplers.coefficients import Coefficients, Form, weights
from linnet.samplers.exponential import Recursion
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


class Heun(Recursion):
    """EDM's sampler, 2 evaluations a step. s_churn, s_min, s_max, s_noise as there.

    grid: None is EDM's (rho) where one noise level serves all pixels, elsewhere that of the process.
    """

    s_churn: float = 0.0
    s_min: float = 0.0
    s_max: float = float("inf")
    s_noise: float = 1.0

    order = 2
    nfe_per_step = 2
    stochastic = Depends("s_churn > 0", lambda sampler: sampler.s_churn > 0)
    reference = "arXiv:2206.00364"

    def __post_init__(self) -> None:
        if min(self.s_churn, self.s_min, self.s_noise) < 0:
            raise ValueError("sampling.s_churn, s_min and s_noise must not be negative")
        if self.grid is None and SCALAR.accept(self.sde):
            self._set(grid="rho")
        super().__post_init__()

    def _raised(self, t):
        """t_hat of the starts t (N,) of N steps."""
        log_rho = grids.log_rho(self.sde, t)
        gamma = np.minimum(self.s_churn / len(t), np.sqrt(2) - 1)
        churned = (np.exp(log_rho) >= self.s_min) & (np.exp(log_rho) <= self.s_max) & (t < self.sde.T)
        return np.where(churned, grids.time_of_log_rho(self.sde, log_rho + np.log1p(gamma)), t)

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        times = np.asarray(times, np.float64)
        starts = self._raised(times[:-1])
        ends = times[1:]
        rows = heun(self.sde, starts, ends)
        if not self.stochastic:
            return rows
        Psi, covariance = stochastic.transition(self.sde, starts[1:], ends[:-1])
        last = slice(1, -1, 2)  # the rows that end a step, but for the last, go on to the next t_hat
        rows.psi[last] = blocks.matmul(Psi, rows.psi[last])
        rows.eps[last] = blocks.matmul(Psi[:, None], rows.eps[last])
        noise = np.zeros_like(rows.psi)
        noise[last] = self.s_noise * blocks.root(covariance)
        return rows._replace(noise=noise)


def heun(sde: LinearSDE, starts: Host, ends: Host) -> Coefficients:
    """Rows of Heun's step from each of `starts` to each of `ends` (N,), 2 N rows."""
    form = Form("eps" if SCALAR.accept(sde) else "data", variable="rho")
    psi = form.flow(sde, ends, starts)
    first = weights(sde, starts, ends, starts[:, None], form)
    both = weights(sde, starts, ends, np.stack([ends, starts], 1), form)
    predict = np.concatenate([first, np.zeros_like(first)], 1)
    correct = np.concatenate([both[:, :1], both[:, 1:] - first], 1)
    stay = np.zeros_like(psi) + blocks.identity(sde.k)
    times = alternate(starts, ends)
    return Coefficients(times, alternate(psi, stay), alternate(predict, correct), form.from_eps(sde, times))


def alternate(a: Block, b: Block) -> Host:
    """a_0, b_0, a_1, b_1, ... along the first axis of two arrays of one shape."""
    return np.stack([a, b], 1).reshape(-1, *a.shape[1:])
